package siege

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/wasi"
	"github.com/bungee-xr/bungee/executor/wazero"
)

func TestGuestIsCurrent(t *testing.T) {
	if _, err := exec.LookPath("clang-19"); err != nil {
		t.Skip("no clang-19; apt-get install clang-19 lld-19 and run go test -run TestGuestIsCurrent ./lab/internal/siege")
	}
	hostileFlags := []string{"-mno-nontrapping-fptoint", "-Wl,--global-base=393216"}
	for _, tt := range []struct {
		wasm, source string
		is           []byte
		flags        []string
	}{
		{"guest.wasm", "guest.c", Guest, nil},
		{"contexts.wasm", "guest.c", contexts, []string{"-DNETWORKS"}},
		{"hostile.wasm", "hostile.c", hostileCode, hostileFlags},
		{"hostile-nn.wasm", "hostile.c", hostileNNCode, append(hostileFlags, "-DNN")},
	} {
		out := filepath.Join(t.TempDir(), tt.wasm)
		cmd := exec.Command("clang-19", "--target=wasm32", "-O2", "-mbulk-memory", "-nostdlib", "-Wl,--no-entry", "-Wl,--strip-all",
			"-Wl,-z,stack-size=8192", "-o", out, "testdata/"+tt.source)
		cmd.Args = append(cmd.Args, tt.flags...)
		if msg, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", cmd, err, msg)
		}
		if got, err := os.ReadFile(out); err != nil || !bytes.Equal(got, tt.is) {
			t.Errorf("testdata/%s is not what %s makes (%v); run: %s, with -o testdata/%s", tt.wasm, tt.source, err, cmd, tt.wasm)
		}
	}
}

// load loads a module on wazero, which checks it as any engine does.
func load(t *testing.T, wasm []byte) executor.Module {
	t.Helper()
	e, err := wazero.New(wazero.Config{CacheDir: t.TempDir() + "/modules"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	m, err := e.Load(t.Context(), executor.Bytes(wasm))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func instantiate(t *testing.T, m executor.Module) (executor.Instance, error) {
	t.Helper()
	w, err := wasi.Functions(wasi.Config{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	return m.Instantiate(ctx, executor.InstanceConfig{Host: []executor.HostFuncs{w}, Limits: executor.Limits{Memory: 64 << 20}})
}

// Bombs are valid modules, which a host cannot refuse for being none, and guests that answer.
func TestBombsAreGuests(t *testing.T) {
	for name, wasm := range map[string][]byte{
		"loops": nestedLoops(50), "locals": manyLocals(2, 300), "tables": bigTables(2, 500), "functions": manyFunctions(500),
		"memory": hugeMemory(17), "distinct": Distinct(program{}.wasm(), 7),
	} {
		in, err := instantiate(t, load(t, wasm))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if r, err := in.Call(t.Context(), 0, []byte("hi")); err != nil || r.Status != 0 || len(r.Payload) != 0 {
			t.Errorf("%s: %+v, %v; want an empty reply", name, r, err)
		}
		in.Close()
	}
}

// A module that loops before it has begun is never ready.
func TestSpinningStarts(t *testing.T) {
	for name, wasm := range map[string][]byte{"start": spinningStart(), "init": spinningInit()} {
		if in, err := instantiate(t, load(t, wasm)); err == nil {
			t.Errorf("%s: it is ready", name)
			in.Close()
		}
	}
}

// Modules that differ in their number are different modules.
func TestDistinct(t *testing.T) {
	if a, b := Distinct(Guest, 1), Distinct(Guest, 2); bytes.Equal(a, b) || !bytes.HasPrefix(a, Guest) {
		t.Error("1 and 2 are the same module, or not the guest")
	}
}

// The guest answers a quiet tenant with its own bytes, and has a state of the size that it is told.
func TestGuest(t *testing.T) {
	in, err := instantiate(t, load(t, Guest))
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	for _, tt := range []struct {
		why     string
		fn      uint32
		request []byte
		want    []byte
	}{
		{"an answer is the body", fnAnswer, Answer(1000, []byte("quiet-07 nonce")), []byte("quiet-07 nonce")},
		{"an empty one, too", fnAnswer, Answer(0, nil), nil},
		{"a reply is as large as asked for", fnReply, request(3 << 20), make([]byte, 3<<20)},
		{"a message emits nothing", fnHandle, request(5), make([]byte, 4)},
		{"the state is as large as the message said", fnSave, nil, make([]byte, 5)},
		{"a state is restored", fnRestore, make([]byte, 9), nil},
		{"with its size", fnSave, nil, make([]byte, 9)},
	} {
		r, err := in.Call(t.Context(), tt.fn, tt.request)
		if err != nil || r.Status != 0 || len(r.Payload) != len(tt.want) || tt.fn == fnAnswer && !bytes.Equal(r.Payload, tt.want) {
			t.Errorf("%s: %d bytes %.20q of status %d, %v; want %d %.20q", tt.why, len(r.Payload), r.Payload, r.Status, err, len(tt.want), tt.want)
		}
	}
	if _, err := in.Call(t.Context(), fnTrap, nil); err == nil {
		t.Error("a trap has an answer")
	}
}

func TestSLEB(t *testing.T) {
	for n, want := range map[int64]string{0: "\x00", 63: "\x3f", 64: "\xc0\x00", -1: "\x7f", -65: "\xbf\x7f", 1024: "\x80\x08"} {
		if got := string(sleb(n)); got != want {
			t.Errorf("%d is %x, want %x", n, got, want)
		}
	}
}
