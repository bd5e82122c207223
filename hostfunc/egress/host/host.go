// Package host gives guests the network: package egress as host functions.
//
// A guest that uses package egress imports [Functions]; docs/hostfunctions.md describes
// all of them. They connect to what the grant of a module allows, and to nothing else:
//
//	var tenants egress.Tenants
//	host.Provider{Name: egress.Name, Functions: func(g capability.Grant) executor.HostFuncs {
//		return egress.Functions(g, egress.Config{Share: tenants.Share(g.Tenant, g.Egress)})
//	}}
//
// # Concurrency
//
// What [Functions] returns serves many instances. Each has its own connections and handles.
// While a function waits for the network, other calls can use the core of its call.
//
// # Limits
//
// An instance has at most [Config].Conns connections, which are closed with it, and as
// many handles. A function that gets a bad handle or size returns an errno and changes
// nothing; a pointer outside the memory traps. No function runs past the deadline of its
// call. What all guests of a tenant do together is bounded by a [Share], if there is one.
//
// # What it costs
//
// The bytes of all connections, with those of TLS and HTTP, are in the bill of the call
// during which they were counted, or of the next call of the instance.
package host

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/hostfunc/egress"
)

// Name is the name that guests import the functions by, and that manifests and policies
// call them by.
const Name = "bungee_egress"

// Config configures [Functions]. The zero Config is ready to use.
type Config struct {
	// TLS configures https. Nil means the roots of the system.
	TLS *tls.Config
	// Body bounds the body of a request or response, in bytes. Zero means
	// [egress.MaxBody].
	Body int64
	// Conns bounds the connections of an instance. Zero means [egress.MaxConns].
	Conns int
	// Share bounds what all instances with this share do. Nil does not bound it.
	Share *Share
}

// Functions returns the host functions that connect guests to what rules allow. Nil rules
// allow nothing.
func Functions(rules egress.Rules, cfg Config) executor.HostFuncs {
	if rules == nil {
		rules = nothing{}
	}
	conf := egress.Config{Rules: rules, TLS: cfg.TLS, Body: cfg.Body, Conns: cfg.Conns}
	if conf.Conns <= 0 {
		conf.Conns = egress.MaxConns
	}
	return executor.HostFuncs{Name: Name, New: func() ([]executor.HostFunc, func()) {
		s := newState(conf, cfg.Share)
		return s.funcs(), s.close
	}}
}

// nothing are rules that allow nothing.
type nothing struct{}

var errNothing = errors.New("no address is granted")

func (nothing) Connects(string) error              { return errNothing }
func (nothing) Dials(netip.AddrPort, string) error { return errNothing }

// A state is what an instance holds. The instance makes one call at a time.
type state struct {
	client  *egress.Client
	tenant  *executor.Tenant // whose memory it holds; set by the first call, then constant
	share   *Share           // nil: nothing is bounded
	paid    uint64           // bytes that the share has counted and that are not seen yet
	open    []*handle        // handle 1 is at 0
	last    string           // text of the last error
	in, out uint64           // bytes that are in a bill already
}

func newState(conf egress.Config, share *Share) *state {
	s := &state{share: share, open: make([]*handle, conf.Conns)}
	conf.Admit = s.admit
	s.client = egress.NewClient(conf)
	return s
}

// What the host holds for guests' connections and responses, beside their bodies. All of it counts as
// memory of their tenant.
const (
	connCost    = 64 << 10             // two goroutines, and buffers of HTTP and TLS
	openingCost = 3 * egress.MaxHeader // a header as it came, parsed, and as the guest gets it
)

// admit counts a connection until the function that it returns is called.
func (s *state) admit() (func(), error) {
	release, err := s.share.admit()
	if err != nil {
		return nil, err
	}
	if err := s.hold(connCost); err != nil {
		release()
		return nil, err
	}
	return func() { s.tenant.ReleaseMemory(connCost); release() }, nil
}

// hold counts n bytes more that are held for the guest.
func (s *state) hold(n int64) error {
	if err := s.tenant.HoldMemory(n); err != nil {
		return fmt.Errorf("%w: %w", egress.ErrTooMany, err)
	}
	return nil
}

// known notes whose the instance is.
func (s *state) known(ctx context.Context) {
	if a := executor.AccountOf(ctx); s.tenant == nil && a != nil {
		s.tenant = a.Tenant
	}
}

