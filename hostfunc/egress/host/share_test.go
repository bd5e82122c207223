package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bungee-xr/bungee/capability"
	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/hostfunc/egress"
	"github.com/bungee-xr/bungee/hostfunc/egress/internal/tcptest"
)

// TestShareCounts holds that a share lets through in a second what its bounds say, and
// again as much in the next one.
func TestShareCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShare("acme", capability.Egress{CallsPerSecond: 3, ConnectionsPerSecond: 4, Connections: 3})
		for second := range 3 {
			calls, open := 0, []func(){}
			for range 10 {
				if s.call() == nil {
					calls++
				}
				if release, err := s.admit(); err == nil {
					open = append(open, release)
				} else if !errors.Is(err, egress.ErrTooMany) {
					t.Fatalf("a connection too many: %v; want ErrTooMany", err)
				}
			}
			if calls != 3 || len(open) != 3 {
				t.Errorf("second %d: %d calls and %d open connections; want 3 and 3", second, calls, len(open))
			}
			open[0]()
			if _, err := s.admit(); err == nil {
				t.Errorf("second %d: a fifth connection begins, though only four may", second)
			}
			for _, release := range open[1:] {
				release()
			}
			time.Sleep(time.Second)
		}
	})
}

// TestShareWaits holds that bytes keep their rate, whether they are known before or are
// counted afterwards, and that nobody waits past a deadline.
func TestShareWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShare("acme", capability.Egress{BytesPerSecond: 1000})
		start := time.Now()
		for range 5 { // of which the first second's were saved up
			if err := s.wait(t.Context(), 1000); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(start); took != 4*time.Second {
			t.Errorf("5000 bytes took %v; want 4s", took)
		}
		s.moved(10_000)
		soon, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.wait(soon, 1); !errors.Is(err, egress.ErrTooMany) {
			t.Errorf("with a debt of 10 s and 1 s left: %v; want ErrTooMany", err)
		}
		if took := time.Since(start); took != 4*time.Second {
			t.Errorf("it was told after %v; want at once", took-4*time.Second)
		}
		gone, end := context.WithCancelCause(t.Context())
		end(io.ErrUnexpectedEOF)
		if err := s.wait(gone, 1); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("with an ended context: %v; want its cause", err)
		}
		if err := s.wait(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took < 14*time.Second {
			t.Errorf("the debt was paid after %v; want 10 s", took-4*time.Second)
		}
	})
}

// TestNoBounds has zero bounds, and no share, let everything through.
func TestNoBounds(t *testing.T) {
	for _, s := range []*Share{nil, newShare("acme", capability.Egress{})} {
		for range 10_000 {
			if err := s.call(); err != nil {
				t.Fatal(err)
			}
			if _, err := s.admit(); err != nil {
				t.Fatal(err)
			}
		}
		s.moved(1 << 50)
		if err := s.wait(t.Context(), 1<<40); err != nil {
			t.Fatal(err)
		}
	}
}

// TestTenants holds that a tenant has one share, others have their own, and those of
// tenants without modules are forgotten.
func TestTenants(t *testing.T) {
	var all Tenants
	e := capability.Egress{CallsPerSecond: 1}
	a := all.Share("a", e)
	if all.Share("a", e) != a || all.Share("b", e) == a {
		t.Error("want one share for each tenant")
	}
	more := capability.Egress{CallsPerSecond: 3}
	all.Share("a", more)
	for i := range 4 {
		if err := a.call(); (err == nil) != (i < 3) {
			t.Errorf("call %d of a share that may make 3 a second now: %v", i+1, err)
		}
	}
	for i := range 1000 {
		all.Share(fmt.Sprint("guest", i), e)
	}
	kept := func() int {
		all.mu.Lock()
		defer all.mu.Unlock()
		return len(all.all)
	}
	for kept() > 1 { // it never ends where they are not forgotten
		runtime.GC()
		runtime.Gosched()
	}
	if all.Share("a", e) != a {
		t.Error("a share that is used was forgotten")
	}
	runtime.KeepAlive(a)
}

// instance returns the state of a guest with share, which may connect anywhere.
func instance(t *testing.T, share *Share) *state {
	s := newState(egress.Config{Conns: 64}, share)
	t.Cleanup(s.close)
	return s
}

// TestGuestsShare has two instances of a tenant use up its share together, and a third of
// another tenant have its own.
func TestGuestsShare(t *testing.T) {
	peer := tcptest.Listen(t, tcptest.Echo)
	var all Tenants
	e := capability.Egress{CallsPerSecond: 1000, ConnectionsPerSecond: 1000, Connections: 5}
	share := all.Share("acme", e)
	mine := []*state{instance(t, share), instance(t, all.Share("acme", e))}
	dialled := 0
	for i := range 10 {
		_, err := mine[i%2].dial(t.Context(), dialIn{Address: peer})
		switch {
		case err == nil:
			dialled++
		case !errors.Is(err, egress.ErrTooMany):
			t.Fatal(err)
		}
	}
	if dialled != 5 {
		t.Errorf("two instances opened %d connections; want 5", dialled)
	}
	if _, err := instance(t, all.Share("beta", e)).dial(t.Context(), dialIn{Address: peer}); err != nil {
		t.Errorf("another tenant: %v", err)
	}
	if _, err := mine[0].drop(t.Context(), handleIn{1}); err != nil {
		t.Fatal(err)
	}
	if _, err := mine[1].dial(t.Context(), dialIn{Address: peer}); err != nil {
		t.Errorf("after one was closed: %v", err)
	}
	for _, s := range mine {
		s.close()
	}
	if share.mu.Lock(); share.open != 0 {
		t.Errorf("%d connections are counted after both instances ended; want 0", share.open)
	}
	share.mu.Unlock()
}

