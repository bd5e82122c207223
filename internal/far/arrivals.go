package far

import (
	"sync"

	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// arrivals are the messages of mode Latest that wait for a far endpoint, whole or in
// part. Only the newest whole one is handled.
type arrivals struct {
	window int // of the attachment, constant

	mu     sync.Mutex // leaf, not held during I/O
	newest uint64     // the newest message that came whole
	bytes  int        // of all messages that wait
	count  int
	parts  map[uint64]*puzzle
}

// A puzzle is a message that comes in parts.
type puzzle struct {
	parts [][]byte
	left  int
	bytes int
	whole chan struct{} // closed when left is 0
}

// maxArrivals bounds the bytes of messages that wait. One message may exceed it.
const maxArrivals = 32 << 20

// enter admits size bytes of a message, unless too much waits. What waits may include
// messages that the UE has given up.
func (a *arrivals) enter(size int) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.count >= 2*wire.MaxParts*a.window || a.count > 0 && a.bytes+size > maxArrivals {
		return &wire.Fail{Code: offload.CodeOverloaded, Text: "too much under way"}
	}
	a.count++
	a.bytes += size
	return nil
}

func (a *arrivals) leave(size int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.count--
	a.bytes -= size
}

// note records that message seq came whole.
func (a *arrivals) note(seq uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.newest = max(a.newest, seq)
}

// past says whether a newer message than seq is whole.
func (a *arrivals) past(seq uint64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return seq < a.newest
}

// join adds a part to its puzzle.
func (a *arrivals) join(p wire.Part, payload []byte) (*puzzle, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	z := a.parts[p.Seq]
	switch {
	case p.Seq <= a.newest:
		return nil, &wire.Fail{Code: wire.CodeSkipped}
	case z == nil:
		z = a.beginLocked(p)
	case len(z.parts) != p.Parts || z.parts[p.Index] != nil:
		return nil, protocol("part %d of %d of message %d, which has %d", p.Index, p.Parts, p.Seq, len(z.parts))
	case z.bytes+p.Size > wire.MaxPayload:
		return nil, protocol("message %d has more than %d bytes", p.Seq, wire.MaxPayload)
	}
	z.parts[p.Index] = append([]byte{}, payload...)
	z.left--
	z.bytes += p.Size
	a.bytes += p.Size
	if z.left == 0 {
		close(z.whole)
	}
	return z, nil
}

// beginLocked makes the puzzle of p's message.
func (a *arrivals) beginLocked(p wire.Part) *puzzle {
	a.makeRoomLocked(2*a.window, p.Size)
	z := &puzzle{parts: make([][]byte, p.Parts), left: p.Parts, whole: make(chan struct{})}
	if a.parts == nil {
		a.parts = map[uint64]*puzzle{}
	}
	a.parts[p.Seq] = z
	return z
}

// makeRoomLocked makes room for one more puzzle: it drops the oldest ones.
func (a *arrivals) makeRoomLocked(most, size int) {
	for len(a.parts) >= most || a.bytes+size > maxArrivals && len(a.parts) > 0 {
		oldest := ^uint64(0)
		for seq := range a.parts {
			oldest = min(oldest, seq)
		}
		a.bytes -= a.parts[oldest].bytes
		delete(a.parts, oldest)
	}
}

// drop removes a puzzle.
func (a *arrivals) drop(seq uint64, z *puzzle) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.parts[seq] == z {
		a.bytes -= z.bytes
		delete(a.parts, seq)
	}
}

// message returns the parts joined.
func (z *puzzle) message() []byte {
	b := make([]byte, 0, z.bytes)
	for _, p := range z.parts {
		b = append(b, p...)
	}
	return b
}
