package kernels_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/enginetest"
	"github.com/bungee-xr/bungee/executor/enginetest/kernels"
	"github.com/bungee-xr/bungee/executor/enginetest/kernels/sobel"
	"github.com/bungee-xr/bungee/executor/wazero"
)

// TestBuild checks that the guest is what its source makes.
func TestBuild(t *testing.T) {
	if _, err := exec.LookPath("clang-19"); err != nil {
		t.Skip("no clang-19 to build kernels.c with: apt install clang-19 lld-19 wasi-libc libclang-rt-19-dev-wasm32, then go test -run TestBuild ./executor/enginetest/kernels")
	}
	out := filepath.Join(t.TempDir(), "kernels.wasm")
	cmd := exec.Command("clang-19", "--target=wasm32-wasi", "-O3", "-msimd128", "-mexec-model=reactor",
		"-Wl,--strip-all", "-Wall", "-Werror", "-o", out, "testdata/kernels.c")
	if msg, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, msg)
	}
	got, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, kernels.Wasm()) {
		t.Errorf("testdata/kernels.wasm is not what kernels.c makes; run: %s, with -o testdata/kernels.wasm", cmd)
	}
}

// guest makes an instance of wasm.
func guest(t testing.TB, wasm []byte) executor.Instance {
	t.Helper()
	e, err := wazero.New(wazero.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return enginetest.Instance(t, enginetest.Load(t, e, wasm))
}

func call(t testing.TB, in executor.Instance, fn uint32, request []byte) []byte {
	t.Helper()
	r, err := in.Call(t.Context(), fn, request)
	if err != nil || r.Status != executor.StatusOK {
		t.Fatalf("function %d: status %d, %v", fn, r.Status, err)
	}
	return r.Payload
}

func TestFunctions(t *testing.T) {
	in := guest(t, kernels.Wasm())
	if got := call(t, in, kernels.Empty, []byte("x")); len(got) != 0 {
		t.Errorf("empty: got %q", got)
	}
	if got := call(t, in, kernels.Echo, []byte("echo")); string(got) != "echo" {
		t.Errorf("echo: got %q", got)
	}
	seen := map[string]string{}
	for _, k := range kernels.All() {
		got := string(call(t, in, k.Fn, k.Request(12)))
		if other, ok := seen[got]; ok && k.Class != kernels.Memory {
			t.Errorf("%s answers %x like %s", k.Name, got, other)
		}
		seen[got] = k.Name
	}
	last := kernels.All()[len(kernels.All())-1].Fn
	if _, err := in.Call(context.Background(), last+1, make([]byte, 4)); err == nil {
		t.Errorf("there is a function %d that package kernels does not list", last+1)
	}
}

// TestGraySobel compares the three versions of it.
func TestGraySobel(t *testing.T) {
	const pixels = kernels.Pixels
	rgba, gray, want := make([]byte, 4*pixels), make([]byte, pixels), make([]byte, pixels)
	for i := range rgba {
		rgba[i] = byte(i*i>>7) ^ byte(i/997)
	}
	sobel.Edges(want, gray, rgba)
	edges := 0
	for _, v := range want {
		if v > 128 {
			edges++
		}
	}
	if edges < pixels/20 || edges > pixels/20*19 {
		t.Errorf("%d of %d pixels are edges; the picture tests nothing", edges, pixels)
	}
	c := guest(t, kernels.Wasm())
	for _, request := range [][]byte{rgba, nil} {
		if got := call(t, c, kernels.EdgeImage, request); !bytes.Equal(got, want) {
			t.Errorf("C guest, request of %d bytes: another picture than Go's", len(request))
		}
	}
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("no Go toolchain in PATH to build the Go guest with; with one: go test ./executor/enginetest/kernels")
	}
	wasm, err := kernels.BuildGo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	g := guest(t, wasm)
	if got := call(t, g, 0, rgba); !bytes.Equal(got, want) {
		t.Error("Go guest: another picture than native Go's")
	}
}

func BenchmarkGraySobel(b *testing.B) {
	const pixels = kernels.Pixels
	rgba, gray, edges := make([]byte, 4*pixels), make([]byte, pixels), make([]byte, pixels)
	b.SetBytes(4 * pixels)
	for b.Loop() {
		sobel.Edges(edges, gray, rgba)
	}
}
