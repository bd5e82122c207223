//go:build !wasip1

// Guests do without what is here: it would make each of them 0.35 MB larger.

package codegen

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"os"

	"github.com/bungee-xr/bungee/internal/route"
	"github.com/bungee-xr/bungee/offload"
)

// checks says whether native runs are checked: it is set before main begins.
var checks = os.Getenv("BUNGEE_CHECK") == "1"

// Made takes note that elastic is the elastic function that d describes, so that the function
// leads to its description.
func Made(elastic any, d *offload.Desc) { route.Made(elastic, d) }

// NewModule returns the module of wasm. Generated code has its own.
func NewModule(wasm []byte) *offload.Module {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write(wasm) // a write to memory cannot fail
	z.Close()
	return &offload.Module{Digest: sha256.Sum256(wasm), Gzip: b.String()}
}
