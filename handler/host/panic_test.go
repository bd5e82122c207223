package host_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/bungee-xr/bungee/executor/native"
	"github.com/bungee-xr/bungee/handler/host"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// A UE is told of a panic in one line: what, and where. The host's log has the stack.
// The host goes on, though the functions are its own.
func TestPanicsAreOneLine(t *testing.T) {
	boom := func(context.Context, []byte, []byte) ([]byte, error) { panic("boom\nboom") }
	engine := native.Engine{Functions: func() []native.Func { return []native.Func{boom, boom, boom} }}
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	serveOver(t, link.QUIC, host.Config{Engine: engine, Logger: logger}, []string{"ue"}, func(t *testing.T, _ *host.Handler, conns []*link.Conn) {
		wantLine := func(what, got string) {
			t.Helper()
			if !strings.HasPrefix(got, "boom boom (host_test.TestPanicsAreOneLine") || strings.ContainsAny(got, "\n") {
				t.Errorf("%s: told %q, want one line with what and where", what, got)
			}
		}
		c := conns[0]
		greet(t, c, 7)
		ask(t, c, put(wasm), true)
		st, err := c.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // the pool has made a new instance
			reply, fail := callOn(t, st, wasm)
			if fail != nil {
				t.Fatalf("call: %v", fail)
			}
			wantLine("call", reply)
		}
		far, fail := attach(t, c, 1)
		if fail != nil {
			t.Fatalf("attach: %v", fail)
		}
		far.Write(wire.AppendMessage(nil, wire.Message{Epoch: 1, Seq: 1}))
		if typ, err := wire.ReadType(far); err != nil || typ != wire.TypeHalt {
			t.Fatalf("message answered with frame 0x%02x, %v; want a Halt", typ, err)
		}
		halt, err := wire.ReadHalt(far)
		if err != nil || halt.Fail.Code != offload.CodePanicked || halt.Seq != 1 {
			t.Errorf("message: %+v, %v; want a Halt for its panic", halt, err)
		}
		wantLine("message", halt.Fail.Text)
	})
	if n := strings.Count(log.String(), `level=DEBUG msg="guest panicked"`); n != 3 || !strings.Contains(log.String(), "goroutine ") {
		t.Errorf("the log has %d panics with their stacks, want 3:\n%s", n, log.String())
	}
}
