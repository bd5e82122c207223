package enginetest

import (
	"embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// Functions of the guest basic.wat.
const (
	fnEcho = iota
	fnError
	fnPanic
	fnCount
	fnTrap
	fnSpin
	fnBomb
	fnDeep
	fnReplyWraps
	fnReplyHuge
	fnReplyEmpty
	fnReplyStatus
	fnAwaitCancel
	fnClock
	fnLogOutside
	fnReadOutside
	fnReplyPastEnd
	fnLogSpin
)

//go:embed testdata/*.wasm
var guests embed.FS

// Guest returns the module of a guest in testdata, such as "basic".
func Guest(t testing.TB, name string) []byte {
	t.Helper()
	b, err := guests.ReadFile("testdata/" + name + ".wasm")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// GoGuest returns the guest in testdata/goguest, built with the Go toolchain once in each
// process. It skips the test when there is no toolchain.
func GoGuest(t testing.TB) []byte {
	t.Helper()
	needGo(t)
	b, err := buildGoGuest()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var buildGoGuest = sync.OnceValues(func() ([]byte, error) {
	return buildGo("github.com/bungee-xr/bungee/executor/enginetest/testdata/goguest")
})

// BuildGo builds the guest in package pkg, such as "./testdata/guest", with the Go
// toolchain. It skips the test when there is none.
func BuildGo(t testing.TB, pkg string) []byte {
	t.Helper()
	needGo(t)
	b, err := buildGo(pkg)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func needGo(t testing.TB) {
	t.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		t.Skipf("no Go toolchain in PATH to build a guest with; install Go, and: go test -run %s", t.Name())
	}
}

func buildGo(pkg string) ([]byte, error) {
	dir, err := os.MkdirTemp("", "goguest")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	out := filepath.Join(dir, "guest.wasm")
	cmd := exec.Command("go", "build", "-buildmode=c-shared", "-ldflags=-s -w", "-o", out, pkg)
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOFLAGS=")
	if msg, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", cmd, err, msg)
	}
	return os.ReadFile(out)
}
