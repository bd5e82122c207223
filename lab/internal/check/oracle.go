package check

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/bungee-xr/bungee/elastic"
	"github.com/bungee-xr/bungee/offload"
)

// An oracle knows what a channel must deliver. The sender tells it what is sent,
// the receiver what has come; both may do so at the same time. It complains to the
// function that it was made with.
type oracle interface {
	// add takes note of a message that is about to be sent, drop that Send refused it.
	add(message)
	drop(message)
	// got judges a result.
	got(elastic.Result[out])
	// done says that nothing more needs to come.
	done() bool
	// skips is how many messages have had no result, once all is done.
	skips() uint64
}

func newOracle(latest bool, fail func(string, ...any)) oracle {
	if latest {
		return &newest{fail: fail, of: map[uint64]message{}}
	}
	return &sequence{fail: fail, gone: map[uint64]uint64{}}
}

// A kind says what a result must be.
type kind int

const (
	value kind = iota
	failure
	trap
)

// A want is a result that must come.
type want struct {
	seq   uint64
	index int
	hash  uint64 // of the state after the message
	kind  kind
}

func (w want) String() string {
	switch w.kind {
	case failure:
		return fmt.Sprintf("message %d: its error at %016x", w.seq, w.hash)
	case trap:
		return fmt.Sprintf("message %d: that it broke its guest", w.seq)
	}
	return fmt.Sprintf("message %d: value %d at %016x", w.seq, w.index, w.hash)
}

// wantsOf returns what m must come to, and the state after it.
func wantsOf(s state, m message) ([]want, state) {
	if m.traps {
		return []want{{seq: m.seq, kind: trap}}, s
	}
	s = s.after(m)
	var all []want
	for i := range m.outs {
		all = append(all, want{m.seq, i, s.hash, value})
	}
	if m.fails {
		all = append(all, want{m.seq, m.outs, s.hash, failure})
	}
	return all, s
}

// met says whether a result is the one that w wants.
func (w want) met(r elastic.Result[out]) bool {
	var call *offload.CallError
	switch {
	case r.Seq != w.seq || len(r.Tag) != 8 || binary.BigEndian.Uint64(r.Tag) != w.seq:
		return false
	case w.kind == failure:
		return r.Err != nil && r.Err.Error() == fails(w.seq, w.hash).Error()
	case w.kind == trap:
		return errors.Is(r.Err, errTrap) || errors.As(r.Err, &call)
	}
	v := r.Value
	return r.Err == nil && v.seq == w.seq && v.index == w.index && v.after == w.hash && v.host == hostOf(r.Host)
}

// tagOf is the tag of message seq.
func tagOf(seq uint64) []byte { return binary.BigEndian.AppendUint64(nil, seq) }

func hostOf(name string) Host {
	if name == "" {
		return UE
	}
	return Host(name)
}

// describe says what a result is.
func describe(r elastic.Result[out]) string {
	at := fmt.Sprintf("message %d, by %s, skipped %d: ", r.Seq, hostOf(r.Host), r.Skipped)
	if r.Err != nil {
		return at + fmt.Sprintf("error %q", r.Err)
	}
	return at + fmt.Sprintf("value %d of message %d at %016x, by instance %d on %s", r.Value.index, r.Value.seq, r.Value.after, r.Value.instance, r.Value.host)
}

// A sequence is the oracle of mode Ordered: the results of handling all messages
// one after the other.
type sequence struct {
	fail func(format string, args ...any)

	mu     sync.Mutex
	state  state
	before state  // of the message that was added last
	wants  []want // still to come
	owner  uint64 // the instance that made the last value
	gone   map[uint64]uint64
}

func (q *sequence) add(m message) {
	q.mu.Lock()
	defer q.mu.Unlock()
	all, after := wantsOf(q.state, m)
	q.before, q.state = q.state, after
	q.wants = append(q.wants, all...)
}

func (q *sequence) drop(m message) {
	q.mu.Lock()
	defer q.mu.Unlock()
	all, _ := wantsOf(q.before, m)
	q.state = q.before
	n := len(q.wants) - len(all)
	if n < 0 {
		q.fail("message %d has had a result, and Send refused it", m.seq)
		n = 0
	}
	q.wants = q.wants[:n]
}

func (q *sequence) got(r elastic.Result[out]) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.wants) == 0 {
		q.fail("got %s; want no result", describe(r))
		return
	}
	w := q.wants[0]
	q.wants = q.wants[1:]
	if !w.met(r) || r.Skipped != 0 {
		q.fail("got %s; want %s", describe(r), w)
	}
	if r.Err == nil {
		q.owned(r)
	}
}

// owned checks that an owner does not come back once another one had a result.
func (q *sequence) owned(r elastic.Result[out]) {
	v := r.Value
	if v.instance == q.owner {
		return
	}
	if last, ok := q.gone[v.instance]; ok {
		q.fail("message %d has a result of instance %d on %s, which ceased to be the owner after message %d", r.Seq, v.instance, v.host, last)
	}
	q.gone[q.owner] = r.Seq - 1
	q.owner = v.instance
}

func (q *sequence) done() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.wants) == 0
}

func (q *sequence) skips() uint64 { return 0 }

// A newest is the oracle of mode Latest.
type newest struct {
	fail func(format string, args ...any)

	mu      sync.Mutex
	of      map[uint64]message // those sent and neither delivered nor skipped
	sent    uint64
	seen    uint64 // the last message that had a result
	parts   int    // results that it had, of wanted
	wanted  int
	skipped uint64
}

func (n *newest) add(m message) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.of[m.seq], n.sent = m, m.seq
}

func (n *newest) drop(m message) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.of, m.seq)
	n.sent--
}

func (n *newest) got(r elastic.Result[out]) {
	n.mu.Lock()
	defer n.mu.Unlock()
	m, ok := n.of[r.Seq]
	if !ok {
		n.fail("got %s; after results of message %d, with %d sent", describe(r), n.seen, n.sent)
		return
	}
	if r.Seq != n.seen {
		n.next(r)
	} else if r.Skipped != 0 {
		n.fail("got %s; only a message's first result counts what was skipped", describe(r))
	}
	all, _ := wantsOf(state{hash: r.Value.before}, m)
	n.wanted = len(all)
	if n.parts >= len(all) || !n.met(all[n.parts], r) {
		n.fail("got %s; want result %d of %v", describe(r), n.parts, all)
	}
	n.parts++
}

// met is want.met, but for the state at an error: that is not known here.
func (n *newest) met(w want, r elastic.Result[out]) bool {
	if w.kind == failure && r.Err != nil {
		return r.Seq == w.seq && strings.HasPrefix(r.Err.Error(), fmt.Sprintf("message %d fails at ", w.seq))
	}
	return w.met(r)
}

// next goes on to the message of r. The one before may lack its last results: a
// near endpoint that does not keep up loses them.
func (n *newest) next(r elastic.Result[out]) {
	if left := r.Seq - n.seen - 1; r.Skipped != left {
		n.fail("got %s; %d messages since message %d have had no result", describe(r), left, n.seen)
	}
	for seq := n.seen; seq < r.Seq; seq++ {
		delete(n.of, seq)
	}
	n.skipped += r.Skipped
	n.seen, n.parts = r.Seq, 0
}

func (n *newest) done() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.seen == n.sent && n.parts == n.wanted
}

func (n *newest) skips() uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.skipped
}
