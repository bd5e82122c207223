//go:build cgo

// Package wattest keeps guests in binary form what their texts say: wazero reads no
// text, and tests without cgo need the binaries.
package wattest

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	wt "github.com/bytecodealliance/wasmtime-go/v44"
)

// Current checks that beside each .wat file of dir is the .wasm file that it makes, or
// writes those with update.
func Current(t *testing.T, dir string, update bool) {
	t.Helper()
	texts, err := filepath.Glob(filepath.Join(dir, "*.wat"))
	if err != nil || len(texts) == 0 {
		t.Fatalf("%d texts in %s, %v", len(texts), dir, err)
	}
	for _, path := range texts {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		want, err := wt.Wat2Wasm(string(text))
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		binary := strings.TrimSuffix(path, "wat") + "wasm"
		if update {
			if err := os.WriteFile(binary, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(binary); !bytes.Equal(got, want) {
			t.Errorf("%s is not what %s says (%v); run go test -run %s -update", binary, path, err, t.Name())
		}
	}
}
