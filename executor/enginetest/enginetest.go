// Package enginetest is the conformance suite of [executor.Engine]: it checks what every
// engine must do, with guests of a few lines of WebAssembly text and with one that the Go
// toolchain builds. The tests of an engine call [Run].
//
//	func TestEngine(t *testing.T) {
//		enginetest.Run(t, func(t testing.TB) executor.Engine { return newEngine(t) })
//	}
//
// # Guests
//
// The text of the guests is in testdata, with their bytes beside it. After a change of
// the text run
//
//	go test ./executor/wasmtime -run TestGuestsAreCurrent -update
//
// Each attack of the hostile guest is made 30 times. The environment variable
// BUNGEE_HOSTILE_ROUNDS sets another number; 100000 takes some minutes.
//
// # Limits
//
// The suite checks what guests and hosts see of each other. It does not measure how fast
// an engine is and how precisely it meets a deadline: its own benchmarks do.
package enginetest

import (
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/wasi"
	"github.com/bungee-xr/bungee/internal/abi"
)

// Run checks the engine that newEngine makes. It calls newEngine several times, from one
// goroutine, closes all engines, and fails when they leave goroutines behind.
func Run(t *testing.T, newEngine func(t testing.TB) executor.Engine) {
	before := goleak.IgnoreCurrent()
	s := suite{newEngine, false}
	t.Run("Load", s.load)
	t.Run("Features", s.features)
	t.Run("LoadAtOnce", s.loadAtOnce)
	t.Run("Instantiate", s.instantiate)
	s.guests(t)
	t.Run("Metered", suite{newEngine, true}.guests)
	t.Run("Fresh", s.fresh)
	t.Run("Limits", s.limits)
	t.Run("Fuel", s.fuel)
	t.Run("Start", s.start)
	t.Run("Refused", s.refused)
	t.Run("Types", s.types)
	t.Run("Log", s.log)
	t.Run("Bill", s.bill)
	t.Run("Tenant", s.tenant)
	t.Run("Pool", s.pool)
	t.Run("Ledger", s.ledger)
	t.Run("GoGuest", s.goGuest)
	t.Run("Stack", s.stack)
	if err := goleak.Find(before); err != nil {
		t.Errorf("after Close of all engines: %v", err)
	}
}

// guests checks what does not depend on whether a module is metered.
func (s suite) guests(t *testing.T) {
	t.Run("Call", s.call)
	t.Run("Fault", s.fault)
	t.Run("Hostile", s.hostile)
	t.Run("Deadline", s.deadline)
	t.Run("Cancel", s.cancel)
	t.Run("Host", s.host)
	t.Run("Memory", s.memory)
	t.Run("Bulk", s.bulk)
}

type suite struct {
	newEngine func(t testing.TB) executor.Engine
	meter     bool // the modules of module
}

// module loads wasm in an engine of its own, and closes both with the test.
func (s suite) module(t *testing.T, wasm []byte) executor.Module {
	t.Helper()
	src := executor.Bytes(wasm)
	src.Meter = s.meter
	return load(t, s.newEngine(t), src)
}

// metered is like module, of a module that is metered.
func (s suite) metered(t *testing.T, wasm []byte) executor.Module {
	t.Helper()
	return suite{s.newEngine, true}.module(t, wasm)
}

func (s suite) engine(t *testing.T) executor.Engine {
	t.Helper()
	e := s.newEngine(t)
	t.Cleanup(func() { closed(t, e) })
	return e
}

// Load loads wasm in e. The module and e are closed at the end of the test.
func Load(t testing.TB, e executor.Engine, wasm []byte) executor.Module {
	t.Helper()
	return load(t, e, executor.Bytes(wasm))
}

func load(t testing.TB, e executor.Engine, src executor.Source) executor.Module {
	t.Helper()
	t.Cleanup(func() { closed(t, e) })
	m, err := e.Load(t.Context(), src)
	if err != nil {
		t.Fatalf("load: %v", err)
	}
	t.Cleanup(func() { closed(t, m) })
	return m
}

// Instance makes an instance of m with the host functions host and a WASI that gives
// nothing. It is closed at the end of the test.
func Instance(t testing.TB, m executor.Module, host ...executor.HostFuncs) executor.Instance {
	t.Helper()
	w, err := wasi.Functions(wasi.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return instance(t, m, executor.InstanceConfig{Host: append(host, w)})
}

// instance makes an instance, closed with the test.
func instance(t testing.TB, m executor.Module, cfg executor.InstanceConfig) executor.Instance {
	t.Helper()
	in, err := m.Instantiate(t.Context(), cfg)
	if err != nil {
		t.Fatalf("instantiate: %v", err)
	}
	t.Cleanup(func() { closed(t, in) })
	return in
}

func closed(t testing.TB, c interface{ Close() error }) {
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
