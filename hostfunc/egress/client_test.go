//go:build !wasip1

package egress_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/bungee-xr/bungee/hostfunc/egress"
	"github.com/bungee-xr/bungee/hostfunc/egress/internal/tcptest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rules grant what they list, and let it resolve to loopback addresses or not.
type rules struct {
	names    []string
	loopback bool
}

var errRule = errors.New("policy line 7")

func (r rules) Connects(hostport string) error {
	for _, n := range r.names {
		if n == hostport {
			return nil
		}
	}
	return errRule
}

func (r rules) Dials(addr netip.AddrPort, hostport string) error {
	if addr.Addr().Unmap().IsLoopback() && !r.loopback {
		return errRule
	}
	return r.Connects(hostport)
}

func newClient(t *testing.T, cfg egress.Config) *egress.Client {
	t.Helper()
	c := egress.NewClient(cfg)
	t.Cleanup(c.Close)
	return c
}

// serve serves h and returns its host:port and how many requests it got.
func serve(t *testing.T, h http.HandlerFunc) (address string, hits *atomic.Int32) {
	t.Helper()
	hits = &atomic.Int32{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hits.Add(1)
		h(w, r)
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://"), hits
}

func TestDo(t *testing.T) {
	address, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Add("X-Seen", r.Header.Get("X-Mine"))
		w.Header().Add("X-Seen", r.Host)
		w.WriteHeader(http.StatusTeapot)
		fmt.Fprintf(w, "%s %s %s", r.Method, r.URL, body)
	})
	c := newClient(t, egress.Config{Rules: rules{[]string{address}, true}})
	got, err := c.Do(t.Context(), egress.Request{
		Method: "PUT", URL: "http://" + address + "/a?b=c", Body: []byte("body"),
		// Were the small ones sent as they are, one request could hold another.
		Header: egress.Header{"x-mine": {"yes"}, "Host": {"elsewhere"}, "content-length": {"1"}, "transfer-encoding": {"chunked"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got.Status != http.StatusTeapot || string(got.Body) != "PUT /a?b=c body" {
		t.Errorf("got %d %q", got.Status, got.Body)
	}
	if seen := got.Header["X-Seen"]; len(seen) != 2 || seen[0] != "yes" || seen[1] != address || got.Header.Get("x-seen") != "yes" {
		t.Errorf("the server saw %q; want yes and %s", seen, address)
	}
}

func TestDenied(t *testing.T) {
	address, hits := serve(t, func(http.ResponseWriter, *http.Request) {})
	_, port, _ := net.SplitHostPort(address)
	elsewhere := "127.0.0.1:" + port
	redirector, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://"+elsewhere+"/secret", http.StatusFound)
	})
	named := "localhost:" + port
	tests := []struct {
		why   string
		rules rules
		url   string
	}{
		{"nobody granted the name", rules{nil, true}, "http://" + address},
		{"another port is granted", rules{[]string{"127.0.0.1:1"}, true}, "http://" + address},
		{"the name is granted, not where it points", rules{[]string{named}, false}, "http://" + named},
		{"a redirect leads to what is not granted", rules{[]string{redirector}, true}, "http://" + redirector},
	}
	for _, tt := range tests {
		c := newClient(t, egress.Config{Rules: tt.rules})
		_, err := c.Do(t.Context(), egress.Request{URL: tt.url})
		if !errors.Is(err, egress.ErrDenied) || !errors.Is(err, errRule) {
			t.Errorf("%s: Do: %v; want ErrDenied with the rule's error", tt.why, err)
		}
		if tt.url == "http://"+redirector {
			continue
		}
		_, err = c.Dial(t.Context(), strings.TrimPrefix(tt.url, "http://"))
		if !errors.Is(err, egress.ErrDenied) || !errors.Is(err, errRule) {
			t.Errorf("%s: Dial: %v; want ErrDenied with the rule's error", tt.why, err)
		}
	}
	if n := hits.Load(); n != 0 {
		t.Errorf("the server got %d requests; want none", n)
	}
}

// TestRedirects follows as many as may be, and no more.
func TestRedirects(t *testing.T) {
	address, hits := serve(t, func(w http.ResponseWriter, r *http.Request) {
		var left int
		if fmt.Sscanf(r.URL.Path, "/%d", &left); left > 0 {
			http.Redirect(w, r, fmt.Sprintf("/%d", left-1), http.StatusFound)
		}
	})
	c := newClient(t, egress.Config{})
	for _, n := range []int{egress.MaxRedirect, egress.MaxRedirect + 1} {
		hits.Store(0)
		_, err := c.Do(t.Context(), egress.Request{URL: fmt.Sprintf("http://%s/%d", address, n)})
		if follows := n <= egress.MaxRedirect; (err == nil) != follows {
			t.Errorf("%d redirects: %v after %d requests", n, err, hits.Load())
		}
		if got := hits.Load(); got != egress.MaxRedirect+1 {
			t.Errorf("%d redirects: %d requests; want %d", n, got, egress.MaxRedirect+1)
		}
	}
}

func TestBounds(t *testing.T) {
	const most = 1000
	address, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		var n int
		switch {
		case r.URL.Path == "/header":
			w.Header().Set("X-Long", strings.Repeat("x", 2*egress.MaxHeader))
		default:
			fmt.Sscanf(r.URL.Path, "/%d", &n)
			_, _ = w.Write(make([]byte, n))
		}
	})
	url := "http://" + address
	tests := []struct {
		why  string
		r    egress.Request
		want error // nil: none
		ok   bool
	}{
		{"a body as large as may be", egress.Request{URL: url + "/1000"}, nil, true},
		{"a byte more", egress.Request{URL: url + "/1001"}, egress.ErrTooLarge, false},
		{"much more", egress.Request{URL: url + "/1000000"}, egress.ErrTooLarge, false},
		{"a request as large as may be", egress.Request{URL: url, Body: make([]byte, most)}, nil, true},
		{"a byte more", egress.Request{URL: url, Body: make([]byte, most+1)}, egress.ErrTooLarge, false},
		{"a long URL", egress.Request{URL: url + strings.Repeat("/", egress.MaxURL)}, egress.ErrTooLarge, false},
		{"a long method", egress.Request{URL: url, Method: strings.Repeat("A", egress.MaxMethod+1)}, egress.ErrTooLarge, false},
		{"a long header", egress.Request{URL: url, Header: egress.Header{"A": {strings.Repeat("A", egress.MaxHeader)}}}, egress.ErrTooLarge, false},
		{"a long header comes back", egress.Request{URL: url + "/header"}, nil, false},
		{"two lines in one", egress.Request{URL: url, Header: egress.Header{"A": {"b\r\nC: d"}}}, nil, false},
		{"no http", egress.Request{URL: "file:///etc/passwd"}, nil, false},
		{"no URL", egress.Request{}, nil, false},
		{"two methods", egress.Request{URL: url, Method: "GET / HTTP/1.1\r\n"}, nil, false},
	}
	c := newClient(t, egress.Config{Body: most})
	for _, tt := range tests {
		got, err := c.Do(t.Context(), tt.r)
		if (err == nil) != tt.ok || tt.want != nil && !errors.Is(err, tt.want) {
			t.Errorf("%s: %v; want %v, success %t", tt.why, err, tt.want, tt.ok)
		}
		if len(got.Body) > most {
			t.Errorf("%s: a body of %d bytes came through", tt.why, len(got.Body))
		}
	}
	if _, err := c.Dial(t.Context(), strings.Repeat("a", egress.MaxAddress+1)); !errors.Is(err, egress.ErrTooLarge) {
		t.Errorf("a long address: %v", err)
	}
}

