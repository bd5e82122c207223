// Package budget counts what peers make an edge host hold: bytes, or slots such as
// channels and connections.
//
// A [Host] has a total. Each tenant has a [Share] of it, and what is about to be held for
// a peer is acquired from the share first: before a buffer is made, a copy is kept, a slot
// is taken. The [Lease] that Acquire returns is released when the thing is let go.
//
//	lease, err := share.Acquire(ctx, int64(size)) // waits, or says why not
//	if err != nil {
//		return err
//	}
//	defer lease.Release()
//	buf := make([]byte, size)
//
// # Promises
//
// All leases together never exceed the total, and those of a share never its most. Only what
// [Share.HoldFirst] takes may go beyond the total.
// A quarter of the total is kept for tenants that hold little, so that one, or a few, who
// hold all that they can get do not lock the others out. Who cannot be served waits, in
// the order of asking within a share; between shares, the one that holds least for its
// weight is served first. Who has waited for [Patience] is refused, and so is the newest
// when a share has [MaxWaiting] waiting. The verdict is [Decide]'s, a pure function.
//
// What a lease counts is its holder's to say: the package counts numbers, not memory.
// An uncontended Acquire and Release cost some tens of ns and allocate nothing.
package budget

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// Why something is refused. [ErrRefused] is each of them.
var (
	// ErrRefused says that the budget has no room.
	ErrRefused = errors.New("no room in the host's budget")
	// ErrTooMuch says that a share may never hold as much.
	ErrTooMuch = refusal("more than the tenant may have at once")
	// ErrBusy says that others of the same share wait already, and are too many.
	ErrBusy = refusal("too much of the tenant waits for room")
	// ErrLate says that no room came free in time.
	ErrLate = refusal("no room came free in time")
)

// A refusal is an ErrRefused with its reason.
type refusal string

func (r refusal) Error() string { return ErrRefused.Error() + ": " + string(r) }

func (r refusal) Unwrap() error { return ErrRefused }

const (
	// Patience is how long Acquire waits. It is half of what a UE gives its ping: a
	// connection whose frames wait for room must not look dead.
	Patience = 500 * time.Millisecond
	// MaxWaiting bounds those that wait in a share: further ones would only wait for
	// longer than Patience.
	MaxWaiting = 256
)

// A Host is a total and the shares of it. It may be used by many goroutines.
type Host struct {
	total int64
	spare int64 // see Spare; constant once there are shares

	mu      sync.Mutex // leaf
	held    int64
	peak    int64
	weights int64    // of the shares that hold something
	queues  []*Share // those in which somebody waits
	garbage int64    // see Lease.Discard
	refused Refused
}

// A Share is what one tenant holds of a Host. It may be used by many goroutines. A nil
// Share bounds nothing.
type Share struct {
	host *Host // constant

	// Guarded by the host's mu.
	most    int64
	weight  int64
	held    int64
	queue   []*waiter
	refused Refused
}

// A waiter waits for n more. ready is closed once it has them.
type waiter struct {
	n     int64
	ready chan struct{}
}

// Refused counts what was refused, by reason.
type Refused struct{ TooMuch, Busy, Late uint64 }

// Stats are what a Host or a Share knows of itself.
type Stats struct {
	Most    int64 // it may hold: a host's total
	Held    int64
	Peak    int64 // the most that a host held since it began; 0 for a share
	Waiting int
	Refused Refused
}

// New returns a budget of total units.
func New(total int64) *Host { return &Host{total: total} }

// Spare has what is kept serve shares that hold little beside n units, which each of them needs before it can ask for
// anything: so a share that holds these is not refused the little more that it came for. A share that does not hold
// them yet may use half of what is kept to come by them. Spare is called before Share.
func (h *Host) Spare(n int64) { h.spare = n }

// Share returns a share that holds nothing and may hold most, or half of the total
// if most is 0. Weight says how much of what is kept is its own, in proportion to
// other shares; 0 counts as 1. A share that holds nothing needs no closing.
func (h *Host) Share(weight int, most int64) *Share {
	return &Share{host: h, most: h.most(most), weight: int64(max(weight, 1))}
}

// most returns how much a share may hold for which most is said.
func (h *Host) most(most int64) int64 {
	if most <= 0 {
		most = h.total / 2
	}
	return min(most, h.total)
}

// Set changes what Host.Share was given. What the share holds beyond its new most stays held,
// and it gets nothing more until it holds less.
func (s *Share) Set(weight int, most int64) {
	h := s.host
	h.mu.Lock()
	defer h.mu.Unlock()
	w := int64(max(weight, 1))
	if s.held > 0 {
		h.weights += w - s.weight
	}
	s.weight, s.most = w, h.most(most)
	if len(h.queues) > 0 {
		h.serveLocked()
	}
}

