package enginetest

import (
	"bytes"
	"context"
	"encoding/binary"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/internal/abi"
)

// Functions of the guest bulk.wat, each on a place to write to, one to read from or what to
// fill with, and how much.
const (
	bulkGrow = iota
	bulkFill
	bulkCopy
	bulkInit
	bulkDrop
	bulkTableFill
	bulkTableCopy
	bulkTableInit
	bulkElemDrop
	bulkAnswer // of the function in an element
)

// bulkArgs is a request to bulk.wat.
func bulkArgs(to, from, n uint32) string {
	b := binary.LittleEndian.AppendUint32(nil, to)
	return string(binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(b, from), n))
}

// bulk checks the instructions that work on as much as they are told.
func (s suite) bulk(t *testing.T) {
	m := s.module(t, Guest(t, "bulk"))
	t.Run("Memory", func(t *testing.T) { bulkMemory(t, m) })
	t.Run("Table", func(t *testing.T) { bulkTable(t, m) })
	t.Run("Outside", func(t *testing.T) { bulkOutside(t, m) })
	t.Run("Deadline", func(t *testing.T) {
		for _, fn := range []uint32{bulkFill, bulkCopy} {
			bulkDeadline(t, m, fn)
		}
	})
	t.Run("Fuel", func(t *testing.T) {
		if !s.meter {
			t.Skip("fuel is counted in Metered only: go test -run TestEngine/Metered/Bulk")
		}
		bulkFuel(t, m)
	})
}

// A looker is an instance whose memory tests can see.
type looker interface{ Memory() []byte }

// bulkMemory compares memory with what Go's copy makes of it.
func bulkMemory(t *testing.T, m executor.Module) {
	in := instance(t, m, executor.InstanceConfig{})
	see, ok := in.(looker)
	if !ok {
		t.Skip("the engine's instances do not show their memory; one on package guest does")
	}
	call(t, in, bulkGrow, bulkArgs(0, 0, 9), abi.OK)
	const size, first = 10 << 16, 1 << 10 // what comes before is used by the guest
	want := make([]byte, size)
	for k := range uint32(size >> 10) { // a pattern of which no two kilobytes are alike
		call(t, in, bulkFill, bulkArgs(k<<10, k, 1<<10), abi.OK)
		call(t, in, bulkFill, bulkArgs(k<<10+k, 255-k, 3), abi.OK)
	}
	copy(want, see.Memory())
	for _, tt := range []struct{ fn, to, from, n uint32 }{
		{bulkCopy, first, 5000, 400_000}, {bulkCopy, 5001, 5000, 600_000}, {bulkCopy, 5000, 5001, 600_000},
		{bulkCopy, 70_536, 5000, 500_000}, {bulkCopy, 5000, 70_536, 500_000}, {bulkCopy, 300_000, 300_000, 300_000},
		{bulkCopy, 400_000, 2000, 200_000}, {bulkCopy, size - 70_000, first, 70_000}, {bulkCopy, size, size, 0},
		{bulkFill, first, 7, 65_536}, {bulkFill, 2000, 8, 65_537}, {bulkFill, 3000, 9, 1024}, {bulkFill, size - 131_073, 10, 131_073},
		{bulkInit, 4000, 2, 14}, {bulkInit, size, 16, 0},
	} {
		call(t, in, tt.fn, bulkArgs(tt.to, tt.from, tt.n), abi.OK)
		switch to := want[tt.to:][:tt.n]; tt.fn {
		case bulkCopy:
			copy(to, want[tt.from:])
		case bulkFill:
			copy(to, bytes.Repeat([]byte{byte(tt.from)}, len(to)))
		case bulkInit:
			copy(to, "0123456789abcdef"[tt.from:])
		}
		if got := see.Memory(); !bytes.Equal(got[first:], want[first:]) {
			t.Fatalf("function %d on %+v: other memory than Go's copy makes", tt.fn, tt)
		}
	}
}

// bulkTable looks at single elements of a table that is filled and copied.
func bulkTable(t *testing.T, m executor.Module) {
	in := instance(t, m, executor.InstanceConfig{})
	element := func(at, want uint32) {
		t.Helper()
		if got := number(call(t, in, bulkAnswer, bulkArgs(0, 0, at), abi.OK)); got != want {
			t.Errorf("element %d: got %d, want %d", at, got, want)
		}
	}
	call(t, in, bulkTableFill, bulkArgs(0, 0, 20_000), abi.OK)
	call(t, in, bulkTableInit, bulkArgs(19_996, 0, 4), abi.OK)
	element(0, 2)
	element(19_995, 2)
	element(19_996, 1)
	call(t, in, bulkTableCopy, bulkArgs(1, 9_999, 10_001), abi.OK) // to the front
	element(0, 2)
	element(9_997, 2)
	element(9_998, 1)
	element(10_000, 1)
	element(10_001, 2)
	call(t, in, bulkTableCopy, bulkArgs(2, 0, 19_000), abi.OK) // to the back
	element(10_000, 1)
	element(10_001, 2)
	element(10_002, 1)
	call(t, in, bulkElemDrop, bulkArgs(0, 0, 0), abi.OK)
	call(t, in, bulkTableInit, bulkArgs(20_000, 0, 0), abi.OK)
}

