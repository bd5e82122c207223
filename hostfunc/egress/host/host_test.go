package host_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/bungee-xr/bungee/capability"
	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/hostfunc/egress"
	"github.com/bungee-xr/bungee/hostfunc/egress/host"
	"github.com/bungee-xr/bungee/hostfunc/egress/internal/tcptest"
	"github.com/bungee-xr/bungee/internal/abi"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rules allow the addresses they list, wherever they are.
type rules []string

func (r rules) Connects(hostport string) error {
	if !slices.Contains(r, hostport) {
		return errors.New("policy line 7")
	}
	return nil
}

func (r rules) Dials(_ netip.AddrPort, hostport string) error { return r.Connects(hostport) }

func serve(t testing.TB, h http.HandlerFunc) (address string) {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// memory is a guest's memory.
type memory []byte

func (m memory) Bytes(ptr, n uint32) ([]byte, bool) {
	if !abi.Inside(ptr, n, uint64(len(m))) {
		return nil, false
	}
	return m[ptr:][:n], true
}

// A guest calls the host functions of one instance.
type guest struct {
	tb    testing.TB
	mem   memory
	top   int // of what text put into mem
	funcs map[string]executor.HostFunc
}

func newGuest(tb testing.TB, r egress.Rules, cfg host.Config) *guest {
	tb.Helper()
	funcs, done := host.Functions(r, cfg).New()
	tb.Cleanup(done)
	g := &guest{tb: tb, mem: make(memory, 1<<20), top: 1 << 16, funcs: map[string]executor.HostFunc{}}
	for _, f := range funcs {
		g.funcs[f.Name] = f
	}
	return g
}

// text puts s into the memory.
func (g *guest) text(s string) (ptr, n uint64) {
	ptr, n = uint64(g.top), uint64(len(s))
	g.top += copy(g.mem[g.top:], s)
	return ptr, n
}

// call calls a function and returns its result.
func (g *guest) call(ctx context.Context, name string, args ...uint64) int32 {
	g.tb.Helper()
	stack := append(slices.Clone(args), 0)
	if err := g.funcs[name].Call(ctx, g.mem, stack); err != nil {
		g.tb.Fatalf("%s%v trapped: %v", name, args, err)
	}
	return int32(stack[0])
}

func (g *guest) dial(ctx context.Context, address string) int32 {
	g.tb.Helper()
	ptr, n := g.text(address)
	return g.call(ctx, "dial", ptr, n, 0)
}

func (g *guest) get(ctx context.Context, url string) int32 {
	g.tb.Helper()
	ptr, n := g.text(url)
	return g.call(ctx, "http", 0, 0, ptr, n, 0, 0, 0, 0, 0)
}

func (g *guest) said() string {
	g.tb.Helper()
	return string(g.mem[:g.call(g.tb.Context(), "last_error", 0, 2048)])
}

// Values of an errno, as docs/hostfunctions.md has them.
const (
	errnoArgument = -1
	errnoDenied   = -2
	errnoTooLarge = -3
	errnoTooMany  = -4
	errnoEnded    = -5
	errnoFailed   = -6
)

func TestErrno(t *testing.T) {
	web := serve(t, func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write(make([]byte, 2000)) })
	peer := tcptest.Listen(t, tcptest.Echo)
	closed := tcptest.Listen(t, func(net.Conn) {})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := l.Addr().String()
	l.Close()
	ctx := t.Context()
	g := newGuest(t, rules{web, peer, closed, nobody}, host.Config{Body: 1000, Conns: 4})
	response, conn, over := g.get(ctx, "http://"+web), g.dial(ctx, peer), g.dial(ctx, closed)
	if response != 1 || conn != 2 || over != 3 {
		t.Fatalf("handles %d, %d, %d; want 1, 2, 3", response, conn, over)
	}
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	const buf, room = 0, 4096
	tests := []struct {
		why       string
		got, want int32
	}{
		{"status", g.call(ctx, "status", 1), 200},
		{"a header does not fit and says what it needs", min(g.call(ctx, "header", 1, buf, 0), 1), 1},
		{"status of a connection", g.call(ctx, "status", 2), errnoArgument},
		{"write to a response", g.call(ctx, "write", 1, buf, 4, 0), errnoArgument},
		{"no handle 0", g.call(ctx, "read", 0, buf, room, 0), errnoArgument},
		{"a handle nobody gave", g.call(ctx, "read", 4, buf, room, 0), errnoArgument},
		{"a handle beyond all", g.call(ctx, "close", math.MaxUint32), errnoArgument},
		{"not granted", g.dial(ctx, "127.0.0.1:1"), errnoDenied},
		{"not granted", g.get(ctx, "http://127.0.0.1:1"), errnoDenied},
		{"a long address", g.dial(ctx, strings.Repeat("a", egress.MaxAddress+1)), errnoTooLarge},
		{"the body up to its bound", g.call(ctx, "read", 1, buf, room, 0), 1000},
		{"the body beyond it", g.call(ctx, "read", 1, buf, room, 0), errnoTooLarge},
		{"nobody listens", g.dial(ctx, nobody), errnoFailed},
		{"the end", g.call(ctx, "read", 3, buf, room, 0), 0},
		{"nothing to write", g.call(ctx, "write", 2, buf, 0, 0), 0},
		{"nothing to read", g.call(ctx, "read", 2, buf, 0, 0), 0},
		{"a cancelled call reads nothing", g.call(canceled, "read", 2, buf, room, 0), errnoEnded},
		{"a timeout of its own", g.call(ctx, "read", 2, buf, room, uint64(time.Millisecond)), errnoEnded},
		{"the connection lives on", g.call(ctx, "write", 2, buf, 4, 0), 4},
		{"and answers", g.call(ctx, "read", 2, buf, room, 0), 4},
		{"a cancelled call requests nothing", g.get(canceled, "http://"+web), errnoEnded},
		{"as many as may be", g.dial(ctx, peer), 4},
		{"one more", g.dial(ctx, peer), errnoTooMany},
		{"close", g.call(ctx, "close", 4), 0},
		{"close again", g.call(ctx, "close", 4), errnoArgument},
		{"there is room again", g.dial(ctx, peer), 4},
	}
	for _, tt := range tests {
		if tt.got != tt.want {
			t.Errorf("%s: %d; want %d", tt.why, tt.got, tt.want)
		}
	}
}

