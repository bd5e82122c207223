package enginetest

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/internal/abi"
)

// Functions of the guest hostile.wat, beside the attacks.
const (
	hostileMark       = 0
	hostileFillMemory = 20
	hostileFillTable  = 21
	hostileGrowMemory = 22
	hostileGrowTable  = 23
	hostileSpoil      = 24
)

// attacks are the functions of hostile.wat that must trap, by number.
var attacks = []struct {
	fn   uint32
	name string
	deep bool // it fills the stack, which takes long
}{
	{1, "LoadAcrossEnd", false}, {2, "LoadPast2^32", false}, {3, "StoreAcrossEnd", false},
	{4, "FillAcrossEnd", false}, {5, "CopyAcrossEnd", false},
	{6, "CallOtherType", false}, {7, "CallEmpty", false}, {8, "CallPastTable", false}, {9, "CallFarPastTable", false},
	{10, "SetPastTable", false},
	{11, "Recursion", true}, {12, "RecursionThroughTable", true},
	{13, "DivideByZero", false}, {14, "DivideOverflow", false}, {15, "TruncateNaN", false}, {16, "Unreachable", false},
	{17, "HostPointerAtEnd", false}, {18, "HostPointerAllOnes", false}, {19, "HostPointerOverflow", false},
}

// hostileRounds is how often each attack is made. Paper 003's specification asks for
// 100000 (7.1).
func hostileRounds(t *testing.T) int {
	text := os.Getenv("BUNGEE_HOSTILE_ROUNDS")
	if text == "" {
		return 30
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("BUNGEE_HOSTILE_ROUNDS=%q is no positive number", text)
	}
	return n
}

// hostile checks that each attack costs the instance that makes it, again and again,
// and a bystander nothing (paper 003, 7.1 of its specification).
func (s suite) hostile(t *testing.T) {
	m := s.module(t, Guest(t, "hostile"))
	cfg := executor.InstanceConfig{Limits: executor.Limits{Memory: 8 << 20}}
	bystander := instance(t, m, cfg)
	rounds := hostileRounds(t)
	for _, a := range attacks {
		n := rounds
		if a.deep {
			n = max(3, rounds/100)
		}
		t.Run(a.name, func(t *testing.T) {
			for range n {
				attack(t, m, cfg, a.fn)
			}
			if got := number(call(t, bystander, hostileMark, "", abi.OK)); got != 7 {
				t.Errorf("bystander's global: got %d, want 7", got)
			}
		})
	}
	t.Run("Growth", func(t *testing.T) { s.growth(t, m, cfg) })
}

// attack has an instance do fn, which must trap.
func attack(t *testing.T, m executor.Module, cfg executor.InstanceConfig, fn uint32) {
	t.Helper()
	in, err := m.Instantiate(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer closed(t, in)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err = in.Call(ctx, fn, nil)
	mentions(t, err, executor.ErrTrap)
	mustDiscard(t, in)
}

// growth checks that a guest is told when there is no more, and can go on.
func (s suite) growth(t *testing.T, m executor.Module, cfg executor.InstanceConfig) {
	in := instance(t, m, cfg)
	const none = 0xffffffff
	for _, tt := range []struct {
		fn  uint32
		why string
	}{
		{hostileGrowMemory, "2^32-1 pages"},
		{hostileGrowTable, "2^32-1 elements"},
	} {
		if got := number(call(t, in, tt.fn, "", abi.OK)); got != none {
			t.Errorf("grow by %s: got %d, want -1", tt.why, int32(got))
		}
	}
	if got := number(call(t, in, hostileFillMemory, "", abi.OK)); got != 66 {
		t.Errorf("2 pages that grow by 64 within 128: got %d, want 66", got)
	}
	call(t, in, hostileFillTable, "", abi.OK)
	if got := number(call(t, in, hostileMark, "", abi.OK)); got != 7 {
		t.Errorf("after all bombs: got %d, want 7", got)
	}
}

// fresh checks that an instance has nothing of one that was before it.
func (s suite) fresh(t *testing.T) {
	m := s.module(t, Guest(t, "hostile"))
	for round := range 20 {
		in, err := m.Instantiate(t.Context(), executor.InstanceConfig{})
		if err != nil {
			t.Fatal(err)
		}
		if err := unspoilt(in); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		call(t, in, hostileSpoil, "a secret of another tenant", abi.OK)
		closed(t, in)
	}
	// The table is as it was, too: element 0 is of another type, 3 empty.
	for _, fn := range []uint32{6, 7, 8} {
		attack(t, m, executor.InstanceConfig{}, fn)
	}
}

// unspoilt says what in has that it should not.
func unspoilt(in executor.Instance) error {
	if size := in.Size(); size != 2<<16 {
		return fmt.Errorf("a fresh instance has %d bytes of memory, want %d", size, 2<<16)
	}
	if g, ok := in.(interface{ Memory() []byte }); ok {
		for at, b := range g.Memory() {
			if b != 0 {
				return fmt.Errorf("byte %d of a fresh instance is %#x", at, b)
			}
		}
	}
	r, err := in.Call(context.Background(), hostileMark, nil)
	if err != nil {
		return err
	}
	if got := binary.LittleEndian.Uint32(r.Payload); got != 7 {
		return fmt.Errorf("the global of a fresh instance is %d, want 7", got)
	}
	return nil
}
