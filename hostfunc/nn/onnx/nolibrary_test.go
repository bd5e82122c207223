//go:build cgo

package onnx

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
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
	tests := []struct{ name, file, why string }{
		{"missing", "/no/such/libonnxruntime.so", "a wrong path"},
		{"text", text, "the linker refuses it"},
		{"another library", "libc.so.6", "it has not the function"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestNoLibrary$", "-test.v")
			cmd.Env = append(os.Environ(), asked+"=1", Env+"="+tt.file)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Errorf("a process with %s: %v (%s)\n%s", tt.file, err, tt.why, out)
			}
			t.Logf("%s", out)
		})
	}
}