// Acquire takes n more, or waits for them until ctx ends, but not for longer than
// [Patience]. Its error is an [ErrRefused], or the cause of ctx.
func (s *Share) Acquire(ctx context.Context, n int64) (Lease, error) {
	if err := s.take(ctx, n, wait); err != nil {
		return Lease{}, err
	}
	return Lease{s, n}, nil
}

// Try takes n more if that is possible at once. Its error is an [ErrRefused].
func (s *Share) Try(n int64) (Lease, error) {
	if err := s.take(context.Background(), n, refuse); err != nil {
		return Lease{}, err
	}
	return Lease{s, n}, nil
}

// Hold takes n more if that is possible at once, and says whether it was. It is for those who
// count by themselves, and return with Release what they took.
func (s *Share) Hold(n int64) bool { return s.take(context.Background(), n, refuse) == nil }

// HoldFirst is Hold for one thing that every share may have: a share that holds nothing gets it also where the
// host has no room, unless it may never hold as much.
func (s *Share) HoldFirst(n int64) bool { return s.grantFirst(n) || s.Hold(n) }

func (s *Share) grantFirst(n int64) bool {
	if s == nil || n <= 0 {
		return true
	}
	s.host.mu.Lock()
	defer s.host.mu.Unlock()
	if s.held > 0 || Decide(s.viewLocked(), n) == Never {
		return false
	}
	s.grantLocked(n)
	return true
}

// Release returns n of what Hold or HoldFirst took.
func (s *Share) Release(n int64) { s.give(n) }

// Claim says what would become of n more for the share: Scarce means that the host has no room, and that
// shares which are Over should make some. A share that has its equal part already gets Full.
func (s *Share) Claim(n int64) Verdict {
	s.host.mu.Lock()
	defer s.host.mu.Unlock()
	return claim(s.viewLocked(), n)
}

// Over says how much the share holds for its weight, if that is more than its equal part of what is
// free for all, of which the one who asks is to have a part, too; 0 if it is not.
func (s *Share) Over(asks *Share) int64 {
	s.host.mu.Lock()
	defer s.host.mu.Unlock()
	v := s.viewLocked()
	if asks.held == 0 && asks != s {
		v.Weights += asks.weight
	}
	if v.Mine <= v.equal() {
		return 0
	}
	return s.held / s.weight
}

// A mode is what to do about a request that cannot be served at once.
type mode int

const (
	wait   mode = iota
	refuse      // and count it
	forget      // refuse it and count nothing: it asks for more than it needs, or asks again
)

func (s *Share) take(ctx context.Context, n int64, m mode) error {
	if s == nil || n <= 0 {
		return nil
	}
	h := s.host
	h.mu.Lock()
	var err error
	switch v := Decide(s.viewLocked(), n); {
	case v == Grant:
		s.grantLocked(n)
	case m == forget:
		err = ErrBusy
	case v == Never:
		s.refused.TooMuch++
		h.refused.TooMuch++
		err = ErrTooMuch
	case m == refuse || len(s.queue) >= MaxWaiting:
		s.refused.Busy++
		h.refused.Busy++
		err = ErrBusy
	default:
		w := s.enqueueLocked(n)
		h.serveLocked() // what is before it may want more than it does
		h.mu.Unlock()
		return s.await(ctx, w)
	}
	h.mu.Unlock()
	return err
}

// Empty returns a lease of the share that holds nothing, and may grow.
func (s *Share) Empty() Lease { return Lease{share: s} }

// viewLocked returns what a decision about the share depends on.
func (s *Share) viewLocked() View {
	h := s.host
	v := View{
		Total: h.total, Held: h.held, Mine: s.held, Most: s.most, Spare: h.spare, Weight: s.weight, Weights: h.weights,
		First: len(s.queue) == 0, Others: len(h.queues) > 0,
	}
	if s.held == 0 {
		v.Weights += s.weight
	}
	return v
}

func (s *Share) grantLocked(n int64) {
	h := s.host
	if s.held == 0 {
		h.weights += s.weight
	}
	s.held += n
	h.held += n
	h.peak = max(h.peak, h.held)
}

// give returns n units.
func (s *Share) give(n int64) {
	if s == nil || n <= 0 {
		return
	}
	h := s.host
	h.mu.Lock()
	s.held -= n
	h.held -= n
	if s.held == 0 {
		h.weights -= s.weight
	}
	if len(h.queues) > 0 {
		h.serveLocked()
	}
	h.mu.Unlock()
}

