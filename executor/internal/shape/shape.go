// Package shape checks modules against an [executor.Shape]: before a compiler is given
// what would take it long.
//
//	err := shape.Check(wasm, executor.Shape{})
//
// It reads a module once, in a millisecond a megabyte, and keeps nothing of it.
package shape

import (
	"fmt"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/internal/wasmbin"
)

// Check returns an error that is [executor.ErrTooLarge] and says which bound wasm is
// over. What is malformed is no matter of its shape: whoever reads all of it will
// refuse it, and Check finds nothing from there on.
func Check(wasm []byte, most executor.Shape) error {
	c := checker{most: most.WithDefaults()}
	c.atMost("bytes", len(wasm), c.most.Bytes)
	sections, _ := wasmbin.Sections(wasm) // those before what is malformed
	for _, s := range sections {
		if c.err != nil {
			break
		}
		c.section(s)
	}
	return c.err
}

// A checker checks one module.
type checker struct {
	most executor.Shape
	err  error
}

// atMost fails where there are more than bound of what is named.
func (c *checker) atMost(what string, n, bound int) {
	if c.err == nil && n > bound {
		c.err = fmt.Errorf("%w: the module has %d %s; at most %d are compiled", executor.ErrTooLarge, n, what, bound)
	}
}

// section checks a section: how many entries it has, then what matters of each.
func (c *checker) section(s wasmbin.Section) {
	r := wasmbin.NewReader(s.Body)
	entries := int(wasmbin.NewReader(s.Body).U32())
	switch s.ID {
	case wasmbin.Type:
		c.atMost("types", entries, c.most.Types)
		c.each(r, func() { c.typ(r) })
	case wasmbin.Import:
		c.atMost("imports", entries, c.most.Imports)
	case wasmbin.Function:
		c.atMost("functions", entries, c.most.Functions)
	case wasmbin.Global:
		c.atMost("globals", entries, c.most.Globals)
	case wasmbin.Export:
		c.atMost("exports", entries, c.most.Exports)
	case wasmbin.Element:
		c.atMost("segments of elements", entries, c.most.Segments)
	case wasmbin.Data:
		c.atMost("segments of data", entries, c.most.Segments)
	case wasmbin.Code:
		c.each(r, func() { c.function(r.Bytes()) })
	}
}

// each calls f for each entry until one is over a bound.
func (c *checker) each(r *wasmbin.Reader, f func()) {
	r.Each(func() {
		if f(); c.err != nil {
			r.Stop(c.err)
		}
	})
}

func (c *checker) typ(r *wasmbin.Reader) {
	r.Byte()
	c.atMost("parameters in a type", len(r.Bytes()), c.most.Values)
	c.atMost("results in a type", len(r.Bytes()), c.most.Values)
}

// function checks the body of a function.
func (c *checker) function(body []byte) {
	c.atMost("bytes of code in a function", len(body), c.most.FunctionBytes)
	r := wasmbin.NewReader(body)
	locals := 0
	r.Each(func() {
		locals += int(r.U32())
		r.Byte()
		c.atMost("locals in a function", locals, c.most.Locals)
	})
	if c.err == nil {
		c.code(r)
	}
}

// code follows the blocks of a function.
func (c *checker) code(r *wasmbin.Reader) {
	var open []bool // true: a loop
	loops := 0
	for r.More() && c.err == nil {
		switch op := instruction(r); op {
		case opBlock, opLoop, opIf:
			open = append(open, op == opLoop)
			if op == opLoop {
				loops++
			}
			c.atMost("blocks, one in the other", len(open), c.most.Blocks)
			c.atMost("loops, one in the other", loops, c.most.Loops)
		case opEnd:
			if len(open) == 0 {
				return // the function's own
			}
			if open[len(open)-1] {
				loops--
			}
			open = open[:len(open)-1]
		}
	}
}
