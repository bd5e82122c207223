package wazero

import (
	"time"

	"github.com/tetratelabs/wazero/experimental"
)

// A memory is the linear memory of an instance, with a limit of its own, as wazero's
// is one for all. It implements [experimental.MemoryAllocator] for that one memory.
//
// All that it may grow to has its addresses from the start: a memory.grow that copied
// hundreds of megabytes could not be stopped meanwhile.
type memory struct {
	bytes    []byte
	limit    uint64
	reserved []byte // nil where there are not so many addresses: it is copied then

	// Between begin and end; since is zero outside.
	since time.Time // size has been constant
	area  float64   // the integral of size until then, in byte-seconds
}

// Allocate implements [experimental.MemoryAllocator].
func (m *memory) Allocate(_, most uint64) experimental.LinearMemory {
	m.reserved = reserve(min(m.limit, most))
	return m
}

// Reallocate implements [experimental.LinearMemory]. nil refuses to grow.
func (m *memory) Reallocate(size uint64) []byte {
	if size > m.limit {
		return nil
	}
	m.account()
	if size <= uint64(len(m.reserved)) {
		m.bytes = m.reserved[:size:size]
		return m.bytes
	}
	if size > uint64(cap(m.bytes)) {
		// An eighth more, since guests grow in small steps.
		grown := make([]byte, size, min(size+size/8, m.limit))
		copy(grown, m.bytes)
		m.bytes = grown
	}
	m.bytes = m.bytes[:size]
	return m.bytes
}

// Free implements [experimental.LinearMemory]. wazero calls it when it closes the module, which
// it does to stop a guest, too: that may still run then. The instance frees the bytes
// when it is closed: until then they are billed.
func (m *memory) Free() {}

// free frees the bytes, once nothing uses them.
func (m *memory) free() {
	if m.reserved != nil {
		unreserve(m.reserved)
	}
	m.bytes, m.reserved = nil, nil
}

// begin begins to integrate the size over time.
func (m *memory) begin() { m.since, m.area = time.Now(), 0 }

// end returns the integral since begin.
func (m *memory) end() float64 {
	m.account()
	m.since = time.Time{}
	return m.area
}

// account adds the time since the last change of size.
func (m *memory) account() {
	if m.since.IsZero() {
		return
	}
	now := time.Now()
	m.area += float64(len(m.bytes)) * now.Sub(m.since).Seconds()
	m.since = now
}
