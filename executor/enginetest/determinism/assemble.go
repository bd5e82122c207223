package determinism

// Layout of the memory of the operations guest, which is one page.
const (
	atReply    = 1023 // status, then the result
	atResult   = 1024
	atCount    = 1040 // of calls that ended, an i64
	atRequest  = 2048 // operands, one each 16 bytes
	maxRequest = 64
)

// A kind is the type of an operand.
type kind byte

const (
	i32  kind = 0x7f
	i64  kind = 0x7e
	f32  kind = 0x7d
	f64  kind = 0x7c
	v128 kind = 0x7b
	// address is an i32 into the memory.
	address kind = 0
)

// An operation is an instruction, or a few, with its operands on the stack.
type operation struct {
	name string
	in   []kind
	out  kind // 0: none
	code []byte
}

// operations is a guest whose function n is ops[n] on the operands in its request.
// The guest counts its calls in an exported global, and writes that to memory.
func operations(ops []operation) []byte {
	const abi, buf, call, first = 0, 1, 2, 3 // functions
	n := len(ops)
	types := vec(4,
		[]byte{0x60, 0, 1, byte(i32)},
		[]byte{0x60, 1, byte(i32), 1, byte(i32)},
		[]byte{0x60, 4, byte(i32), byte(i32), byte(i32), byte(i64), 1, byte(i64)},
		[]byte{0x60, 0, 0})
	functions := append(leb(first+n), 0, 1, 2)
	elements, bodies := leb(n), [][]byte{
		body([]byte{0x41, 1}), // version 1
		body(cat([]byte{0x41}, sleb(atRequest), []byte{0x41, 0, 0x20, 0}, // atRequest, or 0 for a long request
			[]byte{0x41}, sleb(maxRequest), []byte{0x4d, 0x1b})),
		body(dispatch()),
	}
	for i, o := range ops {
		functions = append(functions, 3)
		elements = append(elements, leb(first+i)...)
		bodies = append(bodies, body(o.body()))
	}
	return cat([]byte("\x00asm\x01\x00\x00\x00"),
		section(1, types),
		section(3, functions),
		section(4, cat([]byte{1, 0x70, 0}, leb(n))),
		section(5, []byte{1, 1, 1, 1}), // one page and no more
		section(6, []byte{1, byte(i64), 1, 0x42, 0, 0x0b}),
		section(7, vec(5, export("memory", 2, 0), export("bungee_abi", 0, abi), export("bungee_buf", 0, buf),
			export("bungee_call", 0, call), export("calls", 3, 0))),
		section(9, cat([]byte{1, 0, 0x41, 0, 0x0b}, elements)),
		section(10, vec(len(bodies), bodies...)))
}

// dispatch is the code of bungee_call.
func dispatch() []byte {
	return cat(
		[]byte{0x41}, sleb(atReply), []byte{0x41, 0, 0x3a, 0, 0}, // status 0
		[]byte{0x41}, sleb(atResult), []byte{0x41, 0, 0x41, 16, 0xfc, 0x0b, 0}, // no result
		[]byte{0x20, 0, 0x11, 3, 0}, // the operation
		[]byte{0x41}, sleb(atCount), []byte{0x23, 0, 0x42, 1, 0x7c, 0x24, 0, 0x23, 0, 0x37, 0, 0},
		[]byte{0x42}, sleb(atReply<<32|17))
}

// body returns the code of the function that does o.
func (o operation) body() []byte {
	var b []byte
	if o.out != 0 {
		b = cat([]byte{0x41}, sleb(atResult))
	}
	for i, k := range o.in {
		b = cat(b, []byte{0x41}, sleb(int64(atRequest+16*i)), k.load())
	}
	b = append(b, o.code...)
	return append(b, o.out.store()...)
}

func (k kind) load() []byte {
	return map[kind][]byte{
		address: {0x28, 0, 0}, i32: {0x28, 0, 0}, i64: {0x29, 0, 0}, f32: {0x2a, 0, 0}, f64: {0x2b, 0, 0}, v128: {0xfd, 0, 0, 0},
	}[k]
}

func (k kind) store() []byte {
	return map[kind][]byte{
		i32: {0x36, 0, 0}, i64: {0x37, 0, 0}, f32: {0x38, 0, 0}, f64: {0x39, 0, 0}, v128: {0xfd, 0x0b, 0, 0},
	}[k]
}

func section(id byte, body []byte) []byte { return cat([]byte{id}, leb(len(body)), body) }

func vec(n int, elements ...[]byte) []byte { return append(leb(n), cat(elements...)...) }

func export(name string, kind, index byte) []byte {
	return cat(leb(len(name)), []byte(name), []byte{kind, index})
}

// body returns a function without locals.
func body(code []byte) []byte {
	return cat(leb(len(code)+2), []byte{0}, code, []byte{0x0b})
}

func leb(n int) (b []byte) {
	for ; n >= 0x80; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return append(b, byte(n))
}

func sleb(v int64) (b []byte) {
	for ; v < -64 || v > 63; v >>= 7 {
		b = append(b, byte(v)|0x80)
	}
	return append(b, byte(v)&0x7f)
}

func cat(parts ...[]byte) (b []byte) {
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}
