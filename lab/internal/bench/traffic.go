package bench

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bungee-xr/bungee/elastic"
	"github.com/bungee-xr/bungee/lab/internal/bench/marked"
)

// A delivery is a result as it reached the near endpoint.
type delivery struct {
	at  time.Duration // on the traffic's clock
	age time.Duration // since its message was due
	far bool          // it came from an edge host
}

// A traffic sends messages through a channel until it is finished, and keeps when
// their results came. The channel is its own.
type traffic struct {
	*near
	rate   float64                       // messages a second; 0: as the channel takes them
	each   func(d delivery, host string) // takes the deliveries, one by one; nil: they are kept
	start  time.Time
	ended  chan struct{} // closed when no more results come
	stop   atomic.Bool
	sent   atomic.Uint64
	cancel context.CancelFunc

	sender, receiver sync.WaitGroup

	mu        sync.Mutex
	delivered []delivery
	host      string        // of the last result
	moved     chan struct{} // closed when host changes
	err       error         // why it ended early
}

// newTraffic makes traffic over n's channel. It begins with begin.
func newTraffic(n *near, rate float64) *traffic {
	return &traffic{near: n, rate: rate, ended: make(chan struct{}), moved: make(chan struct{})}
}

func (t *traffic) begin(ctx context.Context) {
	t.start = time.Now()
	ctx, t.cancel = context.WithCancel(ctx)
	t.sender.Go(func() { t.note(t.sendAll(ctx)) })
	t.receiver.Go(func() {
		t.note(t.receiveAll(ctx))
		close(t.ended)
	})
}

func (t *traffic) note(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.err = errors.Join(t.err, err)
}

// sendAll sends until it is stopped, and one message at least.
func (t *traffic) sendAll(ctx context.Context) error {
	p := newPacer(t.rate)
	for t.sent.Load() == 0 || !t.stop.Load() {
		if err := t.send(ctx, p.next()); err != nil {
			return err
		}
		t.sent.Add(1)
	}
	return nil
}

func (t *traffic) receiveAll(ctx context.Context) error {
	for {
		r, err := t.receive(ctx)
		if errors.Is(err, elastic.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		t.take(r, time.Now())
	}
}

func (t *traffic) take(r elastic.Result[marked.Answer], now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	d := delivery{now.Sub(t.start), now.Sub(r.Captured), r.Host != ""}
	if t.each != nil {
		t.each(d, r.Host)
	} else {
		t.delivered = append(t.delivered, d)
	}
	if r.Host != t.host {
		t.host = r.Host
		close(t.moved)
		t.moved = make(chan struct{})
	}
}

// leave waits until results come from another host than from.
func (t *traffic) leave(ctx context.Context, from string) error {
	for {
		t.mu.Lock()
		host, moved := t.host, t.moved
		t.mu.Unlock()
		if host != from {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return fmt.Errorf("results still come from %q: %w", from, context.Cause(ctx))
		}
	}
}

// now is the time on the traffic's clock.
func (t *traffic) now() time.Duration { return time.Since(t.start) }

// finishTimeout is how long the last messages may take, on a machine that others keep busy, too.
const finishTimeout = time.Minute

// finish stops sending, waits for the results of the messages sent, and closes the
// channel. Messages without a result count as lost.
func (t *traffic) finish(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, finishTimeout)
	defer cancel()
	t.stop.Store(true)
	defer context.AfterFunc(ctx, t.cancel)()
	t.sender.Wait()
	err := t.ch.Shutdown(ctx)
	t.receiver.Wait()
	t.cancel()
	if t.check.ordered {
		t.check.lost += int(t.query.Seq - t.check.last)
	}
	return errors.Join(t.err, err)
}

// A mark is when something happened to the channel.
type mark struct{ from, to time.Duration }

// settle is how long after a mark the deliveries still belong to it.
const settle = 20 * time.Millisecond

// gaps returns of each mark the largest time between two deliveries around it,
// beyond the period of the messages.
func gaps(delivered []delivery, marks []mark, period time.Duration) []time.Duration {
	all := make([]time.Duration, len(marks))
	for k, m := range marks {
		i := sort.Search(len(delivered), func(i int) bool { return delivered[i].at >= m.from })
		var most time.Duration
		for i = max(i, 1); i < len(delivered) && delivered[i-1].at <= m.to+settle; i++ {
			most = max(most, delivered[i].at-delivered[i-1].at)
		}
		all[k] = max(0, most-period)
	}
	return all
}

// calm returns before each of the marks but the first one a time of equal length, where
// nothing happens: there are more than two settles between any two marks.
func calm(marks []mark) []mark {
	var all []mark
	for _, m := range marks[min(1, len(marks)):] {
		to := m.from - 2*settle
		all = append(all, mark{to - (m.to - m.from), to})
	}
	return all
}
