package check

import (
	"sync"

	"github.com/bungee-xr/bungee/elastic"
)

// A sequence is the oracle of mode Ordered: the results of handling all messages
// one after the other, but for those that overran: what came of one decides
// whether the state goes on from it.
type sequence struct {
	fail func(format string, args ...any)

	mu    sync.Mutex
	sent  []message // those that no result of has been looked for yet
	left  int       // results still to come
	at    message   // the one whose results come
	prior state     // before it
	state state     // after it
	wants []want    // of it, still to come
	owner uint64    // the instance that made the last value
	gone  map[uint64]uint64
}

func (q *sequence) add(m message) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.sent = append(q.sent, m)
	q.left += m.results()
}

func (q *sequence) drop(m message) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := len(q.sent) - 1
	if n < 0 || q.sent[n].seq != m.seq {
		q.fail("message %d has had a result, and Send refused it", m.seq)
		return
	}
	q.sent = q.sent[:n]
	q.left -= m.results()
}

func (q *sequence) got(r elastic.Result[out]) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.nextLocked() {
		q.fail("got %s; want no result", describe(r))
		return
	}
	w := q.wants[0]
	q.left--
	q.wants = q.wants[1:]
	if w.overran(q.at, r) {
		q.left -= len(q.wants)
		q.wants, q.state = nil, q.prior
		return
	}
	if !w.met(r) || r.Skipped != 0 {
		q.fail("got %s; want %s", describe(r), w)
	}
	if r.Err == nil {
		q.owned(r)
	}
}

// nextLocked goes on to the message whose result is the next to come.
func (q *sequence) nextLocked() bool {
	for len(q.wants) == 0 {
		if len(q.sent) == 0 {
			return false
		}
		q.at, q.sent = q.sent[0], q.sent[1:]
		q.prior = q.state
		q.wants, q.state = wantsOf(q.prior, q.at)
	}
	return true
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
	return q.left == 0
}

func (q *sequence) skips() uint64 { return 0 }
