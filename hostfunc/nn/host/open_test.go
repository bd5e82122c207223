package host

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/hostfunc/nn"
	"github.com/bungee-xr/bungee/hostfunc/nn/nntest"
)

// speech is a network of a row of any length and a scalar; it keeps what it is given.
type speech struct{ given [2]nn.Tensor }

func (s *speech) Graph(string) (nn.BackendGraph, error)  { return s, nil }
func (s *speech) Inputs() [][]int                        { return [][]int{{1, 0}, {}} }
func (s *speech) NewSession() (nn.BackendSession, error) { return s, nil }
func (s *speech) Compute(context.Context) error          { return nil }
func (s *speech) Outputs() ([]nn.Tensor, error)          { return s.given[:], nil }
func (s *speech) Timings() (t nn.Timings)                { return t }
func (s *speech) Close() error                           { return nil }
func (s *speech) SetImage(context.Context, int, []byte) (nn.Fit, error) {
	return nn.Fit{}, errors.New("no image")
}

func (s *speech) SetInput(index int, t nn.Tensor) error {
	s.given[index] = nn.Tensor{Shape: slices.Clone(t.Shape), Data: slices.Clone(t.Data)}
	return nil
}

// Rows of any length and scalars, of several types, cross to the network; what they take is held by the tenant.
func TestOpenSizesAndScalars(t *testing.T) {
	b := &speech{}
	g := newGuest(t, b, memSize, "*")
	tenant := &executor.Tenant{}
	g.ctx = executor.WithCall(t.Context(), &executor.Call{Account: &executor.Account{Tenant: tenant}})
	copy(g.mem, nntest.Name)
	if e := g.call("load_by_name", 0, uint32(len(nntest.Name)), 16); e != 0 {
		t.Fatal(g.said())
	}
	if e := g.call("init_execution_context", 1, 16); e != 0 {
		t.Fatal(g.said())
	}
	for _, n := range []uint32{3, 700} {
		for i := range n {
			g.mem.put(int(atData+4*i), math.Float32bits(float32(i)))
		}
		g.mem.put(atTensor, atDims, 2, typeF32, atData, 4*n)
		g.mem.put(atDims, 1, n)
		if e := g.call("set_input", 1, 0, atTensor); e != 0 {
			t.Fatal(g.said())
		}
		if got := b.given[0]; !slices.Equal(got.Shape, []int{1, int(n)}) || got.Data[n-1] != float32(n-1) {
			t.Errorf("a row of %d: the network has shape %v", n, got.Shape)
		}
		if held := tenant.Holding().Memory; held < int64(8*n) {
			t.Errorf("a row of %d: %d bytes are held; want %d and more", n, held, 8*n)
		}
	}
	g.mem.put(atTensor, atDims, 0, typeI64, atData, 8)
	binary.LittleEndian.PutUint64(g.mem[atData:], 16000)
	if e := g.call("set_input", 1, 1, atTensor); e != 0 || b.given[1].Data[0] != 16000 || len(b.given[1].Shape) != 0 {
		t.Errorf("a scalar: errno %d, %s; the network has %+v", e, g.said(), b.given[1])
	}
	g.mem.put(atTensor, atDims, 2, typeF32, atData, 0)
	g.mem.put(atDims, 1, 0)
	if e := g.call("set_input", 1, 0, atTensor); e != errnoArgument {
		t.Errorf("an empty row: errno %d; want %d", e, errnoArgument)
	}
	g.close()
	if held := tenant.Holding().Memory; held != 0 {
		t.Errorf("%d bytes are held after the end; want none", held)
	}
}
