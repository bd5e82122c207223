//go:build !wasip1

package egress

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Rules decide what may be connected to. A [capability.Grant] implements them. They are
// called by many goroutines.
//
// [capability.Grant]: https://pkg.go.dev/github.com/bungee-xr/bungee/capability#Grant
type Rules interface {
	// Connects returns an error if hostport is not allowed. It is called before the
	// name is resolved.
	Connects(hostport string) error
	// Dials returns an error if addr, an address of hostport, is not allowed.
	Dials(addr netip.AddrPort, hostport string) error
}

// Config configures a [Client]. The zero Config restricts nothing.
type Config struct {
	// Rules decide what may be connected to. Nil allows everything.
	Rules Rules
	// TLS configures https. Nil means the roots of the system.
	TLS *tls.Config
	// Body bounds the body of a request or response, in bytes. Zero means
	// [MaxBody].
	Body int64
	// Conns bounds the open connections, those for HTTP included. Zero means no
	// bound.
	Conns int
	// Admit is asked before each connection is made, by many goroutines. It returns
	// what is called once when the connection is closed or was not made, or an error that is
	// the error of the request or dial. Nil admits all.
	Admit func() (release func(), err error)
	// Resolver resolves names, once for each connection. Nil means the system's.
	Resolver *net.Resolver
}

// dialTimeout bounds a dial that goes on although its request was given up, for
// requests to come.
const dialTimeout = 10 * time.Second

// A Client makes requests and connections within its rules. It may be used by many
// goroutines.
type Client struct {
	cfg  Config
	http http.Client

	in, out atomic.Uint64

	life context.Context // ended by Close
	end  context.CancelFunc

	mu      sync.Mutex
	open    map[*tcpConn]struct{}
	dialled int // as many as are open or being dialled
}

// NewClient returns a client. The caller closes it.
func NewClient(cfg Config) *Client {
	if cfg.Body <= 0 {
		cfg.Body = MaxBody
	}
	if cfg.Admit == nil {
		cfg.Admit = func() (func(), error) { return func() {}, nil }
	}
	c := &Client{cfg: cfg, open: map[*tcpConn]struct{}{}}
	c.life, c.end = context.WithCancel(context.Background())
	c.http = http.Client{
		CheckRedirect: checkRedirect,
		// A new address, by redirect or otherwise, needs a new connection: dial
		// is where all are checked. It sees no proxy.
		Transport: &http.Transport{
			DialContext:            func(ctx context.Context, _, addr string) (net.Conn, error) { return c.dial(ctx, addr) },
			TLSClientConfig:        cfg.TLS.Clone(),
			TLSHandshakeTimeout:    dialTimeout,
			DisableCompression:     true,
			MaxResponseHeaderBytes: MaxHeader,
			MaxIdleConns:           4, // few beside [MaxConns]
			IdleConnTimeout:        30 * time.Second,
		},
	}
	return c
}

func checkRedirect(_ *http.Request, via []*http.Request) error {
	if len(via) > MaxRedirect {
		return fmt.Errorf("more than %d redirects", MaxRedirect)
	}
	return nil
}

// Close closes all connections, including those in use. It may be called twice.
func (c *Client) Close() {
	c.end()
	c.mu.Lock()
	open := slices.Collect(maps.Keys(c.open))
	c.mu.Unlock()
	// First below TLS, which would wait for its peer to hear of the end.
	for _, conn := range open {
		conn.Close()
	}
	c.http.CloseIdleConnections()
}

// Traffic returns how many bytes all connections have received and sent.
func (c *Client) Traffic() (in, out uint64) { return c.in.Load(), c.out.Load() }

// Do makes an HTTP request and reads the response.
func (c *Client) Do(ctx context.Context, r Request) (Response, error) {
	s, err := c.Open(ctx, r)
	if err != nil {
		return Response{}, err
	}
	defer s.Close()
	body, err := io.ReadAll(s)
	return Response{Status: s.Status, Header: s.Header, Body: body}, err
}

