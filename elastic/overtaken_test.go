package elastic

import (
	"testing"

	"github.com/bungee-xr/bungee/internal/wire"
)

// A message that two hosts were silent about goes to the UE, not to a third host.
func TestSilentHostsAreTwoAtMost(t *testing.T) {
	for overran, want := range []int{1, 1, 0} {
		c, err := Open(echoes(), Config{})
		if err != nil {
			t.Fatal(err)
		}
		frame := make([]byte, wire.MessageHeader)
		lost := at("a")
		lost.lost = ErrLost
		c.mu.Lock()
		c.keepLocked(entry{frame: &frame, overran: uint8(overran)})
		c.phase, c.owner, c.standby = fenced, lost, at("b")
		c.mu.Unlock()
		if got := c.refuges(lost); len(got) != want {
			t.Errorf("a message that overran %d times may go to %v, want %d hosts", overran, got, want)
		}
		c.mu.Lock()
		c.owners = owners{}
		c.mu.Unlock()
		c.Close()
	}
}

// A Move that a recovery overtakes gives the turn back.
func TestOvertakenMoveGivesTheTurnBack(t *testing.T) {
	c, err := Open(echoes(), Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.hold(t.Context(), new(move)); err != errOvertaken { // no Move is under way
		t.Errorf("a Move that is over takes the turn: %v, want %v", err, errOvertaken)
	}
	if c.turn.held {
		t.Error("the turn is held, and no message can be sent")
	}
}
