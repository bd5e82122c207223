// Package offloadtest compares what is marked natively and in its Wasm module. The tests
// that offloadgen writes beside the marks call it:
//
//	func TestBungeeOffload(t *testing.T) {
//		m := offloadtest.Open(t, bungeeModule, offloadtest.Sources{"detect.go": "0b5e3a51f8a1c5d2"})
//		t.Run("detectObjects", func(t *testing.T) { offloadtest.Func(t, m, &detectObjectsFunc, 0) })
//	}
//
// # What is compared
//
// [Func] and [Endpoint] make inputs, the same in each run, beside those that the package's
// own tests give by [Examples]; [Fuzz] has the go command look for others. Each input goes to
// the module, which runs on wazero in this process, and then to the native version. Results are
// compared to the bit, errors by their code and text, and panics by their text. An input is
// discarded, and counted in the test's log, when one of the two takes longer than [MaxTime], or
// when the module needs more memory than an edge host gives by default: so what would
// take all of the machine's natively is not tried.
//
// A test also fails when a function changes what its parameters refer to, which its caller
// would not see from an edge host; when a value is not the same after it was encoded
// and decoded; when a Handle depends on more than state and message; and when
// the module was made from other sources than those that are there.
//
// # What is not
//
// A module that needs host functions beside WASI runs on edge hosts only: its tests skip.
// An input that ends the process natively, such as an endless recursion, ends the test.
package offloadtest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/wasi"
	"github.com/bungee-xr/bungee/executor/wazero"
	"github.com/bungee-xr/bungee/offload"
)

// MaxTime is how long each of the two may take for an input. It chooses inputs, and judges
// nothing.
const MaxTime = 500 * time.Millisecond

// maxLeft bounds how many calls of the native version are left behind, since nothing stops
// those that take too long.
const maxLeft = 3

// maxTest bounds the time that one function or endpoint is tested for: later inputs are left out.
const maxTest = time.Second

// Sources are the files that a module was made from, by their paths relative to its
// package: the first 8 bytes of each one's SHA-256, in hexadecimal. Line ends count as "\n".
type Sources map[string]string

// A Module is an open module. Tests may use it at the same time; each has instances of its own.
type Module struct {
	module executor.Module
	host   []executor.HostFuncs
	skip   string // why it cannot run here
}

// Open opens the module of a package, in whose folder the test runs, and closes it with the
// test. It fails the test when the module was not made from the sources that are
// there, and goes on with the module as it is.
func Open(t testing.TB, m *offload.Module, made Sources) *Module {
	t.Helper()
	for _, why := range made.stale(".") {
		t.Errorf("%s since the module was made; run: go generate", why)
	}
	o, err := open(t, m)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// engine is one for all tests of a process. It has no cache on disk.
var engine = sync.OnceValues(func() (*wazero.Engine, error) { return wazero.New(wazero.Config{}) })

func open(t testing.TB, m *offload.Module) (*Module, error) {
	wasm, err := m.Wasm()
	if err != nil {
		return nil, err
	}
	e, err := engine()
	if err != nil {
		return nil, err
	}
	module, err := e.Load(context.Background(), executor.Bytes(wasm))
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { module.Close() })
	asks := module.Manifest()
	o := &Module{module: module}
	if len(asks.Host) > 0 {
		o.skip = "the module needs " + strings.Join(asks.Host, " and ") + " of an edge host; to try it on one, run the program with: bungee host"
	}
	w, err := wasi.Functions(wasi.Config{Clock: asks.Clock, Random: asks.Random})
	o.host = []executor.HostFuncs{w}
	return o, err
}

// stale says what has changed in dir, a line a file.
func (s Sources) stale(dir string) (why []string) {
	for name, want := range s {
		text, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
		sum := sha256.Sum256(bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n")))
		switch {
		case err != nil:
			why = append(why, name+" is gone")
		case fmt.Sprintf("%x", sum[:8]) != want:
			why = append(why, name+" has changed")
		}
	}
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		n := e.Name()
		if strings.HasSuffix(n, ".go") && !strings.HasSuffix(n, "_test.go") && !strings.HasPrefix(n, "bungee_offload") && !strings.HasPrefix(n, ".") && !strings.HasPrefix(n, "_") && s[n] == "" {
			why = append(why, n+" was added")
		}
	}
	slices.Sort(why)
	return why
}

// run skips the test when the module cannot run here.
func (m *Module) run(t testing.TB) {
	t.Helper()
	if m.skip != "" {
		t.Skip(m.skip)
	}
}

// An instance is one of the module, made again after it broke.
type instance struct {
	m  *Module
	in executor.Instance
}

func (i *instance) close() {
	if i.in != nil {
		i.in.Close()
		i.in = nil
	}
}

// call calls a guest function. The reply begins with its status and belongs to the caller.
func (i *instance) call(fn uint32, request []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), MaxTime)
	defer cancel()
	if i.in == nil {
		in, err := i.m.module.Instantiate(context.Background(), executor.InstanceConfig{Host: i.m.host})
		if err != nil {
			return nil, err
		}
		i.in = in
	}
	reply, err := i.in.Call(ctx, fn, request)
	if err != nil {
		i.close()
		return nil, err
	}
	out := append([]byte{byte(reply.Status)}, reply.Payload...)
	if reply.Status == executor.StatusPanic {
		i.close()
	}
	return out, nil
}
