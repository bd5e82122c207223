//go:build !wasip1

package offload_test

import (
	"bytes"
	"testing"

	"github.com/bungee-xr/bungee/offload"
	"github.com/bungee-xr/bungee/offload/codegen"
)

func TestModule(t *testing.T) {
	wasm := bytes.Repeat([]byte("\x00asm"), 1000)
	m := codegen.NewModule(wasm)
	got, err := m.Wasm()
	if err != nil || !bytes.Equal(got, wasm) {
		t.Fatalf("%d bytes, %v; want %d", len(got), err, len(wasm))
	}
	for name, bad := range map[string]offload.Module{
		"other digest": {Gzip: m.Gzip},
		"cut":          {Digest: m.Digest, Gzip: m.Gzip[:len(m.Gzip)/2]},
		"no gzip":      {Digest: m.Digest, Gzip: "x"},
	} {
		if _, err := bad.Wasm(); offload.CodeOf(err) != offload.CodeBadModule {
			t.Errorf("%s: %v, want one of CodeBadModule", name, err)
		}
	}
}
