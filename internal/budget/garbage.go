package budget

import "runtime"

// leastGarbage is how many bytes of large buffers may be garbage before they are collected, if
// little is held.
const leastGarbage = 16 << 20

// Discard releases all that the lease holds, which was the memory of a large buffer that is
// garbage by now. Go's collector would let garbage grow to as much as is in use, so a
// host could take twice what it holds. Discard collects when an eighth of what is held,
// or 16 MiB, has become garbage; the goroutine that discards then waits for some ms, and only then may
// others have what it held: else they fill new memory while the old is still there.
func (l *Lease) Discard() {
	if l.share != nil && l.share.host.collects(l.n) {
		runtime.GC()
	}
	l.Release()
}

// collects takes note of n bytes of garbage, and says whether to collect it.
func (h *Host) collects(n int64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.garbage += n
	if h.garbage < max(leastGarbage, h.held/8) {
		return false
	}
	h.garbage = 0
	return true
}