// Open makes an HTTP request and returns a response whose body can be read until ctx
// ends. The caller closes it.
func (c *Client) Open(ctx context.Context, r Request) (*Stream, error) {
	req, err := c.request(ctx, r)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, ended(ctx, err)
	}
	return &Stream{
		Status: resp.StatusCode, Header: Header(resp.Header),
		ctx: ctx, body: http.MaxBytesReader(nil, resp.Body, c.cfg.Body),
	}, nil
}

// request returns r as net/http has it.
func (c *Client) request(ctx context.Context, r Request) (*http.Request, error) {
	head, err := r.Header.MarshalText()
	switch {
	case err != nil:
		return nil, err
	case len(r.Method) > MaxMethod || len(r.URL) > MaxURL || len(head) > MaxHeader:
		return nil, fmt.Errorf("%w: a method of %d, a URL of %d and a header of %d bytes; at most %d, %d and %d",
			ErrTooLarge, len(r.Method), len(r.URL), len(head), MaxMethod, MaxURL, MaxHeader)
	case int64(len(r.Body)) > c.cfg.Body:
		return nil, fmt.Errorf("%w: a body of %d bytes; at most %d", ErrTooLarge, len(r.Body), c.cfg.Body)
	}
	// A copy, as net/http may read it for longer than a call takes.
	req, err := http.NewRequestWithContext(ctx, r.Method, r.URL, bytes.NewReader(bytes.Clone(r.Body)))
	if err != nil {
		return nil, err
	}
	for name, values := range r.Header {
		for _, v := range values {
			req.Header.Add(name, v)
		}
	}
	return req, nil
}

// ended returns the cause of ctx when that has ended, else err.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// A Stream is a response whose body is read while it arrives.
type Stream struct {
	Status int
	Header Header

	ctx  context.Context // of the request: it bounds the body
	body io.ReadCloser
}

// Read reads the body. Beyond the bound of [Config].Body it returns [ErrTooLarge].
func (s *Stream) Read(p []byte) (int, error) {
	n, err := s.body.Read(p)
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		err = fmt.Errorf("%w: a body of more than %d bytes", ErrTooLarge, over.Limit)
	case err != nil && err != io.EOF:
		err = ended(s.ctx, err)
	}
	return n, err
}

// Close ends the response.
func (s *Stream) Close() error { return s.body.Close() }

// Dial opens a TCP connection to hostport, a name or an IP with a port. The caller
// closes it.
func (c *Client) Dial(ctx context.Context, hostport string) (*Conn, error) {
	if len(hostport) > MaxAddress {
		return nil, fmt.Errorf("%w: an address of %d bytes; at most %d", ErrTooLarge, len(hostport), MaxAddress)
	}
	conn, err := c.dial(ctx, hostport)
	if err != nil {
		return nil, ended(ctx, err)
	}
	return &Conn{conn: conn, ctx: ctx}, nil
}

// dial makes a connection if the rules allow it.
func (c *Client) dial(ctx context.Context, hostport string) (net.Conn, error) {
	if c.cfg.Rules != nil {
		if err := c.cfg.Rules.Connects(hostport); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrDenied, err)
		}
	}
	release, err := c.reserve()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	defer context.AfterFunc(c.life, cancel)()
	d := net.Dialer{Resolver: c.cfg.Resolver, ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
		return c.resolved(address, hostport)
	}}
	conn, err := d.DialContext(ctx, "tcp", hostport)
	return c.adopt(conn, err, release)
}

// resolved checks an address that hostport resolved to, when the socket is about to be
// connected to it: nothing is resolved in between.
func (c *Client) resolved(address, hostport string) error {
	if c.cfg.Rules == nil {
		return nil
	}
	addr, err := netip.ParseAddrPort(address)
	if err == nil {
		err = c.cfg.Rules.Dials(addr, hostport)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDenied, err)
	}
	return nil
}
