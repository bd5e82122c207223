package elastic

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
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

// A Move that comes while another owner is looked for waits for it, and attaches to no host before.
func TestMoveDuringARecovery(t *testing.T) {
	for _, why := range []error{nil, ErrLost} { // the owner before is lost, or the owner is
		synctest.Test(t, func(t *testing.T) {
			c := ownedBy(t, at("b"), Config{})
			c.phase, c.owner.lost = fenced, why
			h := newFakeHost(wire.AppendCredit(nil, wire.TypeAttached, wire.Credit{Messages: 1, Bytes: 1}))
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if err := c.Move(ctx, h); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the Move says %v, want the end of its context", err)
			}
			if h.released != 0 {
				t.Error("the Move has attached to its host")
			}
		})
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

// answering opens a channel with an owner that answers its first Snapshot, with the state as of message seq.
func answering(t *testing.T, idempotent bool, seq uint64) (*Channel[int64, int64], *attachment, *fakeHost) {
	h, a := newFakeHost(states(seq)), at("a")
	a.host, a.st, a.stop, a.writing, a.giving = h, newFakeHost(nil), func() {}, newLock(), newLock()
	a.alive, a.die = context.WithCancel(t.Context())
	c := ownedBy(t, a, Config{})
	c.ep.Idempotent = idempotent
	t.Cleanup(a.die)
	return c, a, h
}

// A state that came from an owner that is lost meanwhile is no checkpoint: the next owner's outcomes may
// not follow from it.
func TestCopyOfALostOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, a, h := answering(t, true, 5)
		c.sent, c.delivered = 5, 3
		c.moving.acquire() // as a Move does: the recovery waits
		defer c.moving.release()
		h.reading = func() { c.fail(a, ErrLost) }
		if k, err := c.copyState(t.Context()); !errors.Is(err, ErrLost) {
			t.Errorf("the copy is %+v, %v; want ErrLost", k, err)
		}
		if c.saves.phase != idle || c.Stats().Checkpoints != 0 {
			t.Errorf("checkpoints are in phase %d, %d were taken; want none", c.saves.phase, c.Stats().Checkpoints)
		}
		c.mu.Lock()
		c.state = state{} // the recovery has nothing to do
		c.mu.Unlock()
	})
}

// A Move that fails leaves its candidate as the standby, if its host is to have one. One that does not
// restore a state is given back.
func TestCandidateOfAFailedMove(t *testing.T) {
	for _, tt := range []struct {
		fails  string
		states []byte // what the owner answers
		stays  bool
	}{
		{"the owner", nil, true},
		{"the candidate", states(0), false},
	} {
		synctest.Test(t, func(t *testing.T) {
			c, _, owner := answering(t, true, 0)
			owner.Buffer = *bytes.NewBuffer(tt.states)
			next := newFakeHost(wire.AppendCredit(nil, wire.TypeAttached, wire.Credit{Messages: 1, Bytes: 1}))
			c.standbys = []Target{next}
			c.seeking = true // nobody else prepares a standby
			if err := c.Move(t.Context(), next); !errors.Is(err, offload.ErrDeadline) {
				t.Errorf("%s is silent, and the Move says %v", tt.fails, err)
			}
			synctest.Wait()
			if c.mu.Lock(); (c.standby != nil) != tt.stays || (next.released == 0) != tt.stays {
				t.Errorf("%s is silent: standby %v, candidate given back %d times", tt.fails, c.standby, next.released)
			}
			c.mu.Unlock()
			next.Reset()
		})
	}
}

// A watch that ends with a Move's context has reset the candidate's stream: it is given back, and is not the
// standby.
func TestCandidateWithoutStream(t *testing.T) {
	for _, tt := range []struct {
		step string
		take func(h *onHost[int64, int64], ctx context.Context) error
	}{
		{"replay", func(h *onHost[int64, int64], ctx context.Context) error { _, err := h.replay(ctx, 1); return err }},
		{"caught up", (*onHost[int64, int64]).caughtUp},
	} {
		synctest.Test(t, func(t *testing.T) {
			c, _, _ := answering(t, true, 0)
			candidate, st := at("b"), newFakeHost(nil)
			candidate.host, candidate.st, candidate.stop = newFakeHost(nil), st, func() {}
			candidate.alive, candidate.die = context.WithCancel(t.Context())
			candidate.sent.Messages = 100
			c.phase, c.candidate, c.spare = preparing, candidate, true
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			err := tt.take(&onHost[int64, int64]{Channel: c, a: candidate}, ctx)
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: %v, want the end of ctx", tt.step, err)
			}
			if c.endMove(); c.standby != nil || !st.wasReset() {
				t.Errorf("%s: the standby is %v, the stream was reset: %t", tt.step, c.standby, st.wasReset())
			}
		})
	}
}

// Where nothing is replayed, a host's state is that of the last message, or a lie.
func TestCopyOfAnotherMessage(t *testing.T) {
	c, _, _ := answering(t, false, 4)
	c.sent, c.delivered = 5, 5
	if err := c.copyTo(t.Context(), &onUE[int64, int64]{Channel: c}); !errors.Is(err, ErrPeer) {
		t.Errorf("the state as of message 4 after 5 were answered: %v, want ErrPeer", err)
	}
}

// How long a Move keeps senders waiting is told.
func TestSwitchIsTimed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := ownedBy(t, at("a"), Config{})
		c.phase = preparing
		var m move
		release, err := c.hold(t.Context(), &m)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		release()
		if m.blocked != time.Second {
			t.Errorf("the Move has blocked senders for %v, want 1s", m.blocked)
		}
	})
}

// A catch-up goes on while it gains on the senders, and not longer: they may be as fast.
func TestWhenACatchUpEnds(t *testing.T) {
	tests := []struct {
		why          string
		left, before uint64 // messages, after a round and before it
		want         bool
	}{
		{"none is left", 0, 100, true},
		{"few are left", feedRest, 100, true},
		{"the first round is to come", 1000, ^uint64(0), false},
		{"it gains", 50, 100, false},
		{"the senders are about as fast", 51, 100, true},
		{"the senders are faster", 200, 100, true},
	}
	for _, tt := range tests {
		if got := settled(tt.left, tt.before); got != tt.want {
			t.Errorf("%s, %d after %d: it ends: %t, want %t", tt.why, tt.left, tt.before, got, tt.want)
		}
	}
}

// A Move whose context ends before all messages are answered goes no further.
func TestDrainThatIsCutShort(t *testing.T) {
	c := ownedBy(t, at("a"), Config{})
	c.sent = 1
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.drain(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a message has no outcome, and the context has ended: %v, want its end", err)
	}
}

// In mode Latest the state that a Move copies may be behind what was delivered. No checkpoint is wanted for that.
func TestNoCheckpointForWhatWasDelivered(t *testing.T) {
	c, _, _ := answering(t, true, 3)
	c.cfg.Mode = Latest
	c.sent, c.delivered = 5, 5
	if err := c.copyTo(t.Context(), &onUE[int64, int64]{Channel: c}); err != nil {
		t.Fatal(err)
	}
	if got := c.saves.due(5, 1, true); got != notNow {
		t.Errorf("a checkpoint is due: %d, want %d", got, notNow)
	}
}
