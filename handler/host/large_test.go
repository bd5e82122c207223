package host_test

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"path/filepath"
	"testing"

	"github.com/bungee-xr/bungee/elastic"
	"github.com/bungee-xr/bungee/executor/enginetest"
	"github.com/bungee-xr/bungee/executor/wazero"
	"github.com/bungee-xr/bungee/handler/host"
	"github.com/bungee-xr/bungee/handler/host/testdata/swell"
	"github.com/bungee-xr/bungee/handler/ue"
	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
	"github.com/bungee-xr/bungee/offload/codegen"
)

// A swelling is a channel to a guest whose state and outcomes become as large as messages say.
type swelling struct {
	t      *testing.T
	ch     *elastic.Channel[swell.Message, []byte]
	events chan elastic.Event
	sum    int64 // that the state should have
}

// swells moves a far endpoint to an edge host with cfg that runs Wasm, over a real network. Every message
// that is answered makes a checkpoint due. Compiled modules are in cache.
func swells(t *testing.T, cache string, cfg host.Config) *swelling {
	t.Helper()
	h, edge := startWasm(t, cache, cfg)
	module := codegen.NewModule(enginetest.BuildGo(t, "github.com/bungee-xr/bungee/handler/host/testdata/swell/guest"))
	ch, err := elastic.Open(swell.Endpoint(module), elastic.Config{Deadline: -1, CheckpointMessages: 1})
	if err != nil {
		t.Fatal(err)
	}
	s := &swelling{t: t, ch: ch, events: make(chan elastic.Event, 64)}
	all := ch.Events(context.Background())
	go func() {
		defer close(s.events)
		for e := range all {
			s.events <- e
		}
	}()
	t.Cleanup(func() { ch.Close() })
	if err := ch.Move(t.Context(), h.Target(edge)); err != nil {
		t.Fatal(err)
	}
	return s
}

// startWasm starts an edge host, whose address it returns, and a UE.
func startWasm(t *testing.T, cache string, cfg host.Config) (*ue.Handler, string) {
	t.Helper()
	ca, err := identity.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := ca.TLS(identity.Host, "edge-1")
	ours, ourErr := ca.TLS(identity.UE, "ue")
	engine, engineErr := wazero.New(wazero.Config{CacheDir: filepath.Join(cache, "modules")})
	pc, pcErr := net.ListenPacket("udp", "127.0.0.1:0")
	if err := errors.Join(err, ourErr, engineErr, pcErr); err != nil {
		t.Fatal(err)
	}
	cfg.Name, cfg.Engine, cfg.TLS = "edge-1", engine, theirs
	h, err := host.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- h.Serve(context.Background(), pc) }()
	u, err := ue.Start(t.Context(), ue.Config{TLS: ours})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { u.Close(); h.Close(); <-served; engine.Close() })
	return u, pc.LocalAddr().String()
}

// ask sends m and returns the result.
func (s *swelling) ask(m swell.Message) elastic.Result[[]byte] {
	s.t.Helper()
	if err := s.ch.Send(s.t.Context(), m); err != nil {
		s.t.Fatalf("send %+v: %v", m, err)
	}
	r, err := s.ch.Recv(s.t.Context())
	if err != nil {
		s.t.Fatalf("result of %+v: %v", m, err)
	}
	return r
}

// handles sends m and wants its result from where.
func (s *swelling) handles(m swell.Message, where string) {
	s.t.Helper()
	r := s.ask(m)
	s.sum = swell.After(s.sum, m)
	if r.Err != nil || r.Host != where || len(r.Value) < 8 || int64(binary.BigEndian.Uint64(r.Value)) != s.sum {
		s.t.Fatalf("%+v on %q: %d bytes, %v; want %d from %q", m, r.Host, len(r.Value), r.Err, s.sum, where)
	}
}

// wants waits for an event, and wants its reason to have the code. Events of no harm may come before.
func (s *swelling) wants(kind elastic.Kind, code offload.Code) {
	s.t.Helper()
	for {
		select {
		case e, ok := <-s.events:
			switch {
			case !ok:
				s.t.Fatalf("the channel has ended; want event %v", kind)
			case e.Kind == kind && offload.CodeOf(e.Reason) == code:
				return
			case e.Kind != elastic.Moved && e.Kind != elastic.CheckpointFailed && e.Kind != elastic.Stalled:
				s.t.Fatalf("event %+v; want %v of %v", e, kind, code)
			}
		case <-s.t.Context().Done():
			s.t.Fatalf("no event %v", kind)
		}
	}
}

