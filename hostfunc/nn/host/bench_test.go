package host

import (
	"testing"

	"github.com/bungee-xr/bungee/hostfunc/nn"
)

// A still is a session whose output is ready: what Yolo-Fastest-1.1-xl gives.
type still struct {
	nn.BackendSession
	out []nn.Tensor
}

func (s still) Outputs() ([]nn.Tensor, error) { return s.out, nil }

func BenchmarkGetOutput(b *testing.B) {
	const numbers = 1200 * 85
	s := &state{}
	out := nn.Tensor{Shape: []int{1200, 85}, Data: make([]float32, numbers)}
	s.contexts[0] = &session{BackendSession: still{out: []nn.Tensor{out}}}
	mem := make(memory, 4*numbers+16)
	stack := make([]uint64, 5)
	call := s.fn("get_output", "iiiii", s.output).Call
	b.SetBytes(4 * numbers)
	b.ReportAllocs()
	for b.Loop() {
		copy(stack, []uint64{1, 0, 16, 4 * numbers, 0})
		if err := call(b.Context(), mem, stack); err != nil || stack[0] != 0 {
			b.Fatal(err, stack[0], s.last)
		}
	}
}
