package far

import (
	"context"
	"sync"
	"time"

	"github.com/bungee-xr/bungee/internal/budget"
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

// A puzzle is a message that comes in parts. The mutex of its arrivals guards it until it is
// whole; then it belongs to the stream of its first part.
type puzzle struct {
	parts []buffer
	have  []bool
	left  int
	bytes int
	last  time.Time     // when the last part came
	whole chan struct{} // closed when left is 0
	gone  chan struct{} // closed when it was given up
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

// join adds a part to its puzzle, which takes over payload.
func (a *arrivals) join(p wire.Part, payload *buffer) (*puzzle, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	z := a.parts[p.Seq]
	switch {
	case p.Seq <= a.newest: // also a part that comes twice, once the message is whole
		return nil, &wire.Fail{Code: wire.CodeSkipped}
	case z == nil:
		z = a.beginLocked(p)
	case len(z.parts) != p.Parts || z.have[p.Index]:
		return nil, protocol("part %d of %d of message %d, which has %d", p.Index, p.Parts, p.Seq, len(z.parts))
	case z.bytes+p.Size > wire.MaxPayload:
		return nil, protocol("message %d has more than %d bytes", p.Seq, wire.MaxPayload)
	}
	z.parts[p.Index], z.have[p.Index], z.last = payload.move(), true, time.Now()
	z.left--
	z.bytes += p.Size
	a.bytes += p.Size
	if z.left == 0 {
		a.newest = max(a.newest, p.Seq)
		a.removeLocked(p.Seq, z)
		close(z.whole)
	}
	return z, nil
}

// beginLocked makes the puzzle of p's message.
func (a *arrivals) beginLocked(p wire.Part) *puzzle {
	a.makeRoomLocked(2*a.window, p.Size)
	z := &puzzle{
		parts: make([]buffer, p.Parts), have: make([]bool, p.Parts), left: p.Parts,
		whole: make(chan struct{}), gone: make(chan struct{}),
	}
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
		a.dropLocked(oldest, a.parts[oldest])
	}
}

// drop gives up a puzzle that is not whole.
func (a *arrivals) drop(seq uint64, z *puzzle) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.parts[seq] == z {
		a.dropLocked(seq, z)
	}
}

func (a *arrivals) dropLocked(seq uint64, z *puzzle) {
	a.removeLocked(seq, z)
	close(z.gone)
	z.drop()
}

func (a *arrivals) removeLocked(seq uint64, z *puzzle) {
	a.bytes -= z.bytes
	delete(a.parts, seq)
}

// dropAll gives up all puzzles.
func (a *arrivals) dropAll() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for seq, z := range a.parts {
		a.dropLocked(seq, z)
	}
}

// await waits until a puzzle is whole. Each part must come within wire.FrameTimeout of the one
// before.
func (a *arrivals) await(ctx context.Context, z *puzzle) error {
	for wait := wire.FrameTimeout; wait > 0; wait = a.left(z) {
		late := time.NewTimer(wait)
		select {
		case <-z.whole:
			late.Stop()
			return nil
		case <-z.gone:
			late.Stop()
			return &wire.Fail{Code: wire.CodeSkipped}
		case <-ctx.Done():
			late.Stop()
			return context.Cause(ctx)
		case <-late.C:
		}
	}
	return &wire.Fail{Code: wire.CodeSkipped, Text: "its other parts did not come"}
}

// left returns how long the next part of a puzzle may still take.
func (a *arrivals) left(z *puzzle) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	return time.Until(z.last.Add(wire.FrameTimeout))
}

// drop lets go of the parts.
func (z *puzzle) drop() {
	for i := range z.parts {
		z.parts[i].drop()
	}
}

// message joins the parts in whole, and lets go of each of them.
func (z *puzzle) message(ctx context.Context, share *budget.Share, whole *buffer) error {
	if err := whole.size(ctx, share, z.bytes); err != nil {
		return err
	}
	whole.b = whole.b[:0]
	for i := range z.parts {
		whole.b = append(whole.b, z.parts[i].b...)
		z.parts[i].drop()
	}
	return nil
}
