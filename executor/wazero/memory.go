package wazero

import "github.com/tetratelabs/wazero/experimental"

// allocator makes memories of at most limit bytes: wazero's own limit is one
// for all instances of an engine.
func allocator(limit uint64) experimental.MemoryAllocator {
	return experimental.MemoryAllocatorFunc(func(uint64, uint64) experimental.LinearMemory {
		return &memory{limit: limit}
	})
}

type memory struct {
	bytes []byte
	limit uint64
}

// Reallocate implements [experimental.LinearMemory]. nil refuses to grow.
func (m *memory) Reallocate(size uint64) []byte {
	if size > m.limit {
		return nil
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

// Free implements [experimental.LinearMemory].
func (m *memory) Free() { m.bytes = nil }
