package link

import (
	"crypto/tls"
	"net/netip"
	"sync"
	"time"
)

// queued is how long a handshake may stand in a queue: UEs give up after handshakeTimeout, of which a Retry takes a part.
const queued = time.Second

// A queue has handshakes wait until they may begin, in turn by the networks they come from: an address, or a /64. Whoever
// makes them without end stands in his own way; one from another network waits for one of each network that wants one.
//
// A network may have as many waiting as there is room left, so there always is some for a further one.
type queue struct {
	pace *allowance
	most int // that wait; constant

	mu      sync.Mutex // the allowance's may be locked while it is held
	waiting int
	lanes   map[netip.Addr]*lane
	order   []*lane // that have somebody waiting, in turn
}

// A lane is what waits of a network, each for its channel to be closed.
type lane struct {
	from  netip.Addr
	turns []chan struct{}
}

func newQueue(pace *allowance) *queue {
	return &queue{pace: pace, most: max(2, int(queued/pace.every)), lanes: map[netip.Addr]*lane{}}
}

// hasRoom says whether a handshake from there may wait.
func (q *queue) hasRoom(from netip.Addr) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.hasRoomLocked(from)
}

func (q *queue) hasRoomLocked(from netip.Addr) bool {
	n := 0
	if l := q.lanes[from]; l != nil {
		n = len(l.turns)
	}
	return n < q.most-q.waiting
}

// await waits until a handshake from there may begin. It returns false when there is no room to wait, or done is closed.
func (q *queue) await(from netip.Addr, done <-chan struct{}) bool {
	turn, ok := q.enter(from, time.Now())
	if !ok {
		return false
	}
	select {
	case <-turn:
		return true
	case <-done:
		return false
	}
}

// begun is the turn of those that need not wait.
var begun = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// enter returns what is closed when a handshake from there may begin. A turn that nobody waits for any longer passes.
func (q *queue) enter(from netip.Addr, now time.Time) (turn <-chan struct{}, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.waiting == 0 && q.pace.take(now) {
		return begun, true
	}
	if !q.hasRoomLocked(from) {
		return nil, false
	}
	l := q.lanes[from]
	if l == nil {
		l = &lane{from: from}
		q.lanes[from] = l
		q.order = append(q.order, l)
	}
	c := make(chan struct{})
	l.turns = append(l.turns, c)
	if q.waiting++; q.waiting == 1 {
		time.AfterFunc(q.pace.reserve(now), q.next)
	}
	return c, true
}

// next lets the next one begin, and comes again while others wait.
func (q *queue) next() {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.order[0]
	q.order = q.order[1:]
	close(l.turns[0])
	if l.turns = l.turns[1:]; len(l.turns) > 0 {
		q.order = append(q.order, l)
	} else {
		delete(q.lanes, l.from)
	}
	if q.waiting--; q.waiting > 0 {
		time.AfterFunc(q.pace.reserve(time.Now()), q.next)
	}
}

// queueKey is the key of the network, in a connection's context, whose queue its handshake has to stand in.
type queueKey struct{}

// queueing returns conf with which handshakes whose context names a network wait for their turn, or fail.
func (q *queue) queueing(conf *tls.Config, done <-chan struct{}) *tls.Config {
	c := conf.Clone()
	c.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if from, ok := hello.Context().Value(queueKey{}).(netip.Addr); ok && !q.await(from, done) {
			return nil, errCrowded
		}
		if conf.GetConfigForClient == nil {
			return nil, nil
		}
		return conf.GetConfigForClient(hello)
	}
	return c
}
