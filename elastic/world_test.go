package elastic_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bungee-xr/bungee/elastic"
	"github.com/bungee-xr/bungee/internal/far"
	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/radio"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
	"github.com/bungee-xr/bungee/offload/codegen"
	"github.com/bungee-xr/bungee/offload/pack"
)

// A world is a UE and edge hosts on a virtual network, in virtual time. Hosts
// serve native far endpoints.
type world struct {
	t        *testing.T
	air      *radio.Air
	ue, edge *tls.Config
	tcp      bool // hosts are reached over TCP
	hosts    int
	ports    int
}

const oneWay = 2 * time.Millisecond

// inBoth runs f over QUIC and over TCP.
func inBoth(t *testing.T, f func(t *testing.T, w *world)) {
	t.Run("quic", func(t *testing.T) { inWorld(t, f) })
	t.Run("tcp", func(t *testing.T) {
		inWorld(t, func(t *testing.T, w *world) {
			w.tcp = true
			f(t, w)
		})
	})
}

func inWorld(t *testing.T, f func(t *testing.T, w *world)) {
	synctest.Test(t, func(t *testing.T) {
		ca, err := identity.NewAuthority()
		if err != nil {
			t.Fatal(err)
		}
		w := &world{t: t, air: &radio.Air{OneWay: oneWay}}
		if w.ue, err = ca.TLS(identity.UE, "ue"); err != nil {
			t.Fatal(err)
		}
		if w.edge, err = ca.TLS(identity.Host, "host"); err != nil {
			t.Fatal(err)
		}
		f(t, w)
	})
}

func tcp(a *net.UDPAddr) *net.TCPAddr { return &net.TCPAddr{IP: a.IP, Port: a.Port} }

// A listener is a link.Listener or a link.TCPListener.
type listener interface {
	Accept(ctx context.Context) (*link.Conn, error)
	Close() error
}

// A host is an edge host, and the target of moves to it.
type host struct {
	w    *world
	name string
	addr *net.UDPAddr
	ln   listener
	wg   sync.WaitGroup
	open func() (far.Endpoint, error)
	rude func(t wire.Type, st link.Stream) // not nil: answers all streams in place of a Server

	// free has a token while nobody has conn. It is no mutex: who waits for one lets the time of a synctest bubble stand still, and
	// whoever dials needs it.
	free chan struct{}
	conn *link.Conn // of the UE

	mu  sync.Mutex // leaf
	all []*far.Server
}

// host starts an edge host whose far endpoints are made by open.
func (w *world) host(name string, open func() (far.Endpoint, error)) *host {
	w.hosts++
	h := &host{w: w, name: name, addr: &net.UDPAddr{IP: net.IPv4(10, 0, 0, byte(1+w.hosts)), Port: 4433}, open: open, free: make(chan struct{}, 1)}
	h.free <- struct{}{}
	var err error
	if w.tcp {
		h.ln = link.ListenTCP(w.air.Listen(tcp(h.addr)), w.edge, nil)
	} else if h.ln, err = link.Listen(w.air.Endpoint(h.addr), w.edge); err != nil {
		w.t.Fatal(err)
	}
	h.wg.Go(h.accept)
	w.t.Cleanup(h.stop)
	return h
}

func (h *host) accept() {
	for {
		c, err := h.ln.Accept(context.Background())
		if err != nil {
			return
		}
		s := far.NewServer(far.Config{
			Open: func(context.Context, offload.Digest, uint32) (far.Endpoint, error) { return h.open() },
		})
		h.mu.Lock()
		h.all = append(h.all, s)
		h.mu.Unlock()
		h.wg.Go(func() { h.serve(c, s) })
	}
}

func (h *host) serve(c *link.Conn, s *far.Server) {
	defer s.Close()
	for {
		st, err := c.Accept(context.Background())
		if err != nil {
			return
		}
		h.wg.Go(func() {
			t, _ := wire.ReadType(st)
			if h.rude != nil {
				h.rude(t, st)
				return
			}
			s.Serve(st.Context(), t, st)
		})
	}
}

