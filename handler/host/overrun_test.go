package host_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/native"
	"github.com/bungee-xr/bungee/handler/host"
	"github.com/bungee-xr/bungee/internal/abi"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// functions is an engine whose endpoint has these three.
func functions(handle, save, restore native.Func) native.Engine {
	return native.Engine{Functions: func() []native.Func { return []native.Func{handle, save, restore} }}
}

func echo(_ context.Context, request, dst []byte) ([]byte, error) {
	return append(append(dst, byte(abi.OK)), request...), nil
}

// late waits for its deadline, as an engine that stops a guest then.
func late(ctx context.Context, _, _ []byte) ([]byte, error) {
	<-ctx.Done()
	if ctx.Err() == context.DeadlineExceeded {
		return nil, fmt.Errorf("%w: %q", executor.ErrDeadline, "wasm trap: interrupt\nwasm backtrace:\n    0: <unknown>!<wasm function 6282>")
	}
	return nil, fmt.Errorf("%w: %w", executor.ErrCanceled, ctx.Err())
}

// A state that the guest cannot give, because it is over the bound, stays with its guest.
func TestGuestSaysThatItsStateIsTooLarge(t *testing.T) {
	tooLarge := func(_ context.Context, _, dst []byte) ([]byte, error) {
		return abi.AppendError(append(dst, byte(abi.Error)), abi.CodeTooLarge, "reply of 70000000 bytes"), nil
	}
	serve(t, host.Config{Engine: functions(echo, tooLarge, echo)}, []string{"ue"}, func(t *testing.T, _ *host.Handler, conns []*link.Conn) {
		c := conns[0]
		greet(t, c, 7)
		ask(t, c, put(wasm), true)
		st, fail := attach(t, c, 1)
		if fail != nil {
			t.Fatal(fail)
		}
		for seq := range uint64(2) {
			message(t, st, seq+1, "x")
			got := failOf(t, ask(t, c, wire.AppendSnapshot(nil, wire.Snapshot{ID: 1}), true))
			if got.Code != offload.CodeTooLarge || !strings.Contains(got.Text, "save the state: reply of 70000000 bytes") {
				t.Errorf("snapshot: %+v; want %v, and the size", got, offload.CodeTooLarge)
			}
		}
	})
	// One that it has no memory for breaks the guest, and no message is to blame.
	hungry := func(context.Context, []byte, []byte) ([]byte, error) { return nil, executor.ErrMemory }
	serve(t, host.Config{Engine: functions(echo, hungry, echo)}, []string{"ue"}, func(t *testing.T, _ *host.Handler, conns []*link.Conn) {
		go func() {
			time.Sleep(time.Second) // virtual: it is attached
			ask(t, conns[0], wire.AppendSnapshot(nil, wire.Snapshot{ID: 1}), true)
		}()
		wantHalt(t, conns[0], nil, 0, offload.CodeOutOfMemory, "save the state: guest trapped")
	})
	// As an outcome it breaks the far endpoint: the message has changed the state.
	serve(t, host.Config{Engine: functions(tooLarge, echo, echo)}, []string{"ue"}, func(t *testing.T, _ *host.Handler, conns []*link.Conn) {
		wantHalt(t, conns[0], wire.AppendMessage(nil, wire.Message{Epoch: 1, Seq: 1}), 1, offload.CodeTooLarge, "reply of 70000000 bytes")
	})
}

// wantHalt attaches a far endpoint, sends frame and wants a Halt.
func wantHalt(t *testing.T, c *link.Conn, frame []byte, seq uint64, code offload.Code, text string) {
	t.Helper()
	greet(t, c, 7)
	ask(t, c, put(wasm), true)
	st, fail := attach(t, c, 1)
	if fail != nil {
		t.Fatal(fail)
	}
	st.Write(frame)
	typ, err := wire.ReadType(st)
	if err != nil || typ != wire.TypeHalt {
		t.Fatalf("frame 0x%02x, %v; want a halt", typ, err)
	}
	h, err := wire.ReadHalt(st)
	if err != nil || h.Seq != seq || h.Fail.Code != code || !h.Fail.Started || !strings.Contains(h.Fail.Text, text) {
		t.Errorf("halt %+v, %v; want %v of message %d that says %q", h, err, code, seq, text)
	}
}

// A state that does not fit is refused with the code, the size and the limit.
func TestRestoreThatDoesNotFit(t *testing.T) {
	hungry := func(context.Context, []byte, []byte) ([]byte, error) {
		return nil, fmt.Errorf("%w; its limit is 33554432 bytes: %q", executor.ErrMemory, "unreachable")
	}
	serve(t, host.Config{Engine: functions(echo, echo, hungry)}, []string{"ue"}, func(t *testing.T, _ *host.Handler, conns []*link.Conn) {
		frames := append(wire.AppendState(nil, wire.TypeRestore, wire.State{Seq: 9, Size: 3}), "big"...)
		frames = wire.AppendMessage(frames, wire.Message{Epoch: 1, Seq: 10})
		wantHalt(t, conns[0], frames, 0, offload.CodeOutOfMemory, "restore a state of 3 bytes: guest trapped after it was refused memory; its limit is 33554432 bytes")
	})
}

