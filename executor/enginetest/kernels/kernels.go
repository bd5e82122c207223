// Package kernels has small guest functions of known kinds, for measuring what
// engines, fuel and rewriting cost, and for tests of determinism.
//
// They are functions of one guest in C, [Wasm]. A kernel's request is how often it
// repeats itself, and its reply a number that depends on all that it computed.
package kernels

import (
	"context"
	_ "embed"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/bungee-xr/bungee/executor/enginetest/kernels/sobel"
)

// Pixels is how many the images have that [EdgeImage] takes.
const Pixels = sobel.Width * sobel.Height

// Functions of the guest beside the kernels.
const (
	Empty     = iota // answers nothing
	Echo             // answers with its request
	EdgeImage        // answers with the edges, as [sobel.Edges] finds them, of the image in its request; of the last one when that is empty
	first            // kernel
)

//go:embed testdata/kernels.wasm
var wasm []byte

// Wasm returns the guest. Callers must not change it.
func Wasm() []byte { return wasm }

// A Class is a kind of work (paper 003, III-B2).
type Class string

// The values of Class.
const (
	Integer Class = "integer"
	Calls   Class = "calls"
	Memory  Class = "memory"
	Float   Class = "float"
	Vector  Class = "vector" // SIMD
)

// A Kernel is a function of the guest.
type Kernel struct {
	Fn    uint32
	Name  string
	Class Class
	Times uint32 // that take some milliseconds on a current processor
}

// Request returns the request that has k repeat itself n times.
func (k Kernel) Request(n uint32) []byte { return binary.LittleEndian.AppendUint32(nil, n) }

// All returns the kernels, in the order of their functions.
func All() []Kernel {
	all := []Kernel{
		{0, "add", Integer, 3e6}, {0, "multiply", Integer, 2e6}, {0, "divide", Integer, 5e5}, {0, "bits", Integer, 2e6},
		{0, "collatz", Integer, 3e4}, {0, "sieve", Integer, 20}, {0, "crc", Integer, 2e6},
		{0, "fib", Calls, 28}, {0, "tak", Calls, 24}, {0, "dispatch", Calls, 1e6}, {0, "sort", Calls, 1e5},
		{0, "copy", Memory, 100}, {0, "fill", Memory, 100}, {0, "chase", Memory, 1e6}, {0, "stride", Memory, 20}, {0, "histogram", Memory, 2e6},
		{0, "matmul", Float, 20}, {0, "mandelbrot", Float, 200}, {0, "orbit", Float, 3e5}, {0, "newton", Float, 4e5},
		{0, "filter", Float, 1e6}, {0, "convert", Float, 1e6},
		{0, "saxpy", Vector, 3000}, {0, "norm", Vector, 1e6}, {0, "blend", Vector, 3000}, {0, "dot", Vector, 5000}, {0, "shuffle", Vector, 2e6},
	}
	for i := range all {
		all[i].Fn = uint32(first + i)
	}
	return all
}

// BuildGo builds a Go guest whose function 0 is [EdgeImage], with the go command. The
// current folder must be in a Go module that has this package.
func BuildGo(ctx context.Context) ([]byte, error) {
	dir, err := os.MkdirTemp("", "kernels")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	out := filepath.Join(dir, "guest.wasm")
	cmd := exec.CommandContext(ctx, "go", "build", "-buildmode=c-shared", "-ldflags=-s -w", "-o", out,
		"github.com/bungee-xr/bungee/executor/enginetest/kernels/testdata/goguest")
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOFLAGS=")
	if msg, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%s: %w: %s", cmd, err, msg)
	}
	return os.ReadFile(out)
}
