package enginetest

import (
	"math"
	"testing"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/internal/abi"
)

// Functions of the guest hungry.wat.
const (
	hungryAbort = iota // asks for pages and traps where it gets none
	hungryCope         // answers what it got
	hungryTrap         // asks for nothing
	hungryLater        // copes, then traps
)

// memory checks that a guest which traps for want of memory is told from others.
func (s suite) memory(t *testing.T) {
	type step struct {
		fn    uint32
		pages uint32
	}
	const limit = 16 // pages, of which the guest has 1
	tests := []struct {
		name   string
		why    string
		steps  []step // of which the last one traps
		memory bool
	}{
		{"AtOnce", "one large allocation, far below the limit", []step{{hungryAbort, 100}}, true},
		{"BitByBit", "up to the limit", []step{{hungryAbort, 8}, {hungryAbort, 7}, {hungryAbort, 1}}, true},
		{"Absurd", "2^32-1 pages, as of a size that overflowed", []step{{hungryAbort, math.MaxUint32}}, true},
		{"Otherwise", "nothing was asked for", []step{{hungryTrap, 0}}, false},
		{"OtherwiseAtTheLimit", "it got all that it asked for", []step{{hungryAbort, 15}, {hungryTrap, 0}}, false},
		{"OtherwiseAfterGrowth", "it got what it asked for", []step{{hungryLater, 1}}, false},
		{"InALaterCall", "it could do without, and its call ended", []step{{hungryCope, 100}, {hungryTrap, 0}}, false},
		{"LaterInTheCall", "nobody can tell what the trap comes from", []step{{hungryLater, 100}}, true},
	}
	m := s.module(t, Guest(t, "hungry"))
	cfg := executor.InstanceConfig{Limits: executor.Limits{Memory: limit << 16}}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := instance(t, m, cfg)
			last := len(tt.steps) - 1
			for _, st := range tt.steps[:last] {
				call(t, in, st.fn, rounds(st.pages), abi.OK)
			}
			_, err := in.Call(t.Context(), tt.steps[last].fn, []byte(rounds(tt.steps[last].pages)))
			trappedForMemory(t, err, tt.memory)
			t.Log(tt.why)
			mustDiscard(t, in)
		})
	}
	t.Run("OverItsOwnMaximum", func(t *testing.T) {
		_, err := instance(t, m, executor.InstanceConfig{}).Call(t.Context(), hungryAbort, []byte(rounds(100)))
		trappedForMemory(t, err, true)
	})
	t.Run("NoRoomForTheRequest", func(t *testing.T) {
		_, err := instance(t, m, cfg).Call(t.Context(), hungryTrap, make([]byte, limit<<16))
		trappedForMemory(t, err, true)
	})
	t.Run("Copes", func(t *testing.T) {
		in := instance(t, m, cfg)
		for range 3 {
			if got := number(call(t, in, hungryCope, rounds(100), abi.OK)); got != math.MaxUint32 {
				t.Errorf("got %d, want -1", int32(got))
			}
		}
	})
}

// trappedForMemory checks that err is ErrTrap, and ErrMemory where it should be.
func trappedForMemory(t *testing.T, err error, memory bool) {
	t.Helper()
	mentions(t, err, executor.ErrTrap)
	if is(err, executor.ErrMemory) != memory {
		t.Errorf("got %v; want one that is %q: %t", err, executor.ErrMemory, memory)
	}
}