// What UEs do every day is no warning, and its record is a line: a call that is given up,
// and a call and a message that are late.
func TestEverydayIsNoWarning(t *testing.T) {
	var log records
	cfg := host.Config{Engine: functions(late, echo, echo), CallLimit: 100 * time.Millisecond, Logger: slog.New(&log)}
	serve(t, cfg, []string{"ue"}, func(t *testing.T, _ *host.Handler, conns []*link.Conn) {
		c := conns[0]
		greet(t, c, 7)
		ask(t, c, put(wasm), true)
		given, err := c.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		given.Write(call(wasm))
		time.Sleep(10 * time.Millisecond)
		given.Reset()
		if got := failOf(t, ask(t, c, call(wasm), true)); got.Code != offload.CodeDeadline || !got.Started {
			t.Errorf("a late call: %+v", got)
		}
		wantHaltOf(t, c, 2)
	})
	for _, r := range log.all() {
		failed := strings.Contains(r.Message, "failed") || strings.Contains(r.Message, "refused")
		r.Attrs(func(a slog.Attr) bool {
			if failed && (r.Level >= slog.LevelWarn || strings.Contains(a.Value.String(), "backtrace")) {
				t.Errorf("%v %s: %v", r.Level, r.Message, a)
			}
			return true
		})
	}
}

// wantHaltOf has an attached far endpoint overrun its first message.
func wantHaltOf(t *testing.T, c *link.Conn, id uint64) {
	t.Helper()
	st, fail := attach(t, c, id)
	if fail != nil {
		t.Fatal(fail)
	}
	st.Write(wire.AppendMessage(nil, wire.Message{Epoch: 1, Seq: 1}))
	typ, err := wire.ReadType(st)
	if err != nil || typ != wire.TypeHalt {
		t.Fatalf("frame 0x%02x, %v; want a halt", typ, err)
	}
	h, err := wire.ReadHalt(st)
	if want := executor.ErrDeadline.Error(); err != nil || h.Seq != 1 || h.Fail.Code != offload.CodeDeadline || !h.Fail.Started || h.Fail.Text != want {
		t.Errorf("halt %+v, %v; want %v of message 1, started, that says %q", h, err, offload.CodeDeadline, want)
	}
}

// records keeps what is logged.
type records struct {
	mu   sync.Mutex
	kept []slog.Record
}

func (*records) Enabled(context.Context, slog.Level) bool { return true }
func (l *records) WithAttrs([]slog.Attr) slog.Handler     { return l }
func (l *records) WithGroup(string) slog.Handler          { return l }

func (l *records) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kept = append(l.kept, r)
	return nil
}

func (l *records) all() []slog.Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.kept
}

// A host that drains tells each channel at once, and serves its messages and snapshots until
// it has left or the drain ends, but not longer.
func TestDrainBoundsChannels(t *testing.T) {
	slow := func(ctx context.Context, _, dst []byte) ([]byte, error) {
		select {
		case <-ctx.Done():
			return nil, executor.ErrCanceled
		case <-time.After(4 * time.Second):
			return append(dst, byte(abi.OK)), nil
		}
	}
	serve(t, host.Config{Engine: functions(echo, slow, echo)}, []string{"ue"}, func(t *testing.T, h *host.Handler, conns []*link.Conn) {
		c := conns[0]
		greet(t, c, 7)
		ask(t, c, put(wasm), true)
		var all []link.Stream
		for id := range uint64(2) {
			st, fail := attach(t, c, id+1)
			if fail != nil {
				t.Fatal(fail)
			}
			all = append(all, st)
		}
		const drain = 10 * time.Second
		begin := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), drain)
		defer cancel()
		done := make(chan error, 1)
		go func() { done <- h.Shutdown(ctx) }()
		for i, st := range all {
			typ, err := wire.ReadType(st)
			halt, haltErr := wire.ReadHalt(st)
			if took := time.Since(begin); err != nil || haltErr != nil || typ != wire.TypeHalt || halt.Fail.Code != offload.CodeDraining || took > 20*time.Millisecond {
				t.Fatalf("channel %d: frame 0x%02x, %+v after %v; want at once that the host drains", i, typ, halt, took)
			}
		}
		time.Sleep(3 * time.Second)
		if got := message(t, all[0], 1, "still"); got != "still" {
			t.Errorf("a message while the host drains: %q", got)
		}
		if !isState(ask(t, c, wire.AppendSnapshot(nil, wire.Snapshot{ID: 1}), true)) {
			t.Error("a snapshot of 4 s within the drain's time was not given")
		}
		late := ask(t, c, wire.AppendSnapshot(nil, wire.Snapshot{ID: 2}), true)
		if took := time.Since(begin); isState(late) || took > drain+time.Second {
			t.Errorf("a snapshot beyond the drain ended after %v with %.20x", took, late)
		}
		if err := <-done; err == nil || time.Since(begin) > drain+time.Second {
			t.Errorf("Shutdown ended with %v after %v", err, time.Since(begin))
		}
	})
}
