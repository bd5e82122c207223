//go:build cgo

package wasmtime

import (
	wt "github.com/bytecodealliance/wasmtime-go/v44"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/internal/abi"
)

// exportsOf returns the functions m exports, and whether it exports its memory.
func exportsOf(m *wt.Module) (funcs []executor.FuncType, memory bool) {
	for _, e := range m.Exports() {
		t := e.Type()
		if f := t.FuncType(); f != nil {
			funcs = append(funcs, executor.FuncType{
				Name: e.Name(), Params: letters(f.Params()), Results: letters(f.Results()),
			})
		}
		memory = memory || e.Name() == abi.ExportMemory && t.MemoryType() != nil
	}
	return funcs, memory
}

// importsOf returns what m imports, in its order. What is no function gets a
// type that no host function has.
func importsOf(m *wt.Module) []executor.FuncType {
	var all []executor.FuncType
	for _, im := range m.Imports() {
		f := executor.FuncType{Module: im.Module(), Params: "?"}
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

// letters returns types as [executor.FuncType] has them.
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

// funcType returns the type of a host function.
func funcType(f executor.HostFunc) *wt.FuncType {
	return wt.NewFuncType(valTypes(f.Params), valTypes(f.Results))
}

func valTypes(letters string) []*wt.ValType {
	var types []*wt.ValType
	for _, c := range letters {
		kind := wt.KindI32
		if c == 'l' {
			kind = wt.KindI64
		}
		types = append(types, wt.NewValType(kind))
	}
	return types
}
