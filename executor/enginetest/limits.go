package enginetest

import (
	"strings"
	"testing"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/internal/abi"
)

// limits checks the limits of an instance: of memory, tables and output.
func (s suite) limits(t *testing.T) {
	m := s.module(t, Guest(t, "basic"))
	t.Run("Memory", func(t *testing.T) {
		// Both at once: a limit is an instance's own.
		const most = 64 << 20
		in := instance(t, m, executor.InstanceConfig{Limits: executor.Limits{Memory: most}})
		other := instance(t, m, executor.InstanceConfig{Limits: executor.Limits{Memory: most / 2}})
		bomb(t, in, most)
		bomb(t, other, most/2)
	})
	t.Run("MemoryOfOddSize", func(t *testing.T) {
		bomb(t, instance(t, m, executor.InstanceConfig{Limits: executor.Limits{Memory: 3<<20 + 1}}), 3<<20+1)
	})
	t.Run("MemoryToBeginWith", func(t *testing.T) {
		in, err := m.Instantiate(t.Context(), executor.InstanceConfig{Limits: executor.Limits{Memory: 128<<10 - 1}})
		if err == nil {
			closed(t, in)
		}
		mentions(t, err, executor.ErrABI, "131072", "131071")
		mustEcho(t, instance(t, m, executor.InstanceConfig{Limits: executor.Limits{Memory: 128 << 10}}), "just fits")
	})
	t.Run("Table", func(t *testing.T) {
		in := instance(t, s.module(t, Guest(t, "hostile")), executor.InstanceConfig{})
		got := number(call(t, in, hostileFillTable, "", abi.OK))
		if got > executor.DefaultTable || got < executor.DefaultTable/2 {
			t.Errorf("guest that grows its table as it can: got %d elements, want nearly %d", got, executor.DefaultTable)
		}
	})
	t.Run("TableToBeginWith", func(t *testing.T) {
		tests := []struct {
			guest string
			limit int
			words []string
		}{
			{"bigtable", 0, []string{"1400000", "1048576"}},
			{"hostile", 3, []string{"4 table elements", "is 3"}},
		}
		for _, tt := range tests {
			m := s.module(t, Guest(t, tt.guest))
			in, err := m.Instantiate(t.Context(), executor.InstanceConfig{Limits: executor.Limits{Table: tt.limit}})
			if err == nil {
				closed(t, in)
			}
			mentions(t, err, executor.ErrABI, tt.words...)
		}
	})
	t.Run("Output", func(t *testing.T) {
		in := instance(t, m, executor.InstanceConfig{Limits: executor.Limits{Output: 100}})
		mustEcho(t, in, strings.Repeat("x", 100))
		_, err := in.Call(t.Context(), fnEcho, make([]byte, 101))
		mentions(t, err, executor.ErrTooLarge, "101", "100")
		mustEcho(t, in, "its state is as it was")
	})
}

// bomb checks that a guest that grows as it can comes near most bytes, not beyond, and
// that Size knows.
func bomb(t *testing.T, in executor.Instance, most int) {
	t.Helper()
	got := int(number(call(t, in, fnBomb, "", abi.OK))) << 16
	if got > most || got < most-(1<<20)-1 {
		t.Errorf("guest that grows as it can: got %d bytes, want nearly %d", got, most)
	}
	if size := in.Size(); size != uint64(got) {
		t.Errorf("got size %d, the guest says %d", size, got)
	}
	mustEcho(t, in, "full but sound")
}