func TestTLS(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Proto) }))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	var unknown *tls.CertificateVerificationError
	if _, err := newClient(t, egress.Config{}).Do(t.Context(), egress.Request{URL: s.URL}); !errors.As(err, &unknown) {
		t.Errorf("a certificate of nobody's: %v; want it refused", err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	c := newClient(t, egress.Config{TLS: &tls.Config{RootCAs: roots}})
	got, err := c.Do(t.Context(), egress.Request{URL: s.URL})
	if err != nil || string(got.Body) != "HTTP/1.1" {
		t.Errorf("got %q, %v; want HTTP/1.1", got.Body, err)
	}
}

func TestConns(t *testing.T) {
	address := tcptest.Listen(t, tcptest.Echo)
	web, _ := serve(t, func(http.ResponseWriter, *http.Request) {})
	c := newClient(t, egress.Config{Conns: 3})
	if _, err := c.Do(t.Context(), egress.Request{URL: "http://" + web}); err != nil {
		t.Fatal(err)
	}
	var conns []*egress.Conn
	for range 3 { // what HTTP keeps makes room
		conn, err := c.Dial(t.Context(), address)
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
	}
	if _, err := c.Dial(t.Context(), address); !errors.Is(err, egress.ErrTooMany) {
		t.Errorf("one connection more: %v; want ErrTooMany", err)
	}
	if _, err := c.Do(t.Context(), egress.Request{URL: "http://" + web}); !errors.Is(err, egress.ErrTooMany) {
		t.Errorf("a request more: %v; want ErrTooMany", err)
	}
	conns[1].Close()
	conns[1].Close()
	conn, err := c.Dial(t.Context(), address)
	if err != nil {
		t.Fatalf("after one was closed: %v", err)
	}
	if _, err := c.Dial(t.Context(), address); !errors.Is(err, egress.ErrTooMany) {
		t.Errorf("closing one twice made room for two: %v", err)
	}
	c.Close()
	if _, err := conn.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close of the client: %v; want a closed connection", err)
	}
	if _, err := c.Dial(t.Context(), address); err == nil {
		t.Error("a closed client dials")
	}
}

