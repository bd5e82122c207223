package executor

import "cmp"

// A Shape bounds what a module may look like. An engine checks it before it compiles a
// module, which takes little time, since the work of a compiler grows faster than a
// module does. A module that is over a bound is ErrTooLarge. A zero field means the
// default. The Go toolchain's own compiler, 48 MB as a module, is within the defaults.
type Shape struct {
	Bytes         int // of the module; the default is 64 MiB, the most that a UE can send
	Functions     int // that it defines; the default is 200,000
	FunctionBytes int // of the code of a function; the default is 4 MiB
	Locals        int // of a function, parameters not included; the default is 20,000
	Blocks        int // that are open at once in a function; the default is 50,000
	Loops         int // that are open at once in a function; the default is 64
	Values        int // parameters, or results, of a type; the default is 128
	Types         int // the default is 10,000
	Imports       int // the default is 4,096
	Exports       int // the default is 16,384
	Globals       int // the default is 65,536
	Segments      int // of data and of elements; the default is 100,000 each, as many as Go's linker makes
}

// WithDefaults returns s with the defaults in place of its zero fields.
func (s Shape) WithDefaults() Shape {
	for _, f := range []struct {
		bound  *int
		normal int
	}{
		{&s.Bytes, 64 << 20}, {&s.Functions, 200_000}, {&s.FunctionBytes, 4 << 20}, {&s.Locals, 20_000},
		{&s.Blocks, 50_000}, {&s.Loops, 64}, {&s.Values, 128}, {&s.Types, 10_000}, {&s.Imports, 4096},
		{&s.Exports, 16_384}, {&s.Globals, 65_536}, {&s.Segments, 100_000},
	} {
		*f.bound = cmp.Or(*f.bound, f.normal)
	}
	return s
}
