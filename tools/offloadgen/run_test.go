package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/bungee-xr/bungee/internal/abi"
)

// generate runs the command in dir and returns what it printed.
func generate(t *testing.T, dir string, args ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if status := run(append(args, dir), &stdout, &stderr); status != 0 {
		t.Fatalf("offloadgen %q in %s: exit status %d\n%s", args, dir, status, &stderr)
	}
	return stdout.String()
}

// TestRun generates for a program, runs it natively, and compares the replies
// of its native functions with those of its module.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	makeModule(t, dir, get(t, "testdata/run/app.txtar"))
	if said := generate(t, dir); said != "" {
		t.Errorf("without -v it said %q; want nothing", said)
	}
	cmd := exec.Command("go", "run", ".")
	cmd.Dir = dir
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("the program: %v\n%s", err, &stderr)
	}
	if got, want := strings.TrimSpace(stderr.String()), "run on the UE 4 0 allocations"; got != want {
		t.Errorf("natively: %q; want %q", got, want)
	}
	m := instantiate(t, unzip(t, filepath.Join(dir, wasmFile)))
	for line := range strings.Lines(stdout.String()) {
		var fn uint64
		var request, want string
		if _, err := fmt.Sscan(line, &fn, &request, &want); err != nil {
			t.Fatal(line, err)
		}
		if got := m.call(t, fn, request); got != want {
			t.Errorf("function %d on %s:\ngot  %s\nwant %s, as natively", fn, request, got, want)
		}
	}
	if got := m.call(t, 2, "92a161a162"); !strings.Contains(got, hex.EncodeToString([]byte("abthe edge host"))) {
		t.Errorf("where(a, b) = %s; want the version for Wasm", got)
	}
	if got, _ := hex.DecodeString(m.call(t, 1, "00")); len(got) == 0 || got[0] != byte(abi.Panic) || !bytes.Contains(got, []byte("divide by zero")) || !bytes.Contains(got, []byte("main.go:")) {
		t.Errorf("half(0) = %q; want a panic with its stack", got)
	}
}

func unzip(t *testing.T, path string) []byte {
	t.Helper()
	z, err := gzip.NewReader(strings.NewReader(get(t, path)))
	if err != nil {
		t.Fatal(err)
	}
	wasm, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return wasm
}

// A module is an instance of a generated module.
type module struct{ api.Module }

func instantiate(t *testing.T, wasm []byte) module {
	t.Helper()
	ctx := context.Background()
	rt := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter())
	t.Cleanup(func() { rt.Close(ctx) })
	wasi_snapshot_preview1.MustInstantiate(ctx, rt)
	_, err := rt.NewHostModuleBuilder(abi.Module).
		NewFunctionBuilder().WithFunc(func(level, ptr, n int32) {}).Export(abi.ImportLog).
		NewFunctionBuilder().WithFunc(func() int64 { return 1 }).Export(abi.ImportNow).
		NewFunctionBuilder().WithFunc(func() int32 { return 0 }).Export(abi.ImportCanceled).
		Instantiate(ctx)
	if err != nil {
		t.Fatal(err)
	}
	config := wazero.NewModuleConfig().WithStartFunctions(abi.ExportInitialize).WithStderr(os.Stderr)
	m, err := rt.InstantiateWithConfig(ctx, wasm, config)
	if err != nil {
		t.Fatal(err)
	}
	return module{m}
}

// call calls a guest function. The request and the reply are in hexadecimal.
func (m module) call(t *testing.T, fn uint64, request string) string {
	t.Helper()
	ctx := context.Background()
	in, err := hex.DecodeString(request)
	if err != nil {
		t.Fatal(err)
	}
	ptr, err := m.ExportedFunction(abi.ExportBuf).Call(ctx, uint64(len(in)))
	if err != nil || !m.Memory().Write(uint32(ptr[0]), in) {
		t.Fatalf("buffer of %d bytes at %v: %v", len(in), ptr, err)
	}
	reply, err := m.ExportedFunction(abi.ExportCall).Call(ctx, fn, ptr[0], uint64(len(in)), 0)
	if err != nil {
		t.Fatal(err)
	}
	out, ok := m.Memory().Read(uint32(reply[0]>>32), uint32(reply[0]))
	if !ok {
		t.Fatalf("reply %x is outside the memory", reply[0])
	}
	return hex.EncodeToString(out)
}
