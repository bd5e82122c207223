package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bungee-xr/bungee/internal/link/linktest"
)

// A Flood is whoever begins handshakes with a host from many ports and goes on with none.
type Flood struct {
	To    string        // the host's address
	Ports int           // from which the packets come in turn
	Rate  int           // packets a second
	For   time.Duration // how long
}

// A toll is what a flood has sent and what came back, once it is over.
type toll struct{ Sent, Retries int64 }

// Run floods and prints what came of it to out. It needs a descriptor for each port.
func (f Flood) Run(ctx context.Context, out io.Writer) (err error) {
	ports, err := f.open(ctx)
	var readers sync.WaitGroup
	var retries atomic.Int64
	defer readers.Wait()
	for _, p := range ports {
		defer p.Close()
		readers.Go(func() { countRetries(p, &retries) })
	}
	if err != nil {
		return err
	}
	sent, err := f.send(ctx, ports)
	if err != nil {
		return err
	}
	wait(ctx, time.Second) // for the last answers
	return json.NewEncoder(out).Encode(toll{int64(sent), retries.Load()})
}

func (f Flood) open(ctx context.Context) (ports []net.Conn, err error) {
	var d net.Dialer
	for range f.Ports {
		p, err := d.DialContext(ctx, "udp", f.To)
		if err != nil {
			return ports, err
		}
		ports = append(ports, p)
	}
	return ports, nil
}

// floodTick is how often packets go out, a few at once as a network card hands them over.
const floodTick = 2 * time.Millisecond

// send sends at the rate, late packets too: all that are due in its time, unless ctx ends.
func (f Flood) send(ctx context.Context, ports []net.Conn) (sent int, err error) {
	begin := time.Now()
	for since := time.Duration(0); since < f.For && ctx.Err() == nil; {
		since = min(time.Since(begin), f.For)
		for due := int(since.Seconds() * float64(f.Rate)); sent < due; sent++ {
			if _, err := ports[sent%len(ports)].Write(linktest.Initial(sent)); err != nil {
				return sent, fmt.Errorf("packet %d of the flood: %w", sent, err)
			}
		}
		wait(ctx, floodTick)
	}
	return sent, nil
}

// countRetries reads a port's packets until it is closed.
func countRetries(p net.Conn, n *atomic.Int64) {
	b := make([]byte, 2048)
	for {
		k, err := p.Read(b)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil && linktest.IsRetry(b[:k]) {
			n.Add(1)
		}
	}
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// A Sink receives packets and throws them away.
type Sink struct {
	Listen string // its address
}

// Run receives until ctx ends, and prints a line to out before.
func (s Sink) Run(ctx context.Context, out io.Writer) error {
	p, err := net.ListenPacket("udp", s.Listen)
	if err != nil {
		return err
	}
	defer p.Close()
	defer context.AfterFunc(ctx, func() { p.Close() })()
	fmt.Fprintln(out, "listening on", p.LocalAddr())
	for b := make([]byte, 2048); ; {
		if _, _, err := p.ReadFrom(b); err != nil && ctx.Err() == nil {
			return err
		} else if err != nil {
			return nil
		}
	}
}

// floods measures the calls of a UE while somebody floods its host, over the same flood that goes
// to a sink beside it.
func (l *locale) floods(f Flood) trial {
	return func(ctx context.Context, name string) ([]Figure, error) {
		var ratios, answered []float64
		times := map[bool][]float64{}
		for range l.pick(3, 1) {
			both := map[bool]float64{}
			for _, atHost := range []bool{false, true} {
				p99, t, err := l.flooded(ctx, f, atHost)
				if err != nil {
					return nil, err
				}
				both[atHost] = p99
				times[atHost] = append(times[atHost], p99)
				if atHost {
					answered = append(answered, 100*float64(t.Retries)/float64(t.Sent))
				}
			}
			ratios = append(ratios, both[true]/both[false])
		}
		calls := Figure{Case: name, Metric: "call_p99_over_sink", Unit: "x", Value: quantile(ratios, 0.5), N: len(ratios)}
		calls.Beside = map[string]float64{"ms": quantile(times[true], 0.5), "ms_sink": quantile(times[false], 0.5)}
		retries := Figure{Case: name, Metric: "answered_by_retry", Unit: "%", Value: quantile(answered, 0.5), N: len(answered)}
		return []Figure{calls.against("<=", 3), retries.against(">=", 99)}, nil
	}
}

// flooded returns the p99 of the calls that a UE makes during a flood, and what came of the flood.
func (l *locale) flooded(ctx context.Context, f Flood, atHost bool) (p99 float64, t toll, err error) {
	v, err := l.visit(ctx, 4, nothing, Caller{Size: small, Every: 5 * time.Millisecond})
	if err != nil {
		return 0, t, err
	}
	defer func() { err = errors.Join(err, v.end()) }()
	if _, err := v.calmCalls(); err != nil {
		return 0, t, err
	}
	f.To = v.edge.address
	if !atHost {
		sink, err := start(v.router.host(l.Sink(Sink{hostNet + "2:9"})))
		if err != nil {
			return 0, t, err
		}
		defer func() { err = errors.Join(err, sink.end()) }()
		if _, err := sink.line(); err != nil {
			return 0, t, err
		}
		f.To = hostNet + "2:9"
	}
	return v.callsDuring(v.router.ue(l.Flood(f)), f.For)
}

// callsDuring starts a flood and reads the calls that are made during it.
func (v *visit) callsDuring(flood *exec.Cmd, d time.Duration) (p99 float64, t toll, err error) {
	p, err := start(flood)
	if err != nil {
		return 0, t, err
	}
	defer func() { err = errors.Join(err, p.end()) }()
	var took []float64
	for begin := time.Now(); time.Since(begin) < d; {
		got, err := v.next()
		if err != nil {
			return 0, t, err
		}
		took = append(took, got.Took) // on the UE, too: that is what the application sees
	}
	line, err := p.line()
	if err != nil {
		return 0, t, err
	}
	return quantile(took, 0.99), t, json.Unmarshal([]byte(line), &t)
}