// TestTexts has errors tell what to do, and nothing of the host's own network.
func TestTexts(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := l.Addr().String()
	l.Close()
	g := newGuest(t, rules{nobody, "no.invalid:1"}, host.Config{})
	g.dial(t.Context(), "127.0.0.1:1")
	if got := g.said(); !strings.Contains(got, "policy line 7") {
		t.Errorf("a refusal says %q; want the rule's words", got)
	}
	g.dial(t.Context(), nobody)
	if got := g.said(); !strings.Contains(got, "refused") || strings.Contains(got, "127.0.0.1") {
		t.Errorf("a failed dial says %q; want the reason without an address", got)
	}
	g.dial(t.Context(), "no.invalid:1")
	if got := g.said(); !strings.HasPrefix(got, "lookup no.invalid: ") || strings.Contains(got, " on ") {
		t.Errorf("a failed lookup says %q; want the name, and no resolver", got)
	}
	if n := g.call(t.Context(), "last_error", 0, 3); n != 3 {
		t.Errorf("a text in room for 3: %d bytes", n)
	}
}

// TestNothing has no rules mean no address.
func TestNothing(t *testing.T) {
	g := newGuest(t, nil, host.Config{})
	if got := g.dial(t.Context(), "example.com:80"); got != errnoDenied {
		t.Errorf("dial: %d; want %d", got, errnoDenied)
	}
}

// TestGrant has the rules of a grant hold, before and after a name is resolved.
func TestGrant(t *testing.T) {
	peer := tcptest.Listen(t, tcptest.Echo)
	_, port, _ := net.SplitHostPort(peer)
	tests := []struct {
		why     string
		connect string
		dial    string
		want    int32
	}{
		{"that address", "127.0.0.1:" + port, peer, 1},
		{"that name", "localhost:" + port, "localhost:" + port, 1},
		{"that address by a name that nobody granted", "127.0.0.1:" + port, "localhost:" + port, errnoDenied},
		{"all names, but none may lead into the host", "*:" + port, "localhost:" + port, errnoDenied},
		{"all addresses, but not the host's own", "*:*", peer, errnoDenied},
		{"another port", "127.0.0.1:1", peer, errnoDenied},
	}
	for _, tt := range tests {
		g := newGuest(t, capability.Grant{Connect: []string{tt.connect}}, host.Config{})
		if got := g.dial(t.Context(), tt.dial); got != tt.want {
			t.Errorf("%s: %s is granted, dial %s: %d %s; want %d", tt.why, tt.connect, tt.dial, got, g.said(), tt.want)
		}
	}
}

