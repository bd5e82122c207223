//go:build cgo

package wasmtime

import (
	"os"
	"os/exec"
	"reflect"
	"strings"
	"testing"

	wt "github.com/bytecodealliance/wasmtime-go/v44"
)

// pinned is the version of wasmtime-go that this package is written for.
const pinned = "v44.0.0"

// native.h holds declarations of one version's C API, which nothing compares with the
// library that they are linked with.
func TestVersion(t *testing.T) {
	const path, want = "github.com/bytecodealliance/wasmtime-go/v44", pinned
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("no Go toolchain in PATH to ask for the version; install Go and run go test -run TestVersion ./executor/wasmtime")
	}
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Version}}{{with .Replace}} replaced by {{.}}{{end}}", path).CombinedOutput()
	if got := strings.TrimSpace(string(out)); err != nil || got != want {
		t.Errorf("%s is %q, %v; native.h is written for %s: compare it with the headers in build/include of the other one, then change this test",
			path, got, err, want)
	}
}

// Whoever follows wasmtime's advisories reads in SECURITY.md which version this is.
func TestSecurityNamesTheVersion(t *testing.T) {
	text, err := os.ReadFile("../../SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "version "+pinned+" of wasmtime-go") {
		t.Errorf("SECURITY.md does not say that the version is %s", pinned)
	}
}

// pointer reads a private field of these.
func TestPrivateFields(t *testing.T) {
	for _, object := range []any{new(wt.Engine), new(wt.Config), new(wt.Module)} {
		f, ok := reflect.TypeOf(object).Elem().FieldByName("_ptr")
		if !ok || f.Type.Kind() != reflect.Pointer {
			t.Errorf("%T has no pointer _ptr: find where it keeps its C object and change the function pointer", object)
		}
	}
	e := wt.NewEngine()
	defer e.Close()
	if pointer(e) == nil {
		t.Error("the pointer of an engine is nil")
	}
}
