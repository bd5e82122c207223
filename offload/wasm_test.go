//go:build !wasip1

package offload_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"testing"

	"github.com/bungee-xr/bungee/offload"
)

func TestModule(t *testing.T) {
	wasm := bytes.Repeat([]byte("\x00asm"), 1000)
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	w.Write(wasm)
	w.Close()
	m := offload.Module{Digest: sha256.Sum256(wasm), Gzip: z.String()}
	got, err := m.Wasm()
	if err != nil || !bytes.Equal(got, wasm) {
		t.Fatalf("%d bytes, %v; want %d", len(got), err, len(wasm))
	}
	for name, bad := range map[string]offload.Module{
		"other digest": {Gzip: m.Gzip},
		"cut":          {Digest: m.Digest, Gzip: m.Gzip[:len(m.Gzip)/2]},
		"no gzip":      {Digest: m.Digest, Gzip: "x"},
	} {
		if _, err := bad.Wasm(); !errors.Is(err, offload.ErrModule) {
			t.Errorf("%s: %v, want ErrModule", name, err)
		}
	}
}