// bulkOutside checks that what is out of bounds traps, and before anything is written.
func bulkOutside(t *testing.T, m executor.Module) {
	const size, cells, most = 3 << 16, 20_000, 1<<32 - 1
	for _, tt := range []struct {
		fn, to, from, n uint32
		why             string
	}{
		{bulkFill, 1, 7, size, "one byte"}, {bulkFill, size + 1, 7, 0, "nothing, past the end"}, {bulkFill, most, 7, most, "overflow"},
		{bulkFill, 100, 7, most, "nearly 4 GiB"}, {bulkFill, size - 100, 7, 101, "a few bytes"},
		{bulkCopy, 1, 0, size, "to"}, {bulkCopy, 0, 1, size, "from"}, {bulkCopy, most, 0, 100_000, "to, overflow"},
		{bulkCopy, 0, most, 100_000, "from, overflow"}, {bulkCopy, 0, size + 1, 0, "nothing, past the end"},
		{bulkInit, 0, 1, 16, "past the segment"}, {bulkInit, size - 15, 0, 16, "past the memory"}, {bulkInit, 0, 0, most, "both"},
		{bulkTableFill, 1, 0, cells, "one element"}, {bulkTableFill, most, 0, most, "overflow"},
		{bulkTableCopy, 1, 0, cells, "to"}, {bulkTableCopy, 0, 1, cells, "from"},
		{bulkTableInit, 0, 1, 4, "past the segment"}, {bulkTableInit, cells - 3, 0, 4, "past the table"},
	} {
		in := instance(t, m, executor.InstanceConfig{})
		call(t, in, bulkGrow, bulkArgs(0, 0, 2), abi.OK)
		_, err := in.Call(t.Context(), tt.fn, []byte(bulkArgs(tt.to, tt.from, tt.n)))
		mentions(t, err, executor.ErrTrap)
		if see, ok := in.(looker); ok && bytes.ContainsAny(see.Memory()[100:], "\x07") {
			t.Errorf("function %d on %+v: something was written", tt.fn, tt)
		}
		mustDiscard(t, in)
	}
	in := instance(t, m, executor.InstanceConfig{})
	call(t, in, bulkDrop, bulkArgs(0, 0, 0), abi.OK)
	call(t, in, bulkInit, bulkArgs(0, 0, 0), abi.OK)
	_, err := in.Call(t.Context(), bulkInit, []byte(bulkArgs(100, 0, 1)))
	mentions(t, err, executor.ErrTrap)
}

// bulkDeadline has one instruction fill or copy half a gigabyte, which takes longer
// than the call has.
func bulkDeadline(t *testing.T, m executor.Module, fn uint32) {
	t.Helper()
	const size = 512 << 20
	in := instance(t, m, executor.InstanceConfig{Limits: executor.Limits{Memory: size}})
	if got := number(call(t, in, bulkGrow, bulkArgs(0, 0, size>>16-1), abi.OK)); got != 1 {
		t.Fatalf("memory.grow: got %d, want the 1 page that it had", int32(got))
	}
	args := bulkArgs(1<<16, 7, size-1<<16) // 7 is what to fill with, and where to copy from
	for {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		_, err := in.Call(ctx, fn, []byte(args))
		cancel()
		if is(err, executor.ErrNotStarted) {
			continue // the machine is busy
		}
		mentions(t, err, executor.ErrDeadline)
		mustDiscard(t, in)
		return
	}
}

// bulkFuel checks that fuel is for the size, and that too little of it leaves all as it was.
func bulkFuel(t *testing.T, m executor.Module) {
	in := instance(t, m, executor.InstanceConfig{})
	cost := func(fn, n uint32) uint64 {
		call(t, in, fn, bulkArgs(1<<10, 1<<10, n), abi.OK)
		return in.Last().Fuel
	}
	call(t, in, bulkGrow, bulkArgs(0, 0, 4), abi.OK)
	for _, tt := range []struct{ fn, n, each uint32 }{
		{bulkFill, 300_000, 64}, {bulkCopy, 300_000, 64}, {bulkFill, 100, 64}, {bulkTableFill, 18_000, 8}, {bulkTableCopy, 18_000, 8},
	} {
		got, want := cost(tt.fn, tt.n)-cost(tt.fn, 0), 16*uint64(tt.n/tt.each)
		if got != want {
			t.Errorf("function %d on %d: got fuel %d for that, want %d", tt.fn, tt.n, got, want)
		}
		poor := instance(t, m, executor.InstanceConfig{Limits: executor.Limits{Fuel: cost(tt.fn, tt.n) - 1}})
		if tt.n > 1<<16 {
			call(t, poor, bulkGrow, bulkArgs(0, 0, 4), abi.OK)
		}
		_, err := poor.Call(t.Context(), tt.fn, []byte(bulkArgs(1<<10, 1<<10, tt.n)))
		mentions(t, err, executor.ErrFuel)
	}
}
