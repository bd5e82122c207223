package bombs

import (
	"encoding/binary"
	"fmt"
)

// The types that each module here has.
const (
	typeABI     = 0
	typeBuf     = 1
	typeCall    = 2
	typeNothing = 3
)

// A builder puts a guest together.
type builder struct {
	types, funcs, code [][]byte
	imports            int // functions of type typeNothing
	exports            int // beside those of a guest
	globals            int
	pages              int
	data               [][]byte
}

func newModule() *builder {
	b := &builder{pages: 1}
	b.typ(nil, []byte{0x7f})
	b.typ([]byte{0x7f}, []byte{0x7f})
	b.typ([]byte{0x7f, 0x7f, 0x7f, 0x7e}, []byte{0x7e})
	b.typ(nil, nil)
	b.function(typeABI, locals(0), []byte{0x41, 1})                                // i32.const 1
	b.function(typeBuf, locals(0), []byte{0x41, 0x80, 8})                          // i32.const 1024
	b.function(typeCall, locals(0), []byte{0x42, 0x81, 0x80, 0x80, 0x80, 0x80, 1}) // a reply of one byte, OK, at 8
	return b
}

// typ adds a type and returns its index.
func (b *builder) typ(params, results []byte) int {
	t := binary.AppendUvarint([]byte{0x60}, uint64(len(params)))
	t = append(t, params...)
	t = binary.AppendUvarint(t, uint64(len(results)))
	b.types = append(b.types, append(t, results...))
	return len(b.types) - 1
}

// function adds a function and returns its index among those that are defined.
func (b *builder) function(typ int, locals, code []byte) int {
	b.funcs = append(b.funcs, binary.AppendUvarint(nil, uint64(typ)))
	body := append(append(append([]byte{}, locals...), code...), 0x0b)
	b.code = append(b.code, append(binary.AppendUvarint(nil, uint64(len(body))), body...))
	return len(b.funcs) - 1
}

// bytes returns the module.
func (b *builder) bytes() []byte {
	wasm := []byte("\x00asm\x01\x00\x00\x00")
	wasm = section(wasm, 1, b.types)
	if b.imports > 0 {
		wasm = section(wasm, 2, b.importSection())
	}
	wasm = section(wasm, 3, b.funcs)
	wasm = section(wasm, 5, [][]byte{binary.AppendUvarint([]byte{0}, uint64(b.pages))})
	if b.globals > 0 {
		wasm = section(wasm, 6, many(b.globals, []byte{0x7f, 0, 0x41, 0, 0x0b}))
	}
	wasm = section(wasm, 7, b.exportSection())
	wasm = section(wasm, 10, b.code)
	if len(b.data) > 0 {
		wasm = section(wasm, 11, b.dataSection())
	}
	return wasm
}

// section appends a section of entries.
func section(wasm []byte, id byte, entries [][]byte) []byte {
	body := binary.AppendUvarint(nil, uint64(len(entries)))
	for _, e := range entries {
		body = append(body, e...)
	}
	wasm = binary.AppendUvarint(append(wasm, id), uint64(len(body)))
	return append(wasm, body...)
}

func many(n int, entry []byte) [][]byte {
	all := make([][]byte, n)
	for k := range all {
		all[k] = entry
	}
	return all
}

func (b *builder) importSection() [][]byte {
	all := make([][]byte, b.imports)
	for k := range all {
		all[k] = append(append(name("env"), name(fmt.Sprint(k))...), 0, typeNothing)
	}
	return all
}

func (b *builder) exportSection() [][]byte {
	all := [][]byte{append(name("memory"), 2, 0)}
	for k, n := range []string{"bungee_abi", "bungee_buf", "bungee_call"} {
		all = append(all, binary.AppendUvarint(append(name(n), 0), uint64(b.imports+k)))
	}
	for k := range b.exports {
		all = append(all, binary.AppendUvarint(append(name(fmt.Sprint(k)), 0), uint64(b.imports)))
	}
	return all
}

func (b *builder) dataSection() [][]byte {
	all := make([][]byte, len(b.data))
	for k, d := range b.data {
		all[k] = append(binary.AppendUvarint([]byte{0, 0x41, 0, 0x0b}, uint64(len(d))), d...)
	}
	return all
}

func name(s string) []byte { return append(binary.AppendUvarint(nil, uint64(len(s))), s...) }
