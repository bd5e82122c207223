//go:build cgo

package onnx

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// asked is set in the process that TestNoLibrary starts.
const asked = "BUNGEE_TEST_NO_LIBRARY"

// TestNoLibrary starts processes that have no library, or a wrong one: none of them
// crashes, and New says what to do. A process of its own is needed as a library
// that was loaded stays.
func TestNoLibrary(t *testing.T) {
	if os.Getenv(asked) != "" {
		if _, err := New(Config{}); !errors.Is(err, ErrNoLibrary) {
			t.Errorf("New = %v; want ErrNoLibrary", err)
		} else {
			t.Log(err)
		}
		return
	}
	text := filepath.Join(t.TempDir(), "lib.so")
	if err := os.WriteFile(text, []byte("no library at all"), 0o700); err != nil {
		t.Fatal(err)
	}
	right := Library("")[0]
	tests := []struct{ name, file, digest, why string }{
		{"missing", "/no/such/libonnxruntime.so", "", "a wrong path"},
		{"text", text, "", "the linker refuses it"},
		{"another library", "libc.so.6", "", "it has not the function"},
		{"another digest", right, strings.Repeat("0", 64), "it is not what the operator looked at"},
		{"a wrong file with its digest", text, fmt.Sprintf("%x", sha256.Sum256([]byte("no library at all"))), "the linker refuses it"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestNoLibrary$", "-test.v")
			cmd.Env = append(os.Environ(), asked+"=1", Env+"="+tt.file, EnvDigest+"="+tt.digest)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Errorf("a process with %s: %v (%s)\n%s", tt.file, err, tt.why, out)
			}
			t.Logf("%s", out)
		})
	}
}

// TestLoadedFromDescriptor holds that the installed library was loaded from the file whose
// digest was right.
func TestLoadedFromDescriptor(t *testing.T) {
	b := open(t, Config{})
	if b == nil || held == nil {
		t.Skipf("the library was found by the dynamic linker; run scripts/onnxruntime.sh and go test -run %s ./hostfunc/nn/onnx", t.Name())
	}
	if err := (candidate{held.Name(), installed}).verify(reopened(t)); err != nil {
		t.Error(err)
	}
}

// reopened returns the file that the library was loaded from, from its beginning.
func reopened(t *testing.T) *os.File {
	t.Helper()
	f, err := os.Open(fmt.Sprintf("/proc/self/fd/%d", held.Fd()))
	if err != nil {
		t.Skipf("%v: there is no /proc; on Linux run go test -run %s ./hostfunc/nn/onnx", err, t.Name())
	}
	t.Cleanup(func() { f.Close() })
	return f
}
