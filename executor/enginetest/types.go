package enginetest

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"testing"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/internal/abi"
)

// typesModule is what types.wat imports. seen gets what mix was called with.
func typesModule(seen *[][]uint64) executor.HostFuncs {
	answer := func(words ...uint64) func(context.Context, executor.Memory, []uint64) error {
		return func(_ context.Context, _ executor.Memory, stack []uint64) error {
			if len(stack) < len(words) {
				return fmt.Errorf("a stack of %d for %d results", len(stack), len(words))
			}
			copy(stack, words)
			return nil
		}
	}
	mix := func(_ context.Context, _ executor.Memory, stack []uint64) error {
		*seen = append(*seen, append([]uint64(nil), stack...))
		stack[0] = math.Float64bits(float64(len(*seen)))
		return nil
	}
	return executor.HostFuncs{Name: "types", New: func() ([]executor.HostFunc, func()) {
		return []executor.HostFunc{
			{Name: "none", Call: answer()},
			{Name: "mix", Params: "ilfdilfd", Results: "d", Call: mix},
			{Name: "i", Results: "i", Call: answer(0xfffffffe)},
			{Name: "l", Results: "l", Call: answer(1 << 63)},
			{Name: "f", Params: "f", Results: "f", Call: answer(uint64(math.Float32bits(-2.5)))},
			{Name: "many", Params: "i", Results: "ilfd", Call: answer(1, 2, uint64(math.Float32bits(3)), math.Float64bits(4))},
		}, nil
	}}
}

// types checks that values of all types cross both ways, their bits as they are.
func (s suite) types(t *testing.T) {
	var seen [][]uint64
	in := instance(t, s.module(t, Guest(t, "types")), executor.InstanceConfig{Host: []executor.HostFuncs{typesModule(&seen)}})
	p := []byte(call(t, in, 0, "", abi.OK))
	want := []byte{}
	for _, w := range []uint64{math.Float64bits(1), math.Float64bits(2), 0xfffffffe, 1 << 63} {
		want = binary.LittleEndian.AppendUint64(want, w)
	}
	want = binary.LittleEndian.AppendUint32(want, math.Float32bits(-2.5))
	want = binary.LittleEndian.AppendUint32(want, 1)
	for _, w := range []uint64{2, math.Float64bits(3), math.Float64bits(4)} {
		want = binary.LittleEndian.AppendUint64(want, w)
	}
	if string(p) != string(want) {
		t.Errorf("the guest got\n%x, want\n%x", p, want)
	}
	words := []uint64{
		0xffffffff, ^uint64(1), uint64(math.Float32bits(0.5)), math.Float64bits(-0.25),
		0x7fffffff, math.MaxInt64, uint64(math.Float32bits(float32(math.Inf(-1)))), math.Float64bits(1e300),
	}
	if len(seen) != 2 {
		t.Fatalf("mix was called %d times, want 2", len(seen))
	}
	for _, stack := range seen {
		for k, w := range words {
			got := stack[k]
			if k%4 == 0 || k%4 == 2 { // of 32 bits
				got = uint64(uint32(got))
			}
			if got != w {
				t.Errorf("parameter %d of mix: got %#x, want %#x", k, got, w)
			}
		}
	}
}
