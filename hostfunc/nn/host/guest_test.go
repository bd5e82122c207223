package host

import (
	"bytes"
	"context"
	"image"
	"image/color"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/hostfunc/nn"
	"github.com/bungee-xr/bungee/hostfunc/nn/host/testdata/flow"
	"github.com/bungee-xr/bungee/hostfunc/nn/nntest"
	"github.com/google/go-cmp/cmp"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
)

// buildGuest compiles testdata/guest to Wasm.
func buildGuest(t *testing.T) []byte {
	t.Helper()
	tool, err := exec.LookPath("go")
	if err != nil {
		t.Skipf("building the guest needs the go command (%v); with Go on the path: go test ./hostfunc/nn/host", err)
	}
	out := filepath.Join(t.TempDir(), "guest.wasm")
	cmd := exec.Command(tool, "build", "-buildmode=c-shared", "-ldflags=-s -w", "-o", out, "./testdata/guest")
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOFLAGS=")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, text)
	}
	wasm, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return wasm
}

// wasmMemory is an executor.Memory on wazero's.
type wasmMemory struct{ m api.Memory }

func (w wasmMemory) Bytes(ptr, n uint32) ([]byte, bool) { return w.m.Read(ptr, n) }

// export gives m to the modules of r. It returns m's close function.
func export(t *testing.T, r wazero.Runtime, m executor.HostFuncs) func() {
	t.Helper()
	b := r.NewHostModuleBuilder(m.Name)
	funcs, done := m.New()
	for _, f := range funcs {
		types := map[rune]api.ValueType{'i': api.ValueTypeI32, 'l': api.ValueTypeI64}
		var params, results []api.ValueType
		for _, p := range f.Params {
			params = append(params, types[p])
		}
		for _, p := range f.Results {
			results = append(results, types[p])
		}
		call := func(ctx context.Context, m api.Module, stack []uint64) {
			if err := f.Call(ctx, wasmMemory{m.Memory()}, stack); err != nil {
				panic(err)
			}
		}
		b.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(call), params, results).Export(f.Name)
	}
	if _, err := b.Instantiate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return done
}

// picture returns a PNG of two colours, wider than high.
func picture(tb testing.TB) []byte {
	tb.Helper()
	img := image.NewRGBA(image.Rect(0, 0, 16, 8))
	for i := range 128 {
		img.SetRGBA(i%16, i/16, color.RGBA{R: 240, G: uint8(i), B: 7, A: 255})
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// TestGuest runs one source natively and in a guest and compares what it saw.
func TestGuest(t *testing.T) {
	backend := nntest.Mean()
	ctx := t.Context()
	r := wazero.NewRuntime(ctx)
	defer r.Close(ctx)
	wasi_snapshot_preview1.MustInstantiate(ctx, r)
	done := export(t, r, Functions(backend, []string{nntest.Name, "nope"}))
	m, err := r.InstantiateWithConfig(ctx, buildGuest(t), wazero.NewModuleConfig().WithStartFunctions("_initialize"))
	if err != nil {
		t.Fatal(err)
	}
	call := func(ctx context.Context, name string, args ...uint64) uint32 {
		t.Helper()
		got, err := m.ExportedFunction(name).Call(ctx, args...)
		if err != nil {
			t.Fatalf("%s%v: %v", name, args, err)
		}
		return uint32(got[0])
	}
	img := picture(t)
	m.Memory().Write(call(ctx, "buffer", uint64(len(img))), img)

	var made executor.Call
	n := call(executor.WithCall(ctx, &made), "run")
	got, _ := m.Memory().Read(call(ctx, "text"), n)
	nn.Use(backend)
	want := flow.Run(ctx, img)
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("native (-) and guest (+) saw different things:\n%s", diff)
	}
	wantSpans := []executor.Span{{Name: "nn.decode", Time: time.Microsecond}, {Name: "nn.compute", Time: 2 * time.Microsecond}}
	if diff := cmp.Diff(wantSpans, made.Spans); diff != "" {
		t.Errorf("spans (-want +got):\n%s", diff)
	}
	if got := int32(call(ctx, "allocs", 10)); got != 0 {
		t.Errorf("9 frames after the first took %d allocations in the guest; want 0", got)
	}
	if n := backend.Open(); n != 0 {
		t.Errorf("%d sessions are open after the guest closed its own; want 0", n)
	}
	if got := call(ctx, "leak"); got != MaxContexts {
		t.Errorf("a guest that closes nothing got %d sessions; want %d", got, MaxContexts)
	}
	done()
	if n := backend.Open(); n != 0 {
		t.Errorf("%d sessions are open after the instance's end; want 0", n)
	}
}
