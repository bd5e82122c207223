package guest_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/bungee-xr/bungee/internal/abi"
	"github.com/bungee-xr/bungee/offload/pack"
)

// The functions of testdata/module, by index.
const (
	fnEcho = iota
	fnSpin
	fnWait
	fnChild
	fnFail
	fnLog
	fnLarge
	fnRemains
	fnKeep
)

// buildModule compiles testdata/module, once a run.
var buildModule = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "guest")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	out := filepath.Join(dir, "guest.wasm")
	cmd := exec.Command("go", "build", "-buildmode=c-shared", "-o", out, "./testdata/module")
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0")
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return nil, err
	}
	return os.ReadFile(out)
})

// A guestModule is an instance with a host whose clock goes on by a millisecond
// each time it is read.
type guestModule struct {
	api.Module
	ctx      context.Context // leads host functions to this
	clock    int64           // ns
	canceled int             // reads of the cancel flag until it is set; never when negative
	logged   []string
}

type moduleKey struct{}

func of(ctx context.Context) *guestModule { return ctx.Value(moduleKey{}).(*guestModule) }

// A compiled module is compiled once a run: that takes seconds under -race.
type compiled struct {
	wazero.Runtime
	wazero.CompiledModule
}

var compileModule = sync.OnceValues(func() (c compiled, err error) {
	wasm, err := buildModule()
	if err != nil {
		return c, err
	}
	ctx := context.Background()
	c.Runtime = wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter())
	wasi_snapshot_preview1.MustInstantiate(ctx, c.Runtime)
	_, err = c.Runtime.NewHostModuleBuilder(abi.Module).
		NewFunctionBuilder().WithFunc(logged).Export(abi.ImportLog).
		NewFunctionBuilder().WithFunc(func(ctx context.Context) int64 { g := of(ctx); g.clock += 1e6; return g.clock }).Export(abi.ImportNow).
		NewFunctionBuilder().WithFunc(func(ctx context.Context) int32 { return of(ctx).cancelFlag() }).Export(abi.ImportCanceled).
		Instantiate(ctx)
	if err != nil {
		return c, err
	}
	c.CompiledModule, err = c.CompileModule(ctx, wasm)
	return c, err
})

func instantiate(t *testing.T) *guestModule {
	t.Helper()
	c, err := compileModule()
	if err != nil {
		t.Fatal(err)
	}
	g := &guestModule{canceled: -1}
	g.ctx = context.WithValue(context.Background(), moduleKey{}, g)
	config := wazero.NewModuleConfig().WithName("").WithStartFunctions(abi.ExportInitialize).WithStderr(os.Stderr).
		WithSysWalltime().WithSysNanotime().WithSysNanosleep()
	if g.Module, err = c.InstantiateModule(g.ctx, c.CompiledModule, config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.Close(g.ctx) })
	return g
}

func logged(ctx context.Context, m api.Module, level, ptr, n uint32) {
	text, _ := m.Memory().Read(ptr, n)
	of(ctx).logged = append(of(ctx).logged, string(rune('0'+level))+string(text))
}

func (g *guestModule) cancelFlag() int32 {
	if g.canceled == 0 {
		return 1
	}
	g.canceled--
	return 0
}

// invoke calls an export that gives one value.
func (g *guestModule) invoke(t *testing.T, name string, args ...uint64) uint64 {
	t.Helper()
	got, err := g.ExportedFunction(name).Call(g.ctx, args...)
	if err != nil || len(got) != 1 {
		t.Fatalf("%s%v = %v, %v", name, args, got, err)
	}
	return got[0]
}

func (g *guestModule) call(t *testing.T, fn int, request string, deadline int64) abi.Reply {
	t.Helper()
	ptr := g.invoke(t, abi.ExportBuf, uint64(len(request)))
	if !g.Memory().WriteString(uint32(ptr), request) {
		t.Fatalf("buffer of %d bytes at %d is outside the memory", len(request), ptr)
	}
	return g.reply(t, g.invoke(t, abi.ExportCall, uint64(fn), ptr, uint64(len(request)), uint64(deadline)))
}

func (g *guestModule) reply(t *testing.T, packed uint64) abi.Reply {
	t.Helper()
	b, ok := g.Memory().Read(uint32(packed>>32), uint32(packed))
	if !ok {
		t.Fatalf("reply %x is outside the memory", packed)
	}
	r, err := abi.ParseReply(b)
	if err != nil {
		t.Fatalf("reply %.32x: %v", b, err)
	}
	return r
}

func TestModule(t *testing.T) {
	g := instantiate(t)
	if got := g.invoke(t, abi.ExportABI); got != abi.Version {
		t.Errorf("%s() = %d; want %d", abi.ExportABI, got, abi.Version)
	}
	for _, n := range []int{0, 1, 1 << 20, 7, 1<<20 + 1} {
		in := strings.Repeat("x", n)
		if r := g.call(t, fnEcho, in, 0); r.Status != abi.OK || string(r.Payload) != in {
			t.Errorf("echo of %d bytes: status %d, %d bytes", n, r.Status, len(r.Payload))
		}
	}
}

