package elastic

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// A message that was to be recorded for a Move which has failed meanwhile gets its number all the same.
func TestMessageAfterARecordingMove(t *testing.T) {
	c, err := Open(echoes(), Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.turn.held, c.sent, c.delivered = true, 5, 5
	if err := c.mode.(ordered[int64, int64]).handleRecorded(&Message[int64]{Value: 1}); err != nil {
		t.Fatal(err)
	}
	if r, err := c.Recv(t.Context()); err != nil || r.Seq != 6 || c.log.len() != 0 {
		t.Errorf("after message 5 comes %+v, %v, and %d messages are kept; want message 6, and none", r, err, c.log.len())
	}
}

// What a message took on the UE is noted: a host may take as much longer to replay it.
func TestWorkOnTheUEIsNoted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ep := echoes()
		live := ep.New()
		handle := live.Handle
		live.Handle = func(ctx context.Context, n int64, emit func(int64) error) error {
			time.Sleep(time.Second)
			return handle(ctx, n, emit)
		}
		c, err := Open(ep, Config{})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.here = c.native(live)
		c.log.recording = true
		if err := c.Send(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		if got := c.log.work(1, 1); got != time.Second {
			t.Errorf("a message that took 1s is noted with %v", got)
		}
	})
}

// A far endpoint on the UE that cannot be built anew ends the channel, unless the Move that recorded for that
// has failed: then nobody has said that it can be.
func TestFarEndpointThatCannotBeRebuilt(t *testing.T) {
	for _, recording := range []bool{true, false} {
		c, err := Open(echoes(), Config{})
		if err != nil {
			t.Fatal(err)
		}
		c.sent, c.log.recording = 5, recording // no message is kept
		c.rebuild()
		if got := c.phase == ended; got != recording {
			t.Errorf("a Move is under way: %t; the channel has ended: %t", recording, got)
		}
		c.Close()
	}
}

// Once the UE has taken over, the hosts that were lost in vain before do not count.
func TestUEServes(t *testing.T) {
	lost := at("a")
	lost.lost = ErrLost
	c := ownedBy(t, lost, Config{})
	c.phase, c.rests.vain = fenced, mostVain
	if err := (&onUE[int64, int64]{c, c.native(c.ep.New())}).lead(1); err != nil {
		t.Fatal(err)
	}
	if c.rests.vain != 0 {
		t.Errorf("%d owners count as lost in vain", c.rests.vain)
	}
}