// TestContextEndsReads has the context end a read that hangs, and the connection live on.
func TestContextEndsReads(t *testing.T) {
	release := make(chan struct{})
	address := tcptest.Listen(t, func(c net.Conn) {
		<-release
		_, _ = c.Write([]byte("late"))
		tcptest.Echo(c)
	})
	c := newClient(t, egress.Config{})
	conn, err := c.Dial(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	mine := errors.New("the user went away")
	tests := []struct {
		why  string
		ctx  func() (context.Context, func())
		want error
	}{
		{"deadline", func() (context.Context, func()) {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
			return ctx, cancel
		}, context.DeadlineExceeded},
		{"cancelled while it reads", func() (context.Context, func()) {
			ctx, cancel := context.WithCancelCause(t.Context())
			timer := time.AfterFunc(10*time.Millisecond, func() { cancel(mine) })
			return ctx, func() { timer.Stop() }
		}, mine},
		{"cancelled before", func() (context.Context, func()) {
			ctx, cancel := context.WithCancelCause(t.Context())
			cancel(mine)
			return ctx, func() {}
		}, mine},
	}
	for _, tt := range tests {
		ctx, done := tt.ctx()
		conn.Bind(ctx)
		if n, err := conn.Read(make([]byte, 8)); n != 0 || err != tt.want {
			t.Errorf("%s: %d, %v; want %v", tt.why, n, err, tt.want)
		}
		done()
	}
	close(release)
	conn.Bind(t.Context())
	buf := make([]byte, 4)
	if _, err := io.ReadFull(conn, buf); err != nil || string(buf) != "late" {
		t.Errorf("the next read: %q, %v; want late", buf, err)
	}
}

// TestContextEndsWrites is the same for a peer that does not read.
func TestContextEndsWrites(t *testing.T) {
	release := make(chan struct{})
	address := tcptest.Listen(t, func(net.Conn) { <-release })
	defer close(release)
	c := newClient(t, egress.Config{})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	conn, err := c.Dial(ctx, address)
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = conn.Write(make([]byte, 1<<20))
	}
	if err != context.DeadlineExceeded {
		t.Errorf("got %v; want the deadline", err)
	}
}

