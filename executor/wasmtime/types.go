//go:build cgo

package wasmtime

import (
	wt "github.com/bytecodealliance/wasmtime-go/v44"

	"github.com/bungee-xr/bungee/executor/internal/guest"
	"github.com/bungee-xr/bungee/internal/abi"
)

// pageSize is the unit of memory in WebAssembly.
const pageSize = 64 << 10

// exports is what a module exports, as far as it matters here.
type exports struct {
	funcs  []guest.FuncType
	memory uint64 // bytes at the start
	table  uint64 // elements at the start, of all tables
}

// exportsOf returns what m exports. Its error is that of [guest.CheckExports].
func exportsOf(m *wt.Module) (x exports, err error) {
	memory := false
	for _, e := range m.Exports() {
		t := e.Type()
		if f := t.FuncType(); f != nil {
			x.funcs = append(x.funcs, guest.FuncType{
				Name: e.Name(), Params: letters(f.Params()), Results: letters(f.Results()),
			})
		}
		if table := t.TableType(); table != nil {
			x.table += uint64(table.Minimum())
		}
		if mem := t.MemoryType(); mem != nil && e.Name() == abi.ExportMemory {
			memory, x.memory = true, mem.Minimum()*pageSize
		}
	}
	return x, guest.CheckExports(x.funcs, memory)
}

// importsOf returns what m imports, in its order. What is no function gets a
// type that no host function has.
func importsOf(m *wt.Module) []guest.FuncType {
	var all []guest.FuncType
	for _, im := range m.Imports() {
		f := guest.FuncType{Module: im.Module(), Params: "?"}
		if name := im.Name(); name != nil {
			f.Name = *name
		}
		if t := im.Type().FuncType(); t != nil {
			f.Params, f.Results = letters(t.Params()), letters(t.Results())
		}
		all = append(all, f)
	}
	return all
}

// letters returns types as [guest.FuncType] has them.
func letters(types []*wt.ValType) string {
	b := make([]byte, len(types))
	for i, t := range types {
		b[i] = letter(t.Kind())
	}
	return string(b)
}

func letter(k wt.ValKind) byte {
	switch k {
	case wt.KindI32:
		return 'i'
	case wt.KindI64:
		return 'l'
	case wt.KindF32:
		return 'f'
	case wt.KindF64:
		return 'd'
	}
	return '?'
}
