package host_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/native"
	"github.com/bungee-xr/bungee/handler/host"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/offload"
)

// A loader is an engine whose Load does what it is told to before it is echoEngine's.
type loader struct {
	native.Engine
	load        func(ctx context.Context, src executor.Source) error
	instantiate func(ctx context.Context, cfg executor.InstanceConfig)
}

func (l *loader) Load(ctx context.Context, src executor.Source) (executor.Module, error) {
	if l.load != nil {
		if err := l.load(ctx, src); err != nil {
			return nil, err
		}
	}
	m, err := l.Engine.Load(ctx, src)
	return &loaded{m, l}, err
}

type loaded struct {
	executor.Module
	of *loader
}

func (m *loaded) Instantiate(ctx context.Context, cfg executor.InstanceConfig) (executor.Instance, error) {
	if m.of.instantiate != nil {
		m.of.instantiate(ctx, cfg)
	}
	return m.Module.Instantiate(ctx, cfg)
}

// What the UE is told of a module that cannot be loaded.
func TestCodesOfALoad(t *testing.T) {
	for _, tt := range []struct {
		err  error
		code offload.Code
		why  string
	}{
		{executor.ErrABI, offload.CodeBadModule, "it is no guest"},
		{fmt.Errorf("%w: it takes more than 5s to compile", executor.ErrTooLarge), offload.CodeTooLarge, "a bomb, or over a bound of its shape"},
		{fmt.Errorf("%w: too many wait", executor.ErrQuota), offload.CodeOverloaded, "its tenant sends too many at once"},
		{errors.New("the compiler ended on this module"), offload.CodeBadModule, "it crashes the compiler"},
	} {
		engine := &loader{Engine: echoEngine, load: func(context.Context, executor.Source) error { return tt.err }}
		serve(t, host.Config{Engine: engine}, []string{"ue"}, func(t *testing.T, _ *host.Handler, conns []*link.Conn) {
			if got := failOf(t, ask(t, conns[0], put(wasm), true)); got.Code != tt.code || got.Text == "" {
				t.Errorf("a load that fails with %q: %+v, want %q: %s", tt.err, got, tt.code, tt.why)
			}
		})
	}
}

// A load ends when the last UE that waits for it is gone, and not before.
func TestLoadEndsWithItsUEs(t *testing.T) {
	loads := make(chan context.Context, 9)
	engine := &loader{Engine: echoEngine, load: func(ctx context.Context, _ executor.Source) error {
		loads <- ctx
		<-ctx.Done()
		return context.Cause(ctx)
	}}
	serve(t, host.Config{Engine: engine}, []string{"ann", "ann"}, func(t *testing.T, _ *host.Handler, conns []*link.Conn) {
		var streams []link.Stream
		for _, c := range conns {
			st, err := c.Open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			st.Write(put(wasm))
			streams = append(streams, st)
			time.Sleep(time.Second)
		}
		ctx := next(t, loads)
		streams[0].Reset()
		time.Sleep(time.Second)
		if ctx.Err() != nil {
			t.Errorf("the load ended, %v, while a UE waited", context.Cause(ctx))
		}
		streams[1].Reset()
		time.Sleep(time.Second)
		if ctx.Err() == nil {
			t.Error("nobody waits, and the load goes on")
		}
		if len(loads) > 0 {
			t.Error("it was loaded twice")
		}
		// Who comes then is not told of it.
		st, err := conns[0].Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		st.Write(put(wasm))
		time.Sleep(time.Second)
		if again := next(t, loads); again == ctx {
			t.Error("the load that was ended is the new one's")
		}
		st.Reset()
		time.Sleep(time.Second)
	})
}

// next returns the context of the next load, which has begun. (The channel is not of the
// bubble: time stands still for who waits for it.)
func next(t *testing.T, loads chan context.Context) context.Context {
	t.Helper()
	select {
	case ctx := <-loads:
		return ctx
	default:
		t.Error("no load has begun")
		return t.Context()
	}
}

// A host that drains ends the loads under way, whatever they take, and says why.
func TestDrainEndsLoads(t *testing.T) {
	engine := &loader{Engine: echoEngine, load: func(ctx context.Context, _ executor.Source) error {
		<-ctx.Done()
		return context.Cause(ctx)
	}}
	serve(t, host.Config{Engine: engine}, []string{"ann"}, func(t *testing.T, h *host.Handler, conns []*link.Conn) {
		answer := make(chan []byte, 1)
		go func() { answer <- ask(t, conns[0], put(wasm), true) }()
		synctest.Wait()
		time.Sleep(time.Second)
		begin := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_ = h.Shutdown(ctx)
		if took := time.Since(begin); took > 2*time.Second {
			t.Errorf("it took %v to drain in 1s", took)
		}
		if got := <-answer; len(got) > 0 && failOf(t, got).Code != offload.CodeDraining {
			t.Errorf("the UE is told %q", got)
		}
	})
}

// A guest may take as long to start as its tenant's calls may, and no longer.
func TestStartHasTheTenantsDeadline(t *testing.T) {
	var left []time.Duration
	engine := &loader{Engine: echoEngine, instantiate: func(ctx context.Context, _ executor.InstanceConfig) {
		d, _ := ctx.Deadline()
		left = append(left, time.Until(d))
	}}
	cfg := host.Config{Engine: engine, Policy: policy(t, "[default.limits]\ndeadline = \"70ms\"\n")}
	serve(t, cfg, []string{"ann"}, func(t *testing.T, _ *host.Handler, conns []*link.Conn) {
		left = nil
		greet(t, conns[0], 7)
		ask(t, conns[0], put(wasm), true)
		if _, fail := attach(t, conns[0], 1); fail != nil {
			t.Fatal(fail)
		}
		if len(left) != 2 || left[0] > 70*time.Millisecond || left[1] > 70*time.Millisecond {
			t.Errorf("a warm instance and a channel's had %v to start; want 70ms each", left)
		}
	})
}