func TestContextEndsRequests(t *testing.T) {
	release := make(chan struct{})
	address, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/body" {
			_, _ = w.Write([]byte("begun"))
			w.(http.Flusher).Flush()
		}
		<-release
	})
	defer close(release)
	silent := tcptest.Listen(t, func(net.Conn) { <-release })
	c := newClient(t, egress.Config{})
	for _, url := range []string{"http://" + address + "/header", "http://" + address + "/body", "https://" + silent} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		got, err := c.Do(ctx, egress.Request{URL: url})
		cancel()
		if err != context.DeadlineExceeded {
			t.Errorf("%s hangs: %q, %v; want the deadline", url, got.Body, err)
		}
	}
}

func TestTraffic(t *testing.T) {
	c := newClient(t, egress.Config{})
	conn, err := c.Dial(t.Context(), tcptest.Listen(t, tcptest.Echo))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, make([]byte, 600)); err != nil {
		t.Fatal(err)
	}
	if in, out := c.Traffic(); in != 600 || out != 1000 {
		t.Errorf("%d in, %d out; want 600, 1000", in, out)
	}
}

func TestConcurrency(t *testing.T) {
	address, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = w.Write(body)
	})
	peer := tcptest.Listen(t, tcptest.Echo)
	c := newClient(t, egress.Config{})
	var wg sync.WaitGroup
	for i := range 8 {
		want := bytes.Repeat([]byte{byte(i)}, 10_000)
		wg.Go(func() {
			for range 10 {
				got, err := c.Do(t.Context(), egress.Request{Method: "POST", URL: "http://" + address, Body: want})
				if err != nil || !bytes.Equal(got.Body, want) {
					t.Errorf("Do: %d bytes, %v", len(got.Body), err)
				}
			}
		})
		wg.Go(func() {
			conn, err := c.Dial(t.Context(), peer)
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			var writing sync.WaitGroup
			writing.Go(func() { _, _ = conn.Write(want) })
			got := make([]byte, len(want))
			if _, err := io.ReadFull(conn, got); err != nil || !bytes.Equal(got, want) {
				t.Errorf("Dial: %v", err)
			}
			writing.Wait()
		})
	}
	wg.Wait()
}

func FuzzHeader(f *testing.F) {
	f.Add("A: b\r\nA:c\r\nD: \r\n")
	f.Add("A: b\nC: d")
	f.Add(": x\r\n")
	f.Add("A\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		var h, again egress.Header
		if h.UnmarshalText([]byte(text)) != nil {
			return
		}
		made, err := h.MarshalText()
		if err != nil {
			t.Fatalf("%q reads as %q, which cannot be written: %v", text, h, err)
		}
		if err := again.UnmarshalText(made); err != nil || fmt.Sprint(again) != fmt.Sprint(h) {
			t.Errorf("%q reads as %q, is written as %q, and reads as %q, %v", text, h, made, again, err)
		}
	})
}

// lying returns a resolver whose n-th answer for an IPv4 address has the addresses of
// answers[n], of which the last is the answer to all further questions. asked counts them.
func lying(t *testing.T, answers ...[]string) (r *net.Resolver, asked *atomic.Int32) {
	asked = &atomic.Int32{}
	answer := func(query []byte) []byte {
		var m dnsmessage.Message
		if err := m.Unpack(query); err != nil {
			t.Error(err)
			return nil
		}
		m.Response, m.RecursionAvailable, m.Additionals = true, true, nil
		if q := m.Questions[0]; q.Type == dnsmessage.TypeA {
			n := int(asked.Add(1)) - 1
			for _, ip := range answers[min(n, len(answers)-1)] {
				m.Answers = append(m.Answers, dnsmessage.Resource{
					Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class},
					Body:   &dnsmessage.AResource{A: netip.MustParseAddr(ip).As4()},
				})
			}
		}
		packed, err := m.Pack()
		if err != nil {
			t.Error(err)
		}
		return packed
	}
	server := tcptest.Listen(t, func(c net.Conn) {
		for size := make([]byte, 2); ; { // RFC 1035, 4.2.2
			if _, err := io.ReadFull(c, size); err != nil {
				return
			}
			query := make([]byte, int(size[0])<<8|int(size[1]))
			if _, err := io.ReadFull(c, query); err != nil {
				return
			}
			a := answer(query)
			_, _ = c.Write(append([]byte{byte(len(a) >> 8), byte(len(a))}, a...))
		}
	})
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", server)
	}}, asked
}