func (s *Share) enqueueLocked(n int64) *waiter {
	w := &waiter{n, make(chan struct{})}
	if len(s.queue) == 0 {
		s.host.queues = append(s.host.queues, s)
	}
	s.queue = append(s.queue, w)
	return w
}

// dequeueLocked takes out the i-th waiter.
func (s *Share) dequeueLocked(i int) {
	s.queue = slices.Delete(s.queue, i, i+1)
	if len(s.queue) == 0 {
		s.host.queues = slices.DeleteFunc(s.host.queues, func(o *Share) bool { return o == s })
	}
}

// await waits until w is served.
func (s *Share) await(ctx context.Context, w *waiter) error {
	late := time.NewTimer(Patience)
	defer late.Stop()
	var err error
	select {
	case <-w.ready:
		return nil
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-late.C:
		err = ErrLate
	}
	h := s.host
	h.mu.Lock()
	defer h.mu.Unlock()
	i := slices.Index(s.queue, w)
	if i < 0 { // it was served just then
		return nil
	}
	s.dequeueLocked(i)
	if err == ErrLate { // else the caller has gone
		s.refused.Late++
		h.refused.Late++
	}
	h.serveLocked() // it may have been in the way
	return err
}

// serveLocked grants what those who wait can have: the share that holds least for its
// weight first, and each share in the order of asking. Where one of them waits for the host
// to have room, those after it get only what is kept for them, so that nobody who
// wants much is passed by for ever.
func (h *Host) serveLocked() {
	slices.SortStableFunc(h.queues, func(a, b *Share) int {
		return compare(a.held*b.weight, b.held*a.weight)
	})
	blocked := false
	for _, s := range slices.Clone(h.queues) {
		for len(s.queue) > 0 {
			w := s.queue[0]
			v := s.viewLocked()
			v.First, v.Others = true, blocked
			if verdict := Decide(v, w.n); verdict != Grant {
				blocked = blocked || verdict == Scarce
				break
			}
			s.grantLocked(w.n)
			s.dequeueLocked(0)
			close(w.ready)
		}
	}
}

func compare(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// Pressed says whether the share should let go of what it can do without: it holds more than
// its part of what is kept, beside what is spared, and somebody waits, or what is free for all is three quarters
// full, or it holds half of what it may.
func (s *Share) Pressed() bool {
	if s == nil {
		return false
	}
	h := s.host
	h.mu.Lock()
	defer h.mu.Unlock()
	v := s.viewLocked()
	return v.beyond() > v.part() && (len(h.queues) > 0 || h.held > (h.total-kept(h.total))/4*3 || s.held > s.most/2)
}

// Stats returns the counts of the share.
func (s *Share) Stats() Stats {
	if s == nil {
		return Stats{}
	}
	s.host.mu.Lock()
	defer s.host.mu.Unlock()
	return Stats{Most: s.most, Held: s.held, Waiting: len(s.queue), Refused: s.refused}
}

// Stats returns the counts of all shares together.
func (h *Host) Stats() Stats {
	h.mu.Lock()
	defer h.mu.Unlock()
	st := Stats{Most: h.total, Held: h.held, Peak: h.peak, Refused: h.refused}
	for _, s := range h.queues {
		st.Waiting += len(s.queue)
	}
	return st
}

// A Lease is what was acquired at once, and what it grew by. The zero Lease is one of a nil
// share. It belongs to one goroutine at a time, and is not copied once it is in use.
type Lease struct {
	share *Share
	n     int64
}

// Size returns what the lease holds.
func (l *Lease) Size() int64 { return l.n }

// Grow acquires n more for the lease, as Share.Acquire. After an error it holds what it did.
func (l *Lease) Grow(ctx context.Context, n int64) error {
	err := l.share.take(ctx, n, wait)
	if err == nil {
		l.n += max(n, 0)
	}
	return err
}

// TryGrow acquires n more for the lease, if that is possible at once. It does not count as
// refused: who tries does without, or asks again.
func (l *Lease) TryGrow(n int64) error {
	err := l.share.take(context.Background(), n, forget)
	if err == nil {
		l.n += max(n, 0)
	}
	return err
}

// Shrink releases n of what the lease holds, or all if it holds less.
func (l *Lease) Shrink(n int64) {
	n = min(n, l.n)
	l.n -= max(n, 0)
	l.share.give(n)
}

// Release releases all that the lease holds. Further calls do nothing. The lease may
// grow again.
func (l *Lease) Release() { l.Shrink(l.n) }
