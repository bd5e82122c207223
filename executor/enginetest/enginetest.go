// Package enginetest is the conformance suite of [executor.Engine]: what every
// engine must do, on guests of a few lines of WebAssembly text and on one that
// the Go toolchain builds. An engine's tests call [Run].
//
//	func TestEngine(t *testing.T) {
//		enginetest.Run(t, func(t testing.TB) executor.Engine { return newEngine(t) })
//	}
//
// # Limits
//
// The suite looks at what guests and hosts see of each other. How fast an engine
// is and how precisely it meets a deadline are for its own benchmarks.
package enginetest

import (
	"embed"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/internal/abi"
)

// Functions of the guest basic.wat.
const (
	fnEcho = iota
	fnError
	fnPanic
	fnCount
	fnTrap
	fnSpin
	fnBomb
	fnDeep
	fnReplyWraps
	fnReplyHuge
	fnReplyEmpty
	fnReplyStatus
	fnAwaitCancel
	fnClock
	fnLogOutside
	fnReadOutside
	fnReplyPastEnd
)

//go:embed testdata/*.wasm
var guests embed.FS

// Guest returns the guest that testdata holds under name, such as "basic".
func Guest(t testing.TB, name string) []byte {
	t.Helper()
	b, err := guests.ReadFile("testdata/" + name + ".wasm")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// GoGuest builds the guest in testdata/goguest with the Go toolchain. It skips
// the test where there is none.
func GoGuest(t testing.TB) []byte {
	t.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("no Go toolchain in PATH to build a guest with; install Go and run the test again")
	}
	out := filepath.Join(t.TempDir(), "guest.wasm")
	cmd := exec.Command("go", "build", "-buildmode=c-shared", "-ldflags=-s -w", "-o", out,
		"github.com/bungee-xr/bungee/executor/enginetest/testdata/goguest")
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOFLAGS=")
	if msg, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, msg)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Run checks the engine that newEngine makes. newEngine is called for several
// engines, one after the other; Run closes them and then looks for goroutines
// that they left.
func Run(t *testing.T, newEngine func(t testing.TB) executor.Engine) {
	before := goleak.IgnoreCurrent()
	s := suite{newEngine}
	t.Run("Load", s.load)
	t.Run("Instantiate", s.instantiate)
	t.Run("Call", s.call)
	t.Run("Fault", s.fault)
	t.Run("Deadline", s.deadline)
	t.Run("Cancel", s.cancel)
	t.Run("Memory", s.memory)
	t.Run("Refused", s.refused)
	t.Run("Host", s.host)
	t.Run("Log", s.log)
	t.Run("Pool", s.pool)
	t.Run("GoGuest", s.goGuest)
	if err := goleak.Find(before); err != nil {
		t.Errorf("after Close of all engines: %v", err)
	}
}

type suite struct {
	newEngine func(t testing.TB) executor.Engine
}

// module loads wasm in an engine of its own, and closes both with the test.
func (s suite) module(t *testing.T, wasm []byte) executor.Module {
	t.Helper()
	e := s.engine(t)
	m, err := e.Load(t.Context(), wasm)
	if err != nil {
		t.Fatalf("load: %v", err)
	}
	t.Cleanup(func() { closed(t, m) })
	return m
}

func (s suite) engine(t *testing.T) executor.Engine {
	t.Helper()
	e := s.newEngine(t)
	t.Cleanup(func() { closed(t, e) })
	return e
}

// instance makes an instance, closed with the test.
func instance(t *testing.T, m executor.Module, cfg executor.InstanceConfig) executor.Instance {
	t.Helper()
	in, err := m.Instantiate(t.Context(), cfg)
	if err != nil {
		t.Fatalf("instantiate: %v", err)
	}
	t.Cleanup(func() { closed(t, in) })
	return in
}

func closed(t *testing.T, c interface{ Close() error }) {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Errorf("close %T: %v", c, err)
	}
}

// call calls fn, which must answer with status, and returns the payload.
func call(t *testing.T, in executor.Instance, fn uint32, request string, status abi.Status) string {
	t.Helper()
	r, err := in.Call(t.Context(), fn, []byte(request))
	if err != nil {
		t.Fatalf("function %d on %d bytes: %v", fn, len(request), err)
	}
	if r.Status != status {
		t.Fatalf("function %d on %d bytes: got status %d, want %d; payload %q", fn, len(request), r.Status, status, r.Payload)
	}
	return string(r.Payload)
}

// mustDiscard checks that in takes no more calls.
func mustDiscard(t *testing.T, in executor.Instance) {
	t.Helper()
	if _, err := in.Call(t.Context(), fnEcho, nil); !is(err, executor.ErrDiscarded) {
		t.Errorf("call on a broken instance: got %v, want %v", err, executor.ErrDiscarded)
	}
}

// mustEcho checks that in works.
func mustEcho(t *testing.T, in executor.Instance, text string) {
	t.Helper()
	if got := call(t, in, fnEcho, text, abi.OK); got != text {
		t.Errorf("echo: got %q, want %q", clip(got), clip(text))
	}
}

// mentions checks that err is kind and says each of words.
func mentions(t *testing.T, err, kind error, words ...string) {
	t.Helper()
	if !is(err, kind) {
		t.Errorf("got error %v, want one that is %q", err, kind)
		return
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error does not mention %q: %v", w, err)
		}
	}
	if len(err.Error()) > 8<<10 {
		t.Errorf("error has %d bytes; want it bounded", len(err.Error()))
	}
}

func clip(s string) string { return s[:min(len(s), 64)] }
