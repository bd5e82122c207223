package elastic

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"testing/synctest"

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
