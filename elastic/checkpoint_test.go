package elastic

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// What comes late of a checkpoint, from a host that is not the owner any longer, changes nothing.
func TestCheckpointOfAnEarlierOwner(t *testing.T) {
	late := []struct {
		what string
		err  error
	}{
		{"a state", nil},
		{"a failure", &wire.Fail{Code: offload.CodeTooLarge}},
		{"that it is gone", &wire.Fail{Code: wire.CodeGone}},
		{"nonsense", fmt.Errorf("%w: nonsense", ErrPeer)},
	}
	a, b := at("a"), at("b")
	roles := []struct {
		name string
		state
	}{
		{"has no role", state{owners: owners{owner: b}}},
		{"has messages of before left to answer", state{owners: owners{owner: b, old: a}, oldLast: 9}},
		{"is lost, and the next owner is looked for", state{phase: fenced, owners: owners{owner: a}}},
	}
	for _, from := range roles {
		for _, of := range late {
			c, err := Open(echoes(), Config{})
			if err != nil {
				t.Fatal(err)
			}
			c.mu.Lock()
			c.state = from.state
			c.sent, c.delivered = 10, 8
			c.saves.reset(checkpoint{seq: 3}, 3)
			c.saves.begin() // another one is under way
			c.mu.Unlock()
			standby, err := c.saved(a, checkpoint{seq: 5}, 5, of.err)
			if standby != nil || err != nil || c.saves.phase != taking || c.saves.last.seq != 3 || c.Stats() != (Stats{Sent: 10, Delivered: 8}) {
				t.Errorf("%s comes from one that %s: standby %v, error %v, checkpoints in phase %d, the last one of message %d, %+v; want nothing changed, phase %d and message 3",
					of.what, from.name, standby, err, c.saves.phase, c.saves.last.seq, c.Stats(), taking)
			}
			c.mu.Lock()
			c.state = state{}
			c.mu.Unlock()
			c.Close()
		}
	}
}

// standbyAt opens a channel whose standby is at h, of which nothing is read.
func standbyAt(t *testing.T, h *fakeHost) (*Channel[int64, int64], *attachment) {
	c, err := Open(echoes(), Config{})
	if err != nil {
		t.Fatal(err)
	}
	a := at("a")
	a.host, a.st, a.writing, a.giving = h, newFakeHost(nil), newLock(), newLock()
	a.alive, a.die = context.WithCancel(t.Context())
	c.owner, c.standby = at("owner"), a
	t.Cleanup(func() {
		a.die()
		c.owners = owners{}
		c.Close()
	})
	return c, a
}

// states are the answers to Snapshots that ask for the state as of a message each.
func states(seqs ...uint64) (answers []byte) {
	for _, seq := range seqs {
		answers = wire.AppendState(answers, wire.TypeState, wire.State{Seq: seq})
	}
	return answers
}

// A Snapshot goes out on a stream of its own: it waits until the host has told that it has the
// state, or it would ask for the one before.
func TestSnapshotWaitsForTheRestore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newFakeHost(states(7))
		asked := false
		h.writing = func([]byte) { asked = true }
		c, a := standbyAt(t, h)
		go c.give(t.Context(), a, checkpoint{seq: 7})
		synctest.Wait()
		came := make(chan error, 1)
		go func() {
			_, err := c.snapshot(t.Context(), a)
			came <- err
		}()
		synctest.Wait()
		if asked {
			t.Error("a Snapshot has gone out, and the host has not told that it restored the state")
		}
		if err := c.credited(a, wire.Credit{}); err != nil {
			t.Fatal(err)
		}
		if err := <-came; err != nil || !asked {
			t.Errorf("after the host has told: asked %t, error %v; want the state", asked, err)
		}
	})
}