// A guest with a state or an outcome over a bound.
func TestGuestOverABound(t *testing.T) {
	cache := t.TempDir()
	for _, b := range []struct {
		name, policy string
		most         int64
	}{
		{"what can cross", "", wire.MaxState},
		{"the policy's", "[default]\nlimits.output = \"1 MiB\"\n", 1 << 20},
	} {
		cfg := host.Config{Policy: policy(t, b.policy)}
		t.Run(b.name+"/state", func(t *testing.T) { testTooLargeAState(t, swells(t, cache, cfg), b.most) })
		t.Run(b.name+"/outcome", func(t *testing.T) { testTooLargeAnOutcome(t, swells(t, cache, cfg), b.most) })
	}
	t.Run("its memory/copy of the state", func(t *testing.T) {
		testNoMemoryForACopy(t, swells(t, cache, host.Config{MemoryLimit: 32 << 20}))
	})
}

// A guest whose state is too large to save goes on. No checkpoint and no move takes it from its
// host, until it has become small enough.
func testTooLargeAState(t *testing.T, s *swelling, most int64) {
	s.handles(swell.Message{State: 1}, "edge-1")
	s.handles(swell.Message{State: most}, "edge-1")
	for range 3 {
		s.wants(elastic.CheckpointFailed, offload.CodeTooLarge)
		s.handles(swell.Message{}, "edge-1")
	}
	if err := s.ch.Move(t.Context(), nil); offload.CodeOf(err) != offload.CodeTooLarge {
		t.Errorf("move home: %v; want %v", err, offload.CodeTooLarge)
	}
	s.wants(elastic.MoveFailed, offload.CodeTooLarge)
	s.handles(swell.Message{}, "edge-1")
	if got := s.ch.Stats(); got.Moves != 1 || got.Broken != 0 || got.Fallbacks != 0 || got.Replayed != 0 {
		t.Errorf("stats %+v; want the one move, and nothing broken", got)
	}
	s.handles(swell.Message{State: most / 2}, "edge-1")
	for saved := s.ch.Stats().Checkpoints; s.ch.Stats().Checkpoints == saved; {
		s.handles(swell.Message{}, "edge-1")
	}
	if err := s.ch.Move(t.Context(), nil); err != nil {
		t.Fatalf("move home of half as large a state: %v", err)
	}
	s.handles(swell.Message{}, "")
}

// A message whose outcome is too large has an error for outcome, and the state is as if it had not been sent.
func testTooLargeAnOutcome(t *testing.T, s *swelling, most int64) {
	s.handles(swell.Message{State: 1}, "edge-1")
	r := s.ask(swell.Message{Outcome: most})
	var failed *offload.CallError
	if !errors.As(r.Err, &failed) || failed.Code != offload.CodeTooLarge || failed.Fate != offload.Stopped || r.Host != "edge-1" {
		t.Errorf("%d bytes, %v from %q; want a CallError with %v from edge-1", len(r.Value), r.Err, r.Host, offload.CodeTooLarge)
	}
	s.wants(elastic.Broke, offload.CodeTooLarge)
	s.wants(elastic.Restarted, offload.CodeTooLarge)
	s.handles(swell.Message{}, "edge-1")
	if got := s.ch.Stats(); got.Broken != 1 || got.Fallbacks != 0 {
		t.Errorf("stats %+v; want one message that broke, and no fallback", got)
	}
}

// A guest that has no memory for a copy of its state breaks when it is to save it. The far endpoint goes to the
// UE, with its state: no message is lost.
func testNoMemoryForACopy(t *testing.T, s *swelling) {
	s.handles(swell.Message{State: 1}, "edge-1")
	s.handles(swell.Message{State: 12 << 20, Pieces: 1 << 16}, "edge-1")
	s.wants(elastic.FellBack, offload.CodeOutOfMemory)
	s.handles(swell.Message{}, "")
	if got := s.ch.Stats(); got.Broken != 0 || got.Fallbacks != 1 {
		t.Errorf("stats %+v; want one fallback, and no message that broke", got)
	}
}
