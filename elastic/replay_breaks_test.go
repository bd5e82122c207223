package elastic

import (
	"errors"
	"testing"

	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// A guest that breaks in a quiet replay, over a message that another place has handled, is
// no good: its host is left. One that breaks over what broke others is as good as they are.
func TestGuestThatBreaksInAReplay(t *testing.T) {
	for _, broke := range []bool{false, true} {
		c, err := Open(echoes(), Config{})
		if err != nil {
			t.Fatal(err)
		}
		frame := make([]byte, wire.MessageHeader)
		a := at("a")
		c.mu.Lock()
		for range 4 {
			c.keepLocked(entry{frame: &frame})
		}
		c.delivered, c.owner, a.next = 3, a, 4
		c.log.at(2).broke = broke
		c.mu.Unlock()
		why := c.mode.broke(a, wire.Halt{Seq: 2, Fail: wire.Fail{Code: offload.CodeTrapped, Started: true}})
		if same := errors.As(why, new(*brokenError)); same != broke {
			t.Errorf("a message that broke others (%t) breaks a replay: the host is tried again: %t, because of %v", broke, same, why)
		}
		c.mu.Lock()
		c.owner = nil
		c.mu.Unlock()
		c.Close()
	}
}
