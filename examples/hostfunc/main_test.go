package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

func TestRun(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("no Go toolchain to build the guest with; with one in PATH: go test ./examples/hostfunc")
	}
	path := filepath.Join(t.TempDir(), "guest.wasm")
	cmd := exec.Command("go", "build", "-buildmode=c-shared", "-ldflags=-s -w", "-o", path, "./guest")
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOFLAGS=")
	if msg, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, msg)
	}
	wasm, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := run(t.Context(), wasm, &out); err != nil {
		t.Fatal(err)
	}
	// The guest's own runtime calls host functions too.
	want := regexp.MustCompile(`^hall: 21\.5 degrees \(host functions called: [1-9]\d*\)
server room: 27\.5 degrees \(host functions called: [1-9]\d*\)
no thermometer in the attic \(host functions called: [1-9]\d*\)
$`)
	if !want.MatchString(out.String()) {
		t.Errorf("got:\n%s\nwant:\n%s", &out, want)
	}
}
