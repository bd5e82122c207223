package wazero

import (
	wz "github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/bungee-xr/bungee/executor/internal/guest"
	"github.com/bungee-xr/bungee/internal/abi"
)

// exportsOf returns the functions that m exports, and whether it exports its memory.
func exportsOf(m wz.CompiledModule) (funcs []guest.FuncType, memory bool) {
	for name, f := range m.ExportedFunctions() {
		funcs = append(funcs, guest.FuncType{
			Name: name, Params: letters(f.ParamTypes()), Results: letters(f.ResultTypes()),
		})
	}
	return funcs, m.ExportedMemories()[abi.ExportMemory] != nil
}

// needOf returns what m asks of its instances; found is what wazero does not tell.
func needOf(m wz.CompiledModule, found findings, metered, deterministic bool) guest.Need {
	need := guest.Need{Table: found.table, Metered: metered, Deterministic: deterministic}
	for _, f := range m.ImportedFunctions() {
		module, name, _ := f.Import()
		need.Imports = append(need.Imports, guest.FuncType{
			Module: module, Name: name, Params: letters(f.ParamTypes()), Results: letters(f.ResultTypes()),
		})
	}
	need.Imports = append(need.Imports, found.imports...)
	for _, memory := range m.ExportedMemories() {
		need.Memory = uint64(memory.Min()) << 16
	}
	return need
}

// letters returns types as [guest.FuncType] has them.
func letters(types []api.ValueType) string {
	b := make([]byte, len(types))
	for i, t := range types {
		b[i] = letter(t)
	}
	return string(b)
}

func letter(t api.ValueType) byte {
	switch t {
	case api.ValueTypeI32:
		return 'i'
	case api.ValueTypeI64:
		return 'l'
	case api.ValueTypeF32:
		return 'f'
	case api.ValueTypeF64:
		return 'd'
	}
	return '?'
}