// stop ends the host and all of its connections.
func (h *host) stop() {
	<-h.free
	if h.conn != nil {
		h.conn.Close("")
		h.conn = nil
	}
	h.free <- struct{}{}
	h.ln.Close()
	h.wg.Wait()
}

// drain has the host ask all that it serves to go.
func (h *host) drain() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.all {
		s.Drain("the host stops in 10s")
	}
}

// Name implements elastic.Target.
func (h *host) Name() string { return h.name }

// Prepare connects, unless that has been done.
func (h *host) Prepare(ctx context.Context, _ *offload.Desc) (elastic.Host, error) {
	<-h.free
	defer func() { h.free <- struct{}{} }()
	if h.conn != nil && h.conn.Err() == nil {
		return spot{h.conn}, nil
	}
	h.w.ports++
	from := &net.UDPAddr{IP: net.IPv4(10, 0, 0, 1), Port: h.w.ports}
	var c *link.Conn
	var err error
	if h.w.tcp {
		var stream net.Conn
		if stream, err = h.w.air.Dial(ctx, tcp(from), tcp(h.addr)); err == nil {
			c, err = link.DialTCP(ctx, stream, h.addr, h.w.ue)
		}
	} else {
		c, err = link.Dial(ctx, h.w.air.Endpoint(from), h.addr, h.w.ue)
	}
	if err != nil {
		return nil, err
	}
	h.conn = c
	return spot{c}, nil
}

// A spot is a connection that counts as three.
type spot struct{ c *link.Conn }

func (spot) Stripes() int { return 3 }

func (spot) Watch(func()) (stop func()) { return func() {} }

func (s spot) Open(ctx context.Context, p elastic.Priority) (elastic.Stream, error) {
	st, err := s.c.Open(ctx)
	if err != nil {
		return nil, err
	}
	st.SetPriority(link.Urgency(int8(p)), true)
	return st, nil
}

func (spot) Release() {}

// A sum is a marked type as offloadgen writes one: it adds up what it is told.
type sum struct {
	Total, Count int64
	Pad          []byte
}

func (s *sum) Handle(_ context.Context, n int64, emit func(int64) error) error {
	s.Count++
	s.Total = s.Total*31 + n
	if n < 0 {
		return errNegative
	}
	return emit(s.Total)
}

var errNegative = errors.New("negative")

func init() { offload.RegisterError("elastic_test.negative", errNegative) }

func sums(idempotent bool) *codegen.Endpoint[int64, int64] {
	return hooked(idempotent, func(context.Context, *sum, int64) {})
}

// hooked is sums with a hook before each message.
func hooked(idempotent bool, hook func(ctx context.Context, s *sum, n int64)) *codegen.Endpoint[int64, int64] {
	appendInt := func(b []byte, n int64) []byte { return pack.AppendInt(b, n) }
	readInt := func(r *pack.Reader) int64 { return r.Int() }
	return &codegen.Endpoint[int64, int64]{
		Desc: offload.Desc{Name: "sum", Module: codegen.NewModule([]byte("sum")), Idempotent: idempotent},
		New: func() *codegen.Live[int64, int64] {
			s := new(sum)
			return &codegen.Live[int64, int64]{
				Handle: func(ctx context.Context, n int64, emit func(int64) error) error {
					hook(ctx, s, n)
					return s.Handle(ctx, n, emit)
				},
				AppendState: func(b []byte) []byte {
					return pack.AppendBytes(pack.AppendInt(pack.AppendInt(b, s.Total), s.Count), s.Pad)
				},
				ReadState: func(r *pack.Reader) { s.Total, s.Count, s.Pad = r.Int(), r.Int(), r.Bytes() },
			}
		},
		AppendIn: appendInt, ReadIn: readInt, AppendOut: appendInt, ReadOut: readInt,
	}
}
