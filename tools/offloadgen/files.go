package main

import (
	"fmt"
	"go/format"
	"strings"
)

// guestGo returns the text of bungee_offload_wasip1.go.
func (e *emitter) guestGo() ([]byte, error) {
	var serves []string
	for _, f := range e.funcs {
		serves = append(serves, f.variable+".Serve")
	}
	offload, guest := e.std(offloadPath), e.std(guestPath)
	return format.Source(fmt.Appendf(nil, `%s

package %s

import (
	%s
	%s
)

// bungeeModule is nil in the module itself: there every call runs here.
var bungeeModule *%s.Module

func init() {
	%s.Register(%s)
}
`, header, e.pkgName, e.spec(offloadPath), e.spec(guestPath), offload, guest, strings.Join(serves, ", ")))
}

// moduleGo returns the text of bungee_offload_module.go.
func (e *emitter) moduleGo(s stamp, digest [32]byte) ([]byte, error) {
	var hex strings.Builder
	for i, b := range digest {
		fmt.Fprintf(&hex, "0x%02x, ", b)
		if i%16 == 15 {
			hex.WriteByte('\n')
		}
	}
	offload := e.std(offloadPath)
	return format.Source(fmt.Appendf(nil, `%s

%s
//go:build !wasip1

package %s

import (
	_ "embed"

	%s
)

//go:embed %s
var bungeeWasm string

// bungeeModule is the Wasm version of the functions in %s.
var bungeeModule = &%s.Module{
	Digest: %[7]s.Digest{
		%s},
	Gzip: bungeeWasm,
}
`, header, s.comment(), e.pkgName, e.spec(offloadPath), wasmFile, offloadFile, offload, hex.String()))
}
