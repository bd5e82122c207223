package elastic

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bungee-xr/bungee/internal/wire"
)

// When the alarm for lateness rings on the UE, it tells of the message under way, if that was under way when
// the alarm was set, and of no other.
func TestWhatIsLateOnTheUE(t *testing.T) {
	tests := []struct {
		why             string
		mode            Mode
		held            bool
		sent, delivered uint64
		of              uint64 // the message that the alarm was set for
		want            uint64
	}{
		{"it is handled", Ordered, true, 5, 4, 5, 1},
		{"it began since", Ordered, true, 5, 4, 4, 0},
		{"its outcome is delivered, and a Move has the turn", Ordered, true, 5, 5, 5, 0},
		{"mode Latest has skipped it", Latest, false, 5, 4, 5, 0},
	}
	for _, tt := range tests {
		c, err := Open(echoes(), Config{Mode: tt.mode, Deadline: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		c.mu.Lock()
		c.sent, c.delivered, c.turn.held, c.late.of = tt.sent, tt.delivered, tt.held, tt.of
		c.lateHereLocked()
		c.mu.Unlock()
		if got := c.Stats().Overran; got != tt.want {
			t.Errorf("%s: %d messages have overrun, want %d", tt.why, got, tt.want)
		}
		c.Close()
	}
}

// lateAt opens a channel with an owner b, and an old one a, at which a message is over its deadline.
func lateAt(t *testing.T) (c *Channel[int64, int64], a, b *attachment) {
	a, b = at("a"), at("b")
	for _, x := range []*attachment{a, b} {
		x.host, x.st, x.stop = newFakeHost(nil), newFakeHost(nil), func() {}
		x.alive, x.die = context.WithCancel(t.Context())
		t.Cleanup(x.die)
	}
	c = ownedBy(t, b, Config{Deadline: time.Second})
	c.moving.acquire() // the recovery waits
	t.Cleanup(c.moving.release)
	frame := make([]byte, wire.MessageHeader)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keepLocked(entry{frame: &frame, sent: time.Now().Add(-time.Minute)})
	c.old, c.oldLast = a, 1
	return c, a, b
}

// A message that the old owner has still to answer is late there: the new one is not to blame.
func TestOldOwnerIsLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, a, b := lateAt(t)
		c.checkLate()
		if a.lost == nil || b.lost != nil {
			t.Errorf("the old owner is lost because of %v, the new one because of %v; want the old one alone", a.lost, b.lost)
		}
		c.mu.Lock()
		c.state = state{}
		c.mu.Unlock()
	})
}

// A message that a lost owner had is late once, and not again while the next owner is looked for.
func TestLatenessDuringARecovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, a, _ := lateAt(t)
		c.old, c.owner, c.phase = nil, a, fenced
		c.checkLate()
		if n := c.log.at(1).overran; n != 0 {
			t.Errorf("it has overrun %d times while nobody had it", n)
		}
	})
}
