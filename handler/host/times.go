package host

import (
	"sync/atomic"
	"time"
)

// Bounds of the times that are told, in seconds as monitoring has them: from the fastest guest to the
// longest call, 1, 2.5 and 5 of each power of ten; and from a small guest in C to what the
// compiler is allowed.
var (
	callBounds = []time.Duration{
		100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond,
		time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond,
		10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
		100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
		time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second,
	}
	compileBounds = []time.Duration{
		25 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
		time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second, 25 * time.Second, 50 * time.Second,
	}
)

// A Histogram counts durations by size.
type Histogram struct {
	Bounds []time.Duration // the upper ones, ascending; not to be changed
	Counts []uint64        // of durations within each bound and over the one before; the last are over all
	Sum    time.Duration
}

// Count returns how many durations there are.
func (h Histogram) Count() (n uint64) {
	for _, c := range h.Counts {
		n += c
	}
	return n
}

// Times are how long things took since the handler was made, of all tenants.
type Times struct {
	// Calls and Messages are those that entered a guest, from their arrival to their end. Queue of either
	// is the wait before: for the module, an instance and a core. It has also those that gave up.
	Calls, CallQueue, Messages, MessageQueue Histogram
	// Compile is of modules that had to be compiled, also those that could not be, with the wait for a
	// compiler. It is empty where the engine does not say what it compiles.
	Compile Histogram
}

// Times returns them.
func (h *Handler) Times() Times {
	t := &h.times
	return Times{
		Calls: t.calls.took.read(), CallQueue: t.calls.queue.read(),
		Messages: t.messages.took.read(), MessageQueue: t.messages.queue.read(), Compile: t.compile.read(),
	}
}

// times are the handler's own Times.
type times struct {
	calls, messages served
	compile         histogram
}

func (t *times) init() {
	for _, h := range []*histogram{&t.calls.took, &t.calls.queue, &t.messages.took, &t.messages.queue} {
		h.init(callBounds)
	}
	t.compile.init(compileBounds)
}

// A served is of what enters guests.
type served struct{ took, queue histogram }

// observe counts one that came at begin, entered its guest, unless that is zero, and ended.
func (s *served) observe(begin, entered, end time.Time) {
	if entered.IsZero() {
		s.queue.add(end.Sub(begin))
		return
	}
	s.queue.add(entered.Sub(begin))
	s.took.add(end.Sub(begin))
}

// observe counts a call or a message of a module, and also for the manager if there is one.
func (h *Handler) observe(all *served, module digest, begin, entered, end time.Time) {
	all.observe(begin, entered, end)
	if h.managed != nil {
		h.managed.loads.observe(module, begin, entered, end)
	}
}

// A histogram is filled by many goroutines.
type histogram struct {
	bounds []time.Duration
	counts []atomic.Uint64
	sum    atomic.Int64
}

func (h *histogram) init(bounds []time.Duration) {
	h.bounds, h.counts = bounds, make([]atomic.Uint64, len(bounds)+1)
}

func (h *histogram) add(d time.Duration) {
	i := 0
	for i < len(h.bounds) && d > h.bounds[i] {
		i++
	}
	h.counts[i].Add(1)
	h.sum.Add(int64(d))
}

func (h *histogram) read() Histogram {
	r := Histogram{Bounds: h.bounds, Counts: make([]uint64, len(h.counts)), Sum: time.Duration(h.sum.Load())}
	for i := range h.counts {
		r.Counts[i] = h.counts[i].Load()
	}
	return r
}
