package elastic

import (
	"fmt"
	"testing"

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