// A handle is a connection or a response.
type handle struct {
	tenant *executor.Tenant // that holds
	held   int64            // bytes for it: those of a response
	conn   *egress.Conn
	stream *egress.Stream
	header []byte
	cancel context.CancelFunc // of stream
}

func (h *handle) close() {
	h.shrink(0)
	if h.conn != nil {
		h.conn.Close()
		return
	}
	h.stream.Close()
	h.cancel()
}

// shrink lets go of all but n bytes of what is held.
func (h *handle) shrink(n int64) {
	h.tenant.ReleaseMemory(h.held - n)
	h.held = min(h.held, n)
}

func (s *state) close() {
	s.client.Close()
	for i, h := range s.open {
		if h != nil {
			h.close()
			s.open[i] = nil
		}
	}
}

func (s *state) funcs() []executor.HostFunc {
	return []executor.HostFunc{
		function(s, "http", s.http),
		function(s, "status", s.status),
		function(s, "header", s.header),
		function(s, "dial", s.dial),
		function(s, "read", s.read),
		function(s, "write", s.write),
		function(s, "close", s.drop),
		executor.Typed("last_error", s.lastError),
	}
}

// function makes a host function of f, which returns what is not below 0 or an error.
// That becomes an errno, and the last error.
func function[In any](s *state, name string, f func(context.Context, In) (int, error)) executor.HostFunc {
	return executor.Typed(name, func(ctx context.Context, in In) (int32, error) {
		n, err := f(ctx, in)
		s.count(ctx)
		if err != nil {
			s.last = textOf(err)
			return errno(err), nil
		}
		return int32(n), nil
	})
}

// count puts the bytes that were seen since it ran last in the bill of ctx's call, and
// counts them in the share.
func (s *state) count(ctx context.Context) {
	in, out := s.client.Traffic()
	executor.CountNetwork(ctx, in-s.in, out-s.out)
	seen := in - s.in + out - s.out
	known := min(seen, s.paid)
	s.paid -= known
	s.share.moved(seen - known)
	s.in, s.out = in, out
}

// pay waits until n bytes may be sent, or any be received.
func (s *state) pay(ctx context.Context, n int) (err error) {
	if s.share == nil {
		return nil
	}
	executor.Aside(ctx, func() { err = s.share.wait(ctx, n) })
	if err == nil {
		s.paid += uint64(n)
	}
	return err
}

// Values of an errno.
const (
	errnoArgument = -1 - iota
	errnoDenied
	errnoTooLarge
	errnoTooMany
	errnoEnded
	errnoFailed
)

var errArgument = errors.New("bad argument")

func errno(err error) int32 {
	switch {
	case errors.Is(err, errArgument):
		return errnoArgument
	case errors.Is(err, egress.ErrDenied):
		return errnoDenied
	case errors.Is(err, egress.ErrTooLarge):
		return errnoTooLarge
	case errors.Is(err, egress.ErrTooMany):
		return errnoTooMany
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return errnoEnded
	}
	return errnoFailed
}

// maxText bounds the text of an error.
const maxText = 1024

// textOf returns what a guest is told of err: nothing of the addresses and the
// resolver of the edge host.
func textOf(err error) string {
	var dns *net.DNSError
	var op *net.OpError
	text := err.Error()
	switch {
	case errors.Is(err, egress.ErrDenied):
	case errors.As(err, &dns):
		text = "lookup " + dns.Name + ": " + dns.Err
	case errors.As(err, &op):
		text = op.Op + ": " + op.Err.Error()
	}
	return text[:min(len(text), maxText)]
}

// add gives h a handle.
func (s *state) add(h *handle) (int, error) {
	for i, other := range s.open {
		if other == nil {
			s.open[i] = h
			return i + 1, nil
		}
	}
	h.close()
	return 0, egress.ErrTooMany
}

// find returns what a handle is for.
func (s *state) find(n uint32) (*handle, error) {
	if n == 0 || uint64(n) > uint64(len(s.open)) || s.open[n-1] == nil {
		return nil, fmt.Errorf("%w: no handle %d", errArgument, n)
	}
	return s.open[n-1], nil
}

// within bounds ctx by a timeout in nanoseconds, 0 for none.
func within(ctx context.Context, timeout int64) (context.Context, context.CancelFunc) {
	if timeout <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Duration(timeout))
}

// moved returns what reading or writing came to: nothing is an error, or the end.
func moved(n int, err error) (int, error) {
	if n > 0 || err == io.EOF {
		return n, nil
	}
	return 0, err
}