// TestInstancesShareNothing has handles and connections belong to their instance.
func TestInstancesShareNothing(t *testing.T) {
	peer := tcptest.Listen(t, tcptest.Echo)
	a, b := newGuest(t, rules{peer}, host.Config{Conns: 1}), newGuest(t, rules{peer}, host.Config{Conns: 1})
	if got := a.dial(t.Context(), peer); got != 1 {
		t.Fatalf("dial: %d", got)
	}
	if got := b.call(t.Context(), "read", 1, 0, 4, 0); got != errnoArgument {
		t.Errorf("another instance reads with the handle: %d; want %d", got, errnoArgument)
	}
	if got := b.dial(t.Context(), peer); got != 1 {
		t.Errorf("another instance has no connection of its own: %d", got)
	}
}

// TestLaterCallEndsResponse has a response that an earlier call left end with the call
// that reads it.
func TestLaterCallEndsResponse(t *testing.T) {
	release := make(chan struct{})
	web := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.(http.Flusher).Flush()
		<-release
	})
	defer close(release)
	g := newGuest(t, rules{web}, host.Config{})
	h := g.get(t.Context(), "http://"+web)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if got := g.call(ctx, "read", uint64(h), 0, 16, 0); got != errnoEnded {
		t.Errorf("read: %d; want %d", got, errnoEnded)
	}
}

// TestAside has a function that waits give its core to others.
func TestAside(t *testing.T) {
	turns := executor.NewTurns(1)
	turn, err := turns.Take(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer turn.Done()
	served := make(chan struct{})
	peer := tcptest.Listen(t, func(c net.Conn) {
		<-served
		_, _ = c.Write([]byte("x"))
		_, _ = c.Read(make([]byte, 1))
	})
	g := newGuest(t, rules{peer}, host.Config{})
	ctx := executor.WithCall(t.Context(), &executor.Call{Turn: turn})
	var wg sync.WaitGroup
	wg.Go(func() {
		other, err := turns.Take(t.Context(), nil)
		if err != nil {
			t.Error(err)
		}
		other.Done()
		close(served)
	})
	h := g.dial(ctx, peer)
	if g.call(ctx, "read", uint64(h), 0, 1, 0) != 1 {
		t.Errorf("read failed: %s", g.said())
	}
	wg.Wait()
	if got := g.call(ctx, "read", uint64(h), 0, 1, uint64(time.Millisecond)); got != errnoEnded {
		t.Errorf("read with a timeout: %d", got)
	}
	if !turn.Yield(ctx) {
		t.Error("the guest goes on without a core, although its call is not over")
	}
}

// FuzzCalls has any function called with any values: it traps or answers, and the host is
// intact. Nothing is granted, so nothing is reached.
func FuzzCalls(f *testing.F) {
	f.Add("dial", uint64(0), uint64(9), uint64(0), uint64(0), uint64(0))
	f.Add("read", uint64(1), uint64(0), uint64(1<<32-1), uint64(1<<63), uint64(0))
	f.Add("http", uint64(0), uint64(3), uint64(4), uint64(12), uint64(20))
	f.Add("last_error", uint64(1<<20-1), uint64(2), uint64(0), uint64(0), uint64(0))
	f.Fuzz(func(t *testing.T, name string, a, b, c, d, e uint64) {
		g := newGuest(t, rules{}, host.Config{Conns: 1})
		copy(g.mem, "GET http://a.invalid/ A: b\r\n")
		fn, ok := g.funcs[name]
		if !ok {
			return
		}
		stack := []uint64{a, b, c, d, e, a, b, c, d, e}
		if err := fn.Call(t.Context(), g.mem, stack); err == nil && int32(stack[0]) > 1024 {
			t.Errorf("%s answers %d", name, int32(stack[0]))
		}
	})
}

// An edge host gives a module the addresses that it is granted.
func ExampleFunctions() {
	grant := rules{"maps.example.com:443"} // a capability.Grant has such rules
	m := host.Functions(grant, host.Config{})
	funcs, done := m.New()
	defer done()
	for _, f := range funcs {
		fmt.Printf("%s.%s(%s) %s\n", m.Name, f.Name, f.Params, f.Results)
	}
	// Output:
	// bungee_egress.http(iiiiiiiil) i
	// bungee_egress.status(i) i
	// bungee_egress.header(iii) i
	// bungee_egress.dial(iil) i
	// bungee_egress.read(iiil) i
	// bungee_egress.write(iiil) i
	// bungee_egress.close(i) i
	// bungee_egress.last_error(ii) i
}
