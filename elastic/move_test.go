package elastic

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bungee-xr/bungee/internal/wire"
)

// ownedBy opens a channel whose owner is a, of which nothing is read.
func ownedBy(t *testing.T, a *attachment, conf Config) *Channel[int64, int64] {
	c, err := Open(echoes(), conf)
	if err != nil {
		t.Fatal(err)
	}
	c.owner = a
	t.Cleanup(func() {
		c.mu.Lock()
		c.state = state{}
		c.mu.Unlock()
		c.Close()
	})
	return c
}

// A Move whose context ends while it waits for the Move before changes nothing: it gives its host
// back, and results are bounded as they were.
func TestMoveThatDoesNotBegin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := ownedBy(t, at("b"), Config{})
		c.old, c.sent, c.oldLast = at("a"), 1, 1
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		h := newFakeHost(wire.AppendCredit(nil, wire.TypeAttached, wire.Credit{Messages: 1, Bytes: 1}))
		if err := c.Move(ctx, h); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the Move says %v, want the end of its context", err)
		}
		if h.released != 1 {
			t.Errorf("its host was given back %d times, want once", h.released)
		}
		if c.inbox.unbounded != 0 {
			t.Error("results may exceed the window from then on")
		}
	})
}

// A Move that comes while the owner's last messages need another owner fails at once: the recovery is
// for that.
func TestMoveDuringARecovery(t *testing.T) {
	c := ownedBy(t, at("b"), Config{})
	c.phase = fenced
	h := newFakeHost(wire.AppendCredit(nil, wire.TypeAttached, wire.Credit{Messages: 1, Bytes: 1}))
	if err := c.Move(t.Context(), h); !errors.Is(err, errOvertaken) {
		t.Errorf("the Move says %v, want %v", err, errOvertaken)
	}
	if h.released != 0 {
		t.Error("its host was attached to")
	}
}

// What was delivered during a Move, when no checkpoint is taken, needs one after it.
func TestCheckpointAfterAMove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := ownedBy(t, at("b"), Config{})
		c.mu.Lock()
		c.phase, c.sent, c.delivered = preparing, 3, 3
		c.wantSaveLocked()
		if c.save.on {
			t.Error("a checkpoint is to be taken while the Move copies the state")
		}
		c.mu.Unlock()
		c.endMove()
		if !c.save.on {
			t.Error("after the Move no checkpoint is to be taken until another message is sent")
		}
	})
}
