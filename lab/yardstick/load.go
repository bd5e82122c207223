package main

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// A batch is a run of requests on one transport.
type batch struct {
	Transport string  `json:"transport"` // "grpc", "grpcraw" or "tcp"
	Address   string  `json:"address"`   // where it is served
	Requests  int     `json:"requests"`
	In        int     `json:"in"`       // bytes of a request
	Out       int     `json:"out"`      // bytes of an answer
	InFlight  int     `json:"inflight"` // at most so many at once; 0: 1
	Rate      float64 `json:"rate"`     // requests a second; 0: as fast as they are answered
}

// measured is what a batch came to.
type measured struct {
	// Micros has each request's time to its answer, in the order of the answers.
	// With a rate it runs from the moment when the request was due.
	Micros     []float64 `json:"micros"`
	PerSecond  float64   `json:"per_second"`
	Allocs     float64   `json:"allocs"`     // of this process, for each request
	Congestion string    `json:"congestion"` // TCP's congestion control; "": unknown
	Error      string    `json:"error,omitempty"`
}

// A transport carries a request and puts its answer into reply. Many may be
// under way at once.
type transport interface {
	exchange(request []byte, reply *[]byte) error
	congestion() string
	close() error
}

// load runs the batches of in and writes what each measured to out. Connections
// are kept from batch to batch.
func load(conf *tls.Config, in io.Reader, out io.Writer) error {
	open := map[string]transport{}
	defer func() {
		for _, t := range open {
			t.close()
		}
	}()
	from, to := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var b batch
		if err := from.Decode(&b); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("batch: %w", err)
		}
		m, err := b.run(conf, open)
		if err != nil {
			m = measured{Error: err.Error()}
		}
		if err := to.Encode(m); err != nil {
			return err
		}
	}
}

func (b *batch) run(conf *tls.Config, open map[string]transport) (measured, error) {
	if b.In < head || b.Out < head || b.In > maxMessage || b.Out > maxMessage || b.Requests < 1 || b.Rate < 0 {
		return measured{}, fmt.Errorf("batch %+v: messages have %d to %d bytes, and there is one at least", *b, head, maxMessage)
	}
	key := b.Transport + " " + b.Address
	t := open[key]
	if t == nil {
		var err error
		if t, err = dial(conf, b.Transport, b.Address); err != nil {
			return measured{}, err
		}
		open[key] = t
	}
	m, err := b.on(t)
	if err != nil {
		delete(open, key)
		t.close()
	}
	return m, err
}

// on runs the batch on t, after one request that is not counted.
func (b *batch) on(t transport) (measured, error) {
	request := binary.BigEndian.AppendUint32(nil, uint32(b.Out))
	request = append(request, make([]byte, b.In-head)...)
	if err := t.exchange(request, new([]byte)); err != nil {
		return measured{}, err
	}
	p := pacer{left: b.Requests, micros: make([]float64, 0, b.Requests)}
	if b.Rate > 0 {
		p.period = time.Duration(float64(time.Second) / b.Rate)
	}
	begin, allocs := time.Now(), mallocs()
	p.due = begin
	var wg sync.WaitGroup
	for range max(1, b.InFlight) {
		wg.Go(func() { p.drive(t, request, b.Out) })
	}
	wg.Wait()
	took := time.Since(begin)
	return measured{
		Micros: p.micros, PerSecond: float64(b.Requests) / took.Seconds(),
		Allocs:     float64(mallocs()-allocs) / float64(b.Requests),
		Congestion: t.congestion(),
	}, p.err
}

func mallocs() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.Mallocs
}

// A pacer says when the next request is due.
type pacer struct {
	period time.Duration // 0: at once

	turn sync.Mutex // held while waiting for the next request's time
	left int
	due  time.Time

	mu     sync.Mutex
	micros []float64
	err    error
}

// next waits until a request is due. at is when it was: a request that had to
// wait for another one was due before that ended.
func (p *pacer) next() (at time.Time, ok bool) {
	p.turn.Lock()
	defer p.turn.Unlock()
	if p.left == 0 {
		return at, false
	}
	p.left--
	now := time.Now()
	if p.period == 0 {
		return now, true
	}
	at = p.due
	p.due = p.due.Add(p.period)
	if wait := at.Sub(now); wait > 0 {
		time.Sleep(wait)
		at = time.Now()
	}
	return at, true
}

// drive sends one request after the other until none is left.
func (p *pacer) drive(t transport, request []byte, out int) {
	var reply []byte
	for {
		at, ok := p.next()
		if !ok {
			return
		}
		err := t.exchange(request, &reply)
		if err == nil && len(reply) != out {
			err = fmt.Errorf("answer of %d bytes, want %d", len(reply), out)
		}
		if p.note(time.Since(at), err); err != nil {
			return
		}
	}
}

func (p *pacer) note(took time.Duration, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.err = err
	}
	p.micros = append(p.micros, float64(took.Nanoseconds())/1e3)
}

func dial(conf *tls.Config, transport, address string) (transport, error) {
	switch transport {
	case "tcp":
		return dialStream(conf, address)
	case "grpc":
		return dialGRPC(conf, address)
	case "grpcraw":
		u, err := dialGRPC(conf, address)
		return rawUnary{u}, err
	}
	return nil, fmt.Errorf("no transport %q: grpc, grpcraw and tcp are", transport)
}

// unary is the near end of gRPC: a message is bytes in a protobuf message.
type unary struct {
	cc   *grpc.ClientConn
	mu   sync.Mutex
	bare net.Conn // below TLS, the last one dialled
}

func dialGRPC(conf *tls.Config, address string) (*unary, error) {
	u := &unary{}
	cc, err := grpc.NewClient("passthrough:///"+address,
		grpc.WithTransportCredentials(credentials.NewTLS(conf)),
		grpc.WithContextDialer(u.dial))
	u.cc = cc
	return u, err
}

func (u *unary) dial(ctx context.Context, address string) (net.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", address)
	u.mu.Lock()
	defer u.mu.Unlock()
	u.bare = c
	return c, err
}

func (u *unary) exchange(request []byte, reply *[]byte) error {
	var value wrapperspb.BytesValue
	err := u.cc.Invoke(context.Background(), method, wrapperspb.Bytes(request), &value)
	*reply = value.Value
	return err
}

func (u *unary) congestion() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return congestionControl(u.bare)
}

func (u *unary) close() error { return u.cc.Close() }

// rawUnary is unary without protobuf.
type rawUnary struct{ *unary }

func (u rawUnary) exchange(request []byte, reply *[]byte) error {
	return u.cc.Invoke(context.Background(), methodRaw, &request, reply, grpc.CallContentSubtype(raw{}.Name()))
}
