package main

import (
	"fmt"
	"go/format"
	"maps"
	"slices"
	"strings"

	"github.com/bungee-xr/bungee/capability"
)

// guestGo returns the text of bungee_offload_wasip1.go.
func (e *emitter) guestGo() ([]byte, error) {
	var made strings.Builder
	var serves []string
	for _, f := range e.funcs {
		serves = append(serves, f.variable()+".Serve")
	}
	for _, n := range e.ends {
		served := e.fresh(lower(n.name) + "Served")
		fmt.Fprintf(&made, "%s := %s.Serve()\n", served, n.variable())
		serves = append(serves, fmt.Sprintf("\n%s.Handle, %[1]s.Save, %[1]s.Restore", served))
	}
	offload, guest := e.std(offloadPath), e.std(guestPath)
	return format.Source(fmt.Appendf(nil, `%s

package %s

import (
	%s)

// bungeeModule is nil in the module itself: there every call runs here.
var bungeeModule *%s.Module

func init() {
	%s%s.Register(%s)
}
`, header, e.pkgName, e.specs([]string{offloadPath, guestPath}), offload, made.String(), guest, strings.Join(serves, ", ")))
}

// moduleGo returns the text of bungee_offload_module.go. The functions that open
// channels are in it, since a guest opens none.
func (e *emitter) moduleGo(s stamp, manifest capability.Manifest, digest [32]byte) ([]byte, error) {
	var hex strings.Builder
	for i, b := range digest {
		fmt.Fprintf(&hex, "0x%02x, ", b)
		if i%16 == 15 {
			hex.WriteByte('\n')
		}
	}
	offload := e.std(offloadPath)
	opens, imports := e.opens()
	return format.Source(fmt.Appendf(nil, `%s

%s
//go:build !wasip1

package %s

import (
	_ "embed"

	%s)

//go:embed %s
var bungeeWasm string

// bungeeModule is the Wasm version of what is marked. It asks for
// %s
var bungeeModule = &%s.Module{
	Digest: %[7]s.Digest{
		%s},
	Gzip: bungeeWasm,
}
%s`, header, s.comment(), e.pkgName, e.specs(imports), wasmFile, manifest, offload, hex.String(), opens))
}

// opens returns the functions that open channels, and what leads from elastic functions to
// their descriptions; and the paths that the file with them imports.
func (e *emitter) opens() (text string, imports []string) {
	e.used = map[string]bool{offloadPath: true}
	defer func() { e.used = nil }()
	var b strings.Builder
	for _, n := range e.ends {
		fmt.Fprintf(&b, "\n%sfunc %s(cfg %[3]s.Config) (*%[3]s.Channel[%[4]s, %[5]s], error) {\nreturn %[3]s.Open(&%[6]s, cfg)\n}\n",
			n.comment(), n.made(), e.std(elasticPath), e.spell(n.in), e.spell(n.out), n.variable())
	}
	if len(e.funcs) > 0 {
		codegen := e.std(codegenPath)
		b.WriteString("\nfunc init() {\n")
		for _, f := range e.funcs {
			name := f.made()
			if f.recv != nil {
				name = "(" + e.spell(f.recv.Type()) + ")." + name
			}
			fmt.Fprintf(&b, "%s.Made(%s, &%s.Desc)\n", codegen, name, f.variable())
		}
		b.WriteString("}\n")
	}
	return b.String(), slices.Collect(maps.Keys(e.used))
}