// only are rules that let any name lead to one address.
type only struct{ ip string }

func (only) Connects(string) error { return nil }

func (r only) Dials(addr netip.AddrPort, _ string) error {
	if addr.Addr().String() != r.ip {
		return errRule
	}
	return nil
}

// TestRebinding has a resolver that first answers with the address that is granted, and
// then with one that is not: what was checked is what is connected to.
func TestRebinding(t *testing.T) {
	granted, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer granted.Close()
	_, port, _ := net.SplitHostPort(granted.Addr().String())
	inside, err := net.Listen("tcp", "127.0.0.2:"+port)
	if err != nil {
		t.Skipf("no second loopback address: %v; on Linux run go test -run TestRebinding ./hostfunc/egress", err)
	}
	var reached atomic.Int32
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := inside.Accept()
			if err != nil {
				return
			}
			reached.Add(1)
			c.Close()
		}
	})
	tests := []struct {
		why     string
		answers [][]string
		dials   []bool // whether each succeeds
	}{
		{"another answer to the second question", [][]string{{"127.0.0.1"}, {"127.0.0.2"}}, []bool{true, false, false}},
		{"both at once", [][]string{{"127.0.0.2", "127.0.0.1"}}, []bool{true, true}},
		{"the wrong one, and then the right one", [][]string{{"127.0.0.2"}, {"127.0.0.1"}}, []bool{false, true}},
	}
	for _, tt := range tests {
		resolver, asked := lying(t, tt.answers...)
		c := newClient(t, egress.Config{Rules: only{"127.0.0.1"}, Resolver: resolver})
		for i, want := range tt.dials {
			conn, err := c.Dial(t.Context(), "rebind.example:"+port)
			if (err == nil) != want || err != nil && !errors.Is(err, egress.ErrDenied) {
				t.Errorf("%s: dial %d: %v; want success %t", tt.why, i, err, want)
			}
			if err == nil {
				conn.Close()
			}
			if got := int(asked.Load()); got != i+1 {
				t.Errorf("%s: %d questions for %d dials; want one each", tt.why, got, i+1)
			}
		}
	}
	inside.Close()
	wg.Wait()
	if n := reached.Load(); n != 0 {
		t.Errorf("the address that was not granted was connected to %d times", n)
	}
}

// TestAdmit has each connection admitted, those of HTTP and of redirects too, and released
// once.
func TestAdmit(t *testing.T) {
	full := errors.New("full")
	web, _ := serve(t, func(http.ResponseWriter, *http.Request) {})
	redirector, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://"+web, http.StatusFound)
	})
	var admitted, released atomic.Int32
	c := newClient(t, egress.Config{Admit: func() (func(), error) {
		if admitted.Load() == 3 {
			return nil, full
		}
		admitted.Add(1)
		return func() { released.Add(1) }, nil
	}})
	if _, err := c.Do(t.Context(), egress.Request{URL: "http://" + redirector}); err != nil {
		t.Fatal(err)
	}
	if n := admitted.Load(); n != 2 {
		t.Errorf("a redirect took %d connections; want 2", n)
	}
	conn, err := c.Dial(t.Context(), web)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Dial(t.Context(), web); !errors.Is(err, full) {
		t.Errorf("one more: %v; want the error of Admit", err)
	}
	conn.Close()
	conn.Close()
	c.Close()
	if n := released.Load(); n != 3 {
		t.Errorf("%d releases of 3 connections", n)
	}
}
