package siege

import "bytes"

// The modules that cost a host more than their bytes. Each is valid Wasm within the bounds that
// engines have: 50,000 locals and 7.6 MB a function, a million functions
// (WebAssembly JavaScript interface, section 5).

// nestedLoops has n loops in one another, each with a little to do. Compilers whose time grows with
// the depth take seconds for some KB (H2).
func nestedLoops(n int) []byte {
	var code []byte
	for range n {
		code = append(code, opLoop, voidBlock, opLocalGet, 0, opI32Const, 1, opI32Add, opLocalSet, 0)
	}
	for range n {
		code = append(code, opLocalGet, 0, opBrIf, 0, opEnd)
	}
	return program{functions: []function{{locals: 1, code: code}}}.wasm()
}

// manyLocals has functions of n locals each, all of which live across a loop.
func manyLocals(functions, n int) []byte {
	code := []byte{opLoop, voidBlock}
	for i := range n {
		next := uleb((i + 1) % n)
		code = append(append(code, opLocalGet), uleb(i)...)
		code = append(append(code, opI32Const, 1, opI32Add, opLocalSet), next...)
	}
	code = append(code, opLocalGet, 0, opBrIf, 0, opEnd)
	f := function{locals: n, code: code}
	var all []function
	for range functions {
		all = append(all, f)
	}
	return program{functions: all}.wasm()
}

// bigTables has branch tables of n targets in nested blocks, so that each edge is one of its own.
func bigTables(tables, n int) []byte {
	const depth = 64
	var code []byte
	for range tables {
		for range depth {
			code = append(code, opBlock, voidBlock)
		}
		code = append(append(code, opLocalGet, 0, opBrTable), uleb(n)...)
		for i := range n {
			code = append(code, uleb(i%depth)...)
		}
		code = append(code, 0)
		for range depth {
			code = append(code, opLocalGet, 0, opI32Const, 1, opI32Add, opLocalSet, 0, opEnd)
		}
	}
	return program{functions: []function{{locals: 1, code: code}}}.wasm()
}

// manyFunctions has n functions of some instructions each.
func manyFunctions(n int) []byte {
	f := function{locals: 1, code: bytes.Repeat([]byte{opLocalGet, 0, opI32Const, 1, opI32Add, opLocalSet, 0}, 4)}
	all := make([]function, n)
	for i := range all {
		all[i] = f
	}
	return program{functions: all}.wasm()
}

// endless is a function that never ends.
var endless = function{code: []byte{opLoop, voidBlock, opBr, 0, opEnd}}

// spinningStart loops before the guest has begun: in its start function, or in _initialize (H3).
func spinningStart() []byte { return program{functions: []function{endless}, start: true}.wasm() }
func spinningInit() []byte  { return program{functions: []function{endless}, init: true}.wasm() }

// hugeMemory wants memory before it has been asked anything.
func hugeMemory(pages int) []byte { return program{memory: pages}.wasm() }