// A Restore makes the host forget what it sent before: a Snapshot after it does not name that.
func TestSnapshotAfterARestoreKnowsNoState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked bytes.Buffer
		h := newFakeHost(states(4, 5, 9))
		h.writing = func(b []byte) { asked.Write(b) }
		c, a := standbyAt(t, h)
		have := func() uint64 {
			asked.Reset()
			if _, err := c.snapshot(t.Context(), a); err != nil {
				t.Fatal(err)
			}
			asked.Next(1) // the type
			s, err := wire.ReadSnapshot(&asked)
			if err != nil {
				t.Fatal(err)
			}
			return s.Have
		}
		if first, second := have(), have(); first != wire.NoState || second != 4 {
			t.Errorf("the first Snapshots have %d and %d, want NoState and 4", first, second)
		}
		go c.give(t.Context(), a, checkpoint{seq: 7})
		synctest.Wait()
		if err := c.credited(a, wire.Credit{}); err != nil {
			t.Fatal(err)
		}
		if got := have(); got != wire.NoState {
			t.Errorf("the Snapshot after a Restore has the state of message %d, want NoState", got)
		}
	})
}

// What the end of a checkpoint leaves: whether another one is to be taken, though no further message comes.
func TestEndOfACheckpoint(t *testing.T) {
	tests := []struct {
		why  string
		mode Mode
		k    checkpoint
		err  error
		want savePhase
		next bool // one is to be taken
	}{
		{"all is in it", Ordered, checkpoint{seq: 7}, nil, idle, false},
		{"messages were delivered meanwhile", Ordered, checkpoint{seq: 5}, nil, idle, true},
		{"the state is behind what owners before have delivered", Latest, checkpoint{seq: 2}, nil, idle, false},
		{"the host has no such far endpoint", Ordered, checkpoint{}, &wire.Fail{Code: wire.CodeGone}, idle, true},
		{"it cannot be had", Ordered, checkpoint{}, &wire.Fail{Code: offload.CodeTooLarge}, resting, true},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			a := at("a")
			c := ownedBy(t, a, Config{Mode: tt.mode})
			c.sent, c.delivered = 7, 7
			c.saves.begin()
			asked := uint64(5)
			if tt.mode == Latest {
				asked = 7
			}
			if _, err := c.saved(a, tt.k, asked, tt.err); err != nil {
				t.Fatal(err)
			}
			if c.saves.phase != tt.want || c.save.on != tt.next {
				t.Errorf("%s: phase %d, another one is to be taken: %t; want %d, %t", tt.why, c.saves.phase, c.save.on, tt.want, tt.next)
			}
		})
	}
}

// No honest host has a state of before the last checkpoint, or of a message that was not sent.
func TestStateOfAnImpossibleMessage(t *testing.T) {
	for seq, want := range map[uint64]error{5: ErrPeer, 6: nil, 7: nil, 8: ErrPeer} {
		a := at("a")
		c := ownedBy(t, a, Config{CheckpointInterval: time.Hour})
		c.sent, c.delivered = 7, 6
		c.saves.reset(checkpoint{seq: 6}, 6)
		if _, err := c.saved(a, checkpoint{seq: seq}, 6, nil); !errors.Is(err, want) {
			t.Errorf("the state as of message %d, after that of 6 and with 7 sent: %v, want %v", seq, err, want)
		}
	}
}

// A log whose bytes are half used is a reason for a checkpoint at once: Send would wait for it.
func TestCheckpointOfAHalfFullLog(t *testing.T) {
	for more, want := range []savePhase{idle, taking} {
		synctest.Test(t, func(t *testing.T) {
			c, _, _ := answering(t, true, 1)
			c.mu.Lock()
			c.sent, c.delivered = 1, 1
			c.log.bytes = c.cfg.WindowBytes/2 + more
			c.wantSaveLocked()
			if c.saves.phase != want {
				t.Errorf("half of the bytes and %d are used: checkpoints are in phase %d, want %d", more, c.saves.phase, want)
			}
			c.mu.Unlock()
			synctest.Wait()
		})
	}
}

// A standby that does not tell that it has the state is none.
func TestStandbyThatIsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, a := standbyAt(t, newFakeHost(nil))
		a.stop = func() {}
		c.refresh(a)
		if c.standby != nil || c.rests.over(a.target, time.Now()) {
			t.Error("the standby stays, or is tried again at once")
		}
	})
}

// A standby that has the state makes up for failures of its host.
func TestStandbyThatServes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, a := standbyAt(t, newFakeHost(nil))
		c.rests.failed(a.target, time.Now())
		go c.refresh(a)
		synctest.Wait()
		if err := c.credited(a, wire.Credit{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if !c.rests.over(a.target, time.Now()) {
			t.Error("the standby has the state, and its host rests")
		}
	})
}