// A large request belongs to the function that got it, for good.
func TestModuleGivesLargeRequestsAway(t *testing.T) {
	g := instantiate(t)
	of := func(c string, n int) string { return strings.Repeat(c, n) }
	g.call(t, fnKeep, of("a", 3*pack.OwnedSize), 0)
	for _, n := range []int{0, 1, pack.OwnedSize - 1, pack.OwnedSize, 3 * pack.OwnedSize} {
		g.call(t, fnEcho, of("b", n), 0)
	}
	if r := g.call(t, fnKeep, of("c", pack.OwnedSize), 0); string(r.Payload) != of("a", 3*pack.OwnedSize) {
		t.Errorf("what was kept of a request has %d bytes after other calls, or other ones; want it unchanged", len(r.Payload))
	}
	if r := g.call(t, fnKeep, of("d", pack.OwnedSize), 0); string(r.Payload) != of("c", pack.OwnedSize) {
		t.Errorf("the least that is given away came back as %d bytes, or other ones", len(r.Payload))
	}
}

// TestModuleContext checks that a call ends at its deadline and when it is
// cancelled, whether it computes or waits.
func TestModuleContext(t *testing.T) {
	tests := []struct {
		why      string
		fn       int
		deadline int64
		canceled int
		want     string
	}{
		{"a loop that asks Err ends at the deadline", fnSpin, 5e6, -1, "context deadline exceeded"},
		{"and when it is cancelled", fnSpin, 0, 3, "context canceled"},
		{"so does a wait for Done", fnWait, 5e6, -1, "context deadline exceeded"},
		{"also when it is cancelled", fnWait, 0, 3, "context canceled"},
		{"a derived context ends with the call's", fnChild, 5e6, -1, "context deadline exceeded"},
		{"also when that is cancelled", fnChild, 0, 3, "context canceled"},
		{"no deadline is none", fnRemains, 0, -1, ""},
		{"a deadline is told in the guest's clock", fnRemains, 60e9, -1, "1m0s"},
	}
	g := instantiate(t)
	for _, tt := range tests {
		g.clock, g.canceled = 0, tt.canceled
		if r := g.call(t, tt.fn, "", tt.deadline); r.Status != abi.OK || string(r.Payload) != tt.want {
			t.Errorf("%s: status %d, %q; want %q", tt.why, r.Status, r.Payload, tt.want)
		}
	}
}

func TestModulePanic(t *testing.T) {
	g := instantiate(t)
	r := g.call(t, fnFail, "", 0)
	line, stack := abi.SplitPanic(r.Payload)
	if r.Status != abi.Panic || !strings.HasPrefix(line, "on purpose (main.fail, main.go:") || !strings.Contains(string(stack), "main.fail") {
		t.Errorf("status %d, %q; want a panic with value, place and stack", r.Status, r.Payload)
	}
}

func TestModuleLog(t *testing.T) {
	g := instantiate(t)
	g.call(t, fnLog, strings.Repeat("y", abi.MaxLog+5), 0)
	if want := "4" + strings.Repeat("y", abi.MaxLog); len(g.logged) != 1 || g.logged[0] != want {
		t.Errorf("logged %.20q; want one line of %d bytes at level 4", g.logged, abi.MaxLog)
	}
}

// TestModuleRefuses calls a guest as a host must not.
func TestModuleRefuses(t *testing.T) {
	g := instantiate(t)
	for _, n := range []uint64{abi.MaxRequest + 1, 0xffffffff} {
		if got := g.invoke(t, abi.ExportBuf, n); got != 0 {
			t.Errorf("buffer of %d bytes = %d; want 0, refused", int32(n), got)
		}
	}
	ptr := g.invoke(t, abi.ExportBuf, 4)
	tests := []struct {
		why     string
		fn      uint64
		ptr, n  uint64
		message string
	}{
		{"a function that is not there", 99, ptr, 4, "no guest function has index 99"},
		{"a negative index", 0xffffffff, ptr, 4, "no guest function has index -1"},
		{"a pointer that is not the buffer's", fnEcho, ptr + 1, 3, "not in the buffer"},
		{"more than the buffer has", fnEcho, ptr, 5, "not in the buffer"},
		{"a negative length", fnEcho, ptr, 0xffffffff, "not in the buffer"},
		{"a reply past the bound", fnLarge, ptr, 0, "the most is"},
	}
	for _, tt := range tests {
		r := g.reply(t, g.invoke(t, abi.ExportCall, tt.fn, tt.ptr, tt.n, 0))
		_, text, err := abi.ParseError(r.Payload)
		if r.Status != abi.Error || err != nil || !strings.Contains(text, tt.message) {
			t.Errorf("%s: status %d, %q, %v; want an error with %q", tt.why, r.Status, text, err, tt.message)
		}
	}
}
