// Package determinism checks that modules compute the same bytes everywhere: on each
// engine, at each optimisation level, on each architecture (paper 003, III-B). An engine's
// tests call [Run].
//
// Its corpus is every numeric instruction of WebAssembly 2.0 on operands that are borders of
// some kind, the traps among them, and the functions of package kernels. What came out of a case
// is one hash: of the replies, of the traps, of the whole memory and of the
// fuel after each call. The hashes are in testdata/hashes.txt, so that to run this
// package's tests on another machine is to compare it with the one they were made on.
//
// # Limits
//
// NaNs are made canonical by package instrument: without that, instructions that compute one
// have no fixed result. Clocks and random numbers are for other tests: no module of
// the corpus has any. What depends on the host's limits is not fixed either: how deep
// a guest may call itself, and how far its memory may grow.
package determinism

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"strings"
	"sync"

	"github.com/bungee-xr/bungee/executor/enginetest/kernels"
	"github.com/bungee-xr/bungee/executor/internal/instrument"
)

// A Module is a guest of the corpus.
type Module struct {
	Name string
	Wasm []byte // as it came
}

// Rewritten returns the module with fuel and canonical NaNs.
func (m Module) Rewritten() ([]byte, error) {
	return instrument.Rewrite(m.Wasm, instrument.Options{Fuel: true, CanonicalNaN: true})
}

// A Case is a function of a module, and the requests that it is called with, one
// after the other. After a trap the next one is for another instance.
type Case struct {
	Module   *Module
	Name     string
	Fn       uint32
	Requests [][]byte
}

// Corpus returns the cases. Callers must not change them.
var Corpus = sync.OnceValue(func() []Case {
	ops := all()
	operations := &Module{"operations", operations(ops)}
	var cases []Case
	for i, o := range ops {
		cases = append(cases, Case{operations, o.name, uint32(i), requests(o.in)})
	}
	functions := &Module{"kernels", kernels.Wasm()}
	for _, k := range kernels.All() {
		cases = append(cases, Case{functions, k.Name, k.Fn, [][]byte{k.Request(1), k.Request(7), k.Request(12)}})
	}
	return append(cases, Case{functions, "edges", kernels.EdgeImage, [][]byte{picture(), nil}})
})

// picture returns pixels with edges in them.
func picture() []byte {
	b := make([]byte, 4*kernels.Pixels)
	for i := range b {
		b[i] = byte(i*i>>7) ^ byte(i/997)
	}
	return b
}

// A Machine is an instance of a module, as [Hash] looks at it.
type Machine interface {
	// Call calls a function. trap says that it did not come back; the machine
	// is of no more use then but for Memory.
	Call(fn uint32, request []byte) (reply []byte, fuel uint64, trap bool, err error)
	// Memory returns the linear memory.
	Memory() []byte
	Close() error
}

// Hash runs a case on machines that start makes, and returns the hash of all that
// could be seen.
func Hash(c Case, start func() (Machine, error)) (sum [sha256.Size]byte, err error) {
	h := sha256.New()
	var m Machine
	for _, request := range c.Requests {
		if m == nil {
			if m, err = start(); err != nil {
				return sum, err
			}
		}
		reply, fuel, trap, err := m.Call(c.Fn, request)
		if err != nil {
			m.Close()
			return sum, fmt.Errorf("%s: %s(%x): %w", c.Module.Name, c.Name, request[:min(len(request), 64)], err)
		}
		note(h, reply, fuel, trap, m.Memory())
		if trap {
			if err := m.Close(); err != nil {
				return sum, err
			}
			m = nil
		}
	}
	if m != nil {
		err = m.Close()
	}
	return [sha256.Size]byte(h.Sum(nil)), err
}

// page is what memory is hashed by: pages of zeros count by their place only.
const page = 4096

var zeros [page]byte

// note adds what a call left behind to h.
func note(h hash.Hash, reply []byte, fuel uint64, trap bool, memory []byte) {
	var b []byte
	if trap {
		b = append(b, 1)
	}
	b = binary.LittleEndian.AppendUint64(b, uint64(len(reply)))
	b = append(b, reply...)
	b = binary.LittleEndian.AppendUint64(b, fuel)
	h.Write(binary.LittleEndian.AppendUint64(b, uint64(len(memory))))
	for at := 0; at < len(memory); at += page {
		if p := memory[at : at+page]; !bytes.Equal(p, zeros[:]) {
			h.Write(binary.LittleEndian.AppendUint64(nil, uint64(at)))
			h.Write(p)
		}
	}
}

//go:embed testdata/hashes.txt
var stored string

// Stored returns the hashes that are expected, in hexadecimal, by the name of the module
// and the case, such as "operations f32.add".
var Stored = sync.OnceValue(func() map[string]string {
	hashes := map[string]string{}
	for line := range strings.Lines(stored) {
		if sum, name, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			hashes[name] = sum
		}
	}
	return hashes
})

// Key returns the name of c in Stored.
func (c Case) Key() string { return c.Module.Name + " " + c.Name }

// Compare says how a hash of c differs from the one stored.
func (c Case) Compare(sum [sha256.Size]byte) error {
	got, want := hex.EncodeToString(sum[:]), Stored()[c.Key()]
	if got != want {
		return fmt.Errorf("%s: got hash %.16s, want %.16s", c.Key(), got, want)
	}
	return nil
}
