//go:build cgo

package wasmtime_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/wasmtime"
)

// The guest in C of docs/abi.md is built as the document says, and called.
func TestDocumentedCGuest(t *testing.T) {
	doc, err := os.ReadFile("../../docs/abi.md")
	if err != nil {
		t.Fatal(err)
	}
	source := regexp.MustCompile("(?s)```c\n(.*?)```").FindSubmatch(doc)
	command := regexp.MustCompile("\n(clang-19 .*)\n").FindSubmatch(doc)
	if source == nil || command == nil {
		t.Fatal("docs/abi.md has no C guest, or no command to build it")
	}
	if _, err := exec.LookPath("clang-19"); err != nil {
		t.Skip("no clang-19; apt-get install clang-19 lld-19 wasi-libc libclang-rt-19-dev-wasm32 and run go test -run TestDocumentedCGuest ./executor/wasmtime")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "guest.c"), source[1], 0o600); err != nil {
		t.Fatal(err)
	}
	args := strings.Fields(string(command[1]))
	build := exec.Command(args[0], args[1:]...)
	build.Dir = dir
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", build, err, out)
	}
	wasm, err := os.ReadFile(filepath.Join(dir, "guest.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	echoAndRefuse(t, wasm)
}

// echoAndRefuse calls a guest whose function 0 is an echo, and which has no
// other.
func echoAndRefuse(t *testing.T, wasm []byte) {
	t.Helper()
	e := newEngine(t, wasmtime.Config{})
	defer e.Close()
	m, err := e.Load(t.Context(), executor.Bytes(wasm))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	in, err := m.Instantiate(t.Context(), executor.InstanceConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	for _, want := range []string{"", "hello"} {
		if r, err := in.Call(t.Context(), 0, []byte(want)); err != nil || r.Status != 0 || string(r.Payload) != want {
			t.Errorf("function 0 on %q: got %v, %v", want, r, err)
		}
	}
	if r, err := in.Call(t.Context(), 1, nil); err == nil {
		t.Errorf("function 1: got %v, want a trap", r)
	}
}
