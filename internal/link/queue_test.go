package link

import (
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// crowd is who asks a queue for turns, from one network each.
type crowd struct {
	q    *queue
	done chan struct{}
	wg   sync.WaitGroup

	mu      sync.Mutex
	began   map[string][]time.Duration
	refused map[string]int
	start   time.Time
}

func newCrowd() *crowd {
	q := newQueue(&allowance{every: 10 * time.Millisecond, atOnce: 2})
	return &crowd{q: q, done: make(chan struct{}), began: map[string][]time.Duration{}, refused: map[string]int{}, start: time.Now()}
}

// ask has n from there ask, in this order.
func (c *crowd) ask(from string, n int) {
	for range n {
		c.wg.Go(func() {
			ok := c.q.await(netip.MustParseAddr(from), c.done)
			c.mu.Lock()
			defer c.mu.Unlock()
			if !ok {
				c.refused[from]++
				return
			}
			c.began[from] = append(c.began[from], time.Since(c.start))
		})
		synctest.Wait()
	}
}

// Who asks without end has half of the room, and a newcomer's turn is after one of his. Three at once need not wait.
func TestQueueTakesTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd()
		c.ask("10.0.0.1", 200)
		c.ask("10.0.0.2", 3)
		if got := c.refused["10.0.0.1"]; got != 200-3-50 {
			t.Errorf("%d of 200 are refused; want all but three that begin at once, and 50 that wait", got)
		}
		c.wg.Wait()
		if got := c.began["10.0.0.2"]; len(got) != 3 || got[0] > 20*time.Millisecond || got[2] > 60*time.Millisecond || c.refused["10.0.0.2"] > 0 {
			t.Errorf("three newcomers began after %v; want every other turn, of 10 ms", got)
		}
		if got := c.began["10.0.0.1"]; len(got) != 53 || got[52] != 530*time.Millisecond {
			t.Errorf("%d of the others began, the last after %v; want 53, and 53 turns", len(got), got[len(got)-1])
		}
		c.q.mu.Lock()
		defer c.q.mu.Unlock()
		if len(c.q.lanes) > 0 || len(c.q.order) > 0 || c.q.waiting != 0 {
			t.Errorf("%d networks are left", len(c.q.lanes))
		}
	})
}

// Many networks that ask without end leave room for a further one.
func TestQueueLeavesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd()
		for _, from := range []string{"10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5"} {
			c.ask(from, 100)
		}
		if !c.q.hasRoom(netip.MustParseAddr("10.0.0.6")) || c.q.hasRoom(netip.MustParseAddr("10.0.0.1")) {
			t.Errorf("of %d places, want one for a network that has none, and none for one that has many", c.q.most)
		}
		close(c.done)
		c.wg.Wait()
		synctest.Wait()
	})
}

func TestNetwork(t *testing.T) {
	for _, tt := range []struct{ why, a, want string }{
		{"an address", "192.0.2.7:443", "192.0.2.7"},
		{"as it may come from a socket of both families", "[::ffff:192.0.2.7]:1", "192.0.2.7"},
		{"a host of IPv6 has a /64", "[2001:db8:1:2:3:4:5:6]:443", "2001:db8:1:2::"},
	} {
		ap := netip.MustParseAddrPort(tt.a)
		for _, a := range []net.Addr{net.UDPAddrFromAddrPort(ap), net.TCPAddrFromAddrPort(ap)} {
			if got := network(a); got.String() != tt.want {
				t.Errorf("%s: %v of %v, want %s", tt.why, got, a, tt.want)
			}
		}
	}
}