// TestFailedDialsAreReleased holds that what could not be connected counts no longer.
func TestFailedDialsAreReleased(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := l.Addr().String()
	l.Close()
	share := newShare("acme", capability.Egress{Connections: 1})
	s := instance(t, share)
	for range 3 {
		if _, err := s.dial(t.Context(), dialIn{Address: nobody}); err == nil || errors.Is(err, egress.ErrTooMany) {
			t.Fatalf("dial to nobody: %v; want it refused by the network", err)
		}
	}
	if share.open != 0 {
		t.Errorf("%d connections are counted; want 0", share.open)
	}
}

// TestBytesAreCountedOnce has a guest send and receive, and its share know each byte
// once: what it paid before it was sent is not counted afterwards.
func TestBytesAreCountedOnce(t *testing.T) {
	peer := tcptest.Listen(t, tcptest.Echo)
	const burst = 1 << 30
	share := newShare("acme", capability.Egress{BytesPerSecond: burst})
	share.now().bytes.SetLimit(1) // no byte comes back while the test runs
	s := instance(t, share)
	h, err := s.dial(t.Context(), dialIn{Address: peer})
	if err != nil {
		t.Fatal(err)
	}
	ctx := executor.WithCall(t.Context(), &executor.Call{})
	data := make([]byte, 10_000)
	n, err := s.write(ctx, moveIn{Handle: uint32(h), Data: data})
	if err != nil || n != len(data) {
		t.Fatal(n, err)
	}
	s.count(ctx)
	for got := 0; got < n; {
		m, err := s.read(ctx, moveIn{Handle: uint32(h), Data: data})
		if err != nil {
			t.Fatal(err)
		}
		s.count(ctx)
		got += m
	}
	// Each wait for no bytes takes one: the dial's and those of the reads.
	used := burst - share.now().bytes.Tokens()
	if used < 2*float64(n)-10 || used > 2*float64(n)+100 {
		t.Errorf("the share counted %.0f bytes; want %d", used, 2*n)
	}
}

// What the host holds for a guest's requests and connections counts as its tenant's memory, and is bounded by that.
func TestBuffersCount(t *testing.T) {
	release := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Long", strings.Repeat("x", 10_000))
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		<-release
	}))
	defer srv.Close()
	defer close(release)
	const body = 4 << 20
	begin := func(quota int64) (*state, *executor.Tenant, context.Context) {
		tenant := executor.NewTenant("acme", capability.Quota{Memory: quota})
		ctx := executor.WithCall(t.Context(), &executor.Call{Account: &executor.Account{Tenant: tenant}})
		return instance(t, nil), tenant, ctx
	}
	s, tenant, ctx := begin(0)
	in := httpIn{Method: "POST", URL: srv.URL, Body: make([]byte, body)}
	for i := range int64(3) {
		if _, err := s.http(ctx, in); err != nil {
			t.Fatal(err)
		}
		if held, least := tenant.Holding().Memory, (i+1)*(body+connCost+30_000); held < least || held > least+least/10 {
			t.Errorf("%d requests with bodies of %d bytes: %d bytes count, want %d and little more", i+1, body, held, least)
		}
	}
	if _, err := s.drop(ctx, handleIn{1}); err != nil {
		t.Fatal(err)
	}
	if held := tenant.Holding().Memory; held > 2*body+body/2 {
		t.Errorf("%d bytes count for two requests", held)
	}
	s.close()
	if held := tenant.Holding().Memory; held != 0 {
		t.Errorf("%d bytes count when the instance has ended", held)
	}
	s, tenant, ctx = begin(body)
	if _, err := s.http(ctx, in); !errors.Is(err, egress.ErrTooMany) {
		t.Errorf("a body that the tenant has no room for: %v, want %v", err, egress.ErrTooMany)
	}
	if held := tenant.Holding().Memory; held != 0 {
		t.Errorf("%d bytes count after a refusal", held)
	}
	s, tenant, ctx = begin(connCost - 1)
	if _, err := s.dial(ctx, dialIn{Address: srv.Listener.Addr().String()}); !errors.Is(err, egress.ErrTooMany) {
		t.Errorf("a connection that the tenant has no room for: %v, want %v", err, egress.ErrTooMany)
	}
	if held := tenant.Holding().Memory; held != 0 {
		t.Errorf("%d bytes count after a refusal", held)
	}
}
