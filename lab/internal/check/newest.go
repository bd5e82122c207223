package check

import (
	"fmt"
	"strings"
	"sync"

	"github.com/bungee-xr/bungee/elastic"
)

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
	if n.parts == 0 && all[0].overran(m, r) {
		n.wanted, n.parts = 1, 1
		return
	}
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
