package siege

import (
	"bytes"
	"encoding/binary"

	_ "embed"
)

// Guest is the module of the quiet tenants. Attackers have it, too: its further functions do
// what a host has to bound. It is built of guest.c.
//
//go:embed testdata/guest.wasm
var Guest []byte

// contexts is Guest, but that fnHog takes inference contexts, too.
//
//go:embed testdata/contexts.wasm
var contexts []byte

// The functions of Guest. The last three are an endpoint's.
const (
	fnAnswer  = iota // waits as long as the argument says, and answers with the rest of the request
	fnReply          // answers with as many bytes as the argument says
	fnSpin           // never ends
	fnHog            // takes all memory, and never ends
	fnFill           // fills all memory, again and again
	fnCopy           // copies all memory, again and again
	fnTrap           // traps
	fnLog            // logs without end
	fnHandle         // makes the state as large as the argument says
	fnSave           //
	fnRestore        //
)

// Distinct returns wasm with a custom section that makes it another module with the same code.
func Distinct(wasm []byte, n uint64) []byte {
	name := "siege"
	body := append([]byte{byte(len(name))}, name...)
	body = binary.BigEndian.AppendUint64(body, n)
	return append(bytes.Clone(wasm), section(0, body)...)
}

// A program is what a module of an attacker has beside what each guest must have: further
// functions without parameters and results.
type program struct {
	functions []function
	start     bool // the first one is the start function
	init      bool // the first one is _initialize
	memory    int  // pages; 0: one
}

type function struct {
	locals int // of type i32
	code   []byte
}

// The opcodes that programs use (WebAssembly core specification, appendix A.7).
const (
	opUnreachable = 0x00
	opLoop        = 0x03
	opBlock       = 0x02
	opEnd         = 0x0b
	opBr          = 0x0c
	opBrIf        = 0x0d
	opBrTable     = 0x0e
	opLocalGet    = 0x20
	opLocalSet    = 0x21
	opI32Const    = 0x41
	opI64Const    = 0x42
	opI32Add      = 0x6a
	voidBlock     = 0x40
)

// The types of a guest's functions, by index.
const (
	typeABI = iota
	typeBuf
	typeCall
	typeVoid
)

// wasm assembles the module: a guest that answers each call with status 0 and nothing else.
func (p program) wasm() []byte {
	types := [][]byte{{0x60, 0, 1, 0x7f}, {0x60, 1, 0x7f, 1, 0x7f}, {0x60, 4, 0x7f, 0x7f, 0x7f, 0x7e, 1, 0x7e}, {0x60, 0, 0}}
	own := []function{
		{code: []byte{opI32Const, 1}},                           // bungee_abi
		{code: append([]byte{opI32Const}, sleb(1024)...)},       // bungee_buf
		{code: append([]byte{opI64Const}, sleb(2048<<32|1)...)}, // bungee_call
	}
	all := append(own, p.functions...)
	var indices [][]byte
	var bodies [][]byte
	for i, f := range all {
		indices = append(indices, []byte{byte(min(i, typeVoid))})
		bodies = append(bodies, f.body())
	}
	exports := [][]byte{export("memory", 2, 0), export("bungee_abi", 0, 0), export("bungee_buf", 0, 1), export("bungee_call", 0, 2)}
	if p.init {
		exports = append(exports, export("_initialize", 0, len(own)))
	}
	b := []byte("\x00asm\x01\x00\x00\x00")
	b = append(b, section(1, vector(types))...)
	b = append(b, section(3, vector(indices))...)
	b = append(b, section(5, append([]byte{1, 0}, uleb(max(1, p.memory))...))...)
	b = append(b, section(7, vector(exports))...)
	if p.start {
		b = append(b, section(8, uleb(len(own)))...)
	}
	return append(b, section(10, vector(bodies))...)
}

func (f function) body() []byte {
	b := []byte{0}
	if f.locals > 0 {
		b = append(append([]byte{1}, uleb(f.locals)...), 0x7f)
	}
	b = append(append(b, f.code...), opEnd)
	return append(uleb(len(b)), b...)
}

func export(name string, kind byte, index int) []byte {
	return append(append(append(uleb(len(name)), name...), kind), uleb(index)...)
}

func section(id byte, body []byte) []byte {
	return append(append([]byte{id}, uleb(len(body))...), body...)
}

func vector(parts [][]byte) []byte { return append(uleb(len(parts)), bytes.Join(parts, nil)...) }

func uleb(n int) []byte { return binary.AppendUvarint(nil, uint64(n)) }

// sleb is signed LEB128, which binary.AppendVarint is not.
func sleb(n int64) (b []byte) {
	for {
		low := byte(n & 0x7f)
		n >>= 7
		if n == 0 && low&0x40 == 0 || n == -1 && low&0x40 != 0 {
			return append(b, low)
		}
		b = append(b, low|0x80)
	}
}
