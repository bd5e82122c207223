package wazero

import (
	"bytes"
	"runtime"
	"testing"
)

// A memory that grows is not copied, as nothing could stop that.
func TestMemoryStaysInPlace(t *testing.T) {
	if runtime.GOOS != "linux" && runtime.GOOS != "darwin" {
		t.Skip("addresses are reserved on Linux and macOS only; there: go test -run TestMemoryStaysInPlace ./executor/wazero")
	}
	m := &memory{limit: 64 << 20}
	defer m.free()
	m.Allocate(0, 1<<32)
	b := m.Reallocate(1 << 16)
	b[100] = 7
	for size := uint64(2 << 16); size <= 64<<20; size += 5 << 16 {
		grown := m.Reallocate(size)
		if uint64(len(grown)) != size || &grown[0] != &b[0] {
			t.Fatalf("grown to %d: %d bytes, at another place: %t", size, len(grown), &grown[0] != &b[0])
		}
		if grown[len(grown)-1] != 0 || grown[100] != 7 {
			t.Fatalf("grown to %d: its last byte is %d, byte 100 is %d; want 0 and 7", size, grown[len(grown)-1], grown[100])
		}
		grown[len(grown)-1] = 0xff
	}
	if m.Reallocate(64<<20+1) != nil {
		t.Error("it grew past its limit")
	}
	m.Free() // wazero has closed the module; the host may still look
	if b[100] != 7 {
		t.Errorf("byte 100 after Free: got %d, want 7", b[100])
	}
	m.free()
	m.free()
	if len(m.bytes) != 0 {
		t.Errorf("%d bytes are left", len(m.bytes))
	}
}

// Where addresses cannot be had, memory grows all the same, with what is in it.
func TestMemoryWithoutAddresses(t *testing.T) {
	m := &memory{limit: 1 << 20}
	b := m.Reallocate(1 << 16)
	copy(b, "what it had")
	for size := uint64(2 << 16); size <= 1<<20; size += 1 << 16 {
		if b = m.Reallocate(size); uint64(len(b)) != size || !bytes.HasPrefix(b, []byte("what it had")) || b[size-1] != 0 {
			t.Fatalf("grown to %d: %d bytes, %q", size, len(b), b[:11])
		}
	}
	if m.Reallocate(1<<20+1) != nil {
		t.Error("it grew past its limit")
	}
	m.free()
	if reserve(0) != nil || reserve(1<<33) != nil {
		t.Error("reserved nothing, or more than 32 bits address")
	}
}

// BenchmarkGrow is one memory.grow by a page, of as many megabytes in use.
func BenchmarkGrow(b *testing.B) {
	for _, way := range []struct {
		name    string
		reserve bool
	}{{"reserved", true}, {"copied", false}} {
		b.Run(way.name, func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				m := &memory{limit: 256 << 20}
				if way.reserve {
					m.Allocate(0, 256<<20)
				}
				used := m.Reallocate(128 << 20)
				for at := 0; at < len(used); at += 4096 {
					used[at] = 1
				}
				next := uint64(cap(used)) + 1<<16
				b.StartTimer()
				m.Reallocate(next)
				b.StopTimer()
				m.free()
				b.StartTimer()
			}
		})
	}
}
