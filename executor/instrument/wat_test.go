//go:build cgo

package instrument_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	wt "github.com/bytecodealliance/wasmtime-go/v44"
)

var update = flag.Bool("update", false, "write testdata/*.wasm")

// TestWat checks that the modules in testdata are what their texts say.
func TestWat(t *testing.T) {
	texts, err := filepath.Glob("testdata/*.wat")
	if err != nil || len(texts) == 0 {
		t.Fatalf("%d texts, %v", len(texts), err)
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
		if *update {
			if err := os.WriteFile(binary, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(binary)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what its text says; run go test -run TestWat -update (%v)", binary, err)
		}
	}
}
