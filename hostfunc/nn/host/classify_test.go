package host

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/wazero"
	"github.com/bungee-xr/bungee/hostfunc/nn"
	"github.com/bungee-xr/bungee/hostfunc/nn/nntest"
	"github.com/bungee-xr/bungee/internal/abi"
)

// engines are those that the C guest runs on. That of cgo adds itself.
var engines = map[string]func() (executor.Engine, error){
	"wazero": func() (executor.Engine, error) { return wazero.New(wazero.Config{}) },
}

// TestBuildClassify checks that the guest is what its source makes.
func TestBuildClassify(t *testing.T) {
	if _, err := exec.LookPath("clang-19"); err != nil {
		t.Skip("no clang-19 to build classify.c with; apt install clang-19 lld-19, then go test ./hostfunc/nn/host")
	}
	out := filepath.Join(t.TempDir(), "classify.wasm")
	cmd := exec.Command("clang-19", "--target=wasm32", "-O2", "-nostdlib", "-Wl,--no-entry", "-Wl,--strip-all",
		"-Wall", "-Werror", "-o", out, "testdata/classify.c")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, text)
	}
	got, want := readFile(t, out), readFile(t, "testdata/classify.wasm")
	if !bytes.Equal(got, want) {
		t.Errorf("testdata/classify.wasm is not what classify.c makes; run: %v, with -o testdata/classify.wasm", cmd)
	}
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// classifyRequest is what the guest gets.
func classifyRequest(network []byte, shape []int, input []float32) []byte {
	var b []byte
	word := func(v int) { b = binary.LittleEndian.AppendUint32(b, uint32(v)) }
	word(len(network))
	word(len(shape))
	for _, d := range shape {
		word(d)
	}
	b = append(b, network...)
	b = append(b, make([]byte, (4-len(network)%4)%4)...)
	for _, v := range input {
		word(int(math.Float32bits(v)))
	}
	return b
}

// TestWasiNN runs a guest that knows wasi-nn and nothing of ours: what it gets, what
// it computes and what it is refused.
func TestWasiNN(t *testing.T) {
	const byName, byBytes = 0, 1
	colours := make([]float32, 48) // the second channel is the brightest
	for i := range colours {
		colours[i] = []float32{10, 200, 30}[i/16]
	}
	shape := []int{1, 3, 4, 4}
	tests := []struct {
		name, why string
		fn        uint32
		request   []byte
		fails     string // function of wasi-nn and errno; empty: none
	}{
		{"by name", "as guests of hosts that have networks", byName, classifyRequest([]byte(nntest.Name), shape, colours), ""},
		{"by bytes", "the host has these very bytes", byBytes, classifyRequest([]byte(nntest.Name), shape, colours), ""},
		{"no name", "there is none", byName, classifyRequest([]byte("nope"), shape, colours), "load_by_name8"},
		{"own network", "a guest brings none", byBytes, classifyRequest([]byte("a network"), shape, colours), "load8"},
		{"another shape", "the network has one of its own", byName, classifyRequest([]byte(nntest.Name), []int{48}, colours), "set_input1"},
		{"too little", "less than the shape says", byName, classifyRequest([]byte(nntest.Name), shape, colours[:47]), "set_input1"},
	}
	for engine, open := range engines {
		backend := nntest.Mean()
		in := instance(t, open, backend)
		for _, tt := range tests {
			t.Run(engine+"/"+tt.name, func(t *testing.T) {
				best, out, err := classify(t, in, tt.fn, tt.request)
				if tt.fails != "" {
					if err == nil || err.Error() != tt.fails {
						t.Errorf("got %v; want %s (%s)", err, tt.fails, tt.why)
					}
					return
				}
				if err != nil || best != 1 || !slices.Equal(out, []float32{10, 200, 30}) {
					t.Errorf("got class %d of %v, %v; want 1 of [10 200 30] (%s)", best, out, err, tt.why)
				}
			})
		}
	}
}

// instance makes an instance of the C guest, closed at the end of the test.
func instance(t *testing.T, open func() (executor.Engine, error), b nn.Backend) executor.Instance {
	t.Helper()
	e, err := open()
	if err != nil {
		t.Fatal(err)
	}
	m, err := e.Load(t.Context(), executor.Bytes(readFile(t, "testdata/classify.wasm")))
	if err != nil {
		t.Fatal(err)
	}
	in, err := m.Instantiate(t.Context(), executor.InstanceConfig{Host: []executor.HostFuncs{Functions(b, []string{"mean", "nope"})}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(in.Close(), m.Close(), e.Close()); err != nil {
			t.Error(err)
		}
	})
	return in
}

// classify returns what the guest answered. An error says which function failed.
func classify(t *testing.T, in executor.Instance, fn uint32, request []byte) (best uint32, out []float32, err error) {
	t.Helper()
	r, err := in.Call(t.Context(), fn, request)
	if err != nil {
		t.Fatal(err)
	}
	if r.Status == executor.StatusError {
		code, text, err := abi.ParseError(r.Payload)
		if err != nil {
			t.Fatal(err)
		}
		return 0, nil, errors.New(code + text)
	}
	best = binary.LittleEndian.Uint32(r.Payload)
	for b := r.Payload[4:]; len(b) > 0; b = b[4:] {
		out = append(out, math.Float32frombits(binary.LittleEndian.Uint32(b)))
	}
	return best, out, nil
}
