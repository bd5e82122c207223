package elastic_test

import (
	"testing"
	"time"

	"github.com/bungee-xr/bungee/elastic"
	"github.com/bungee-xr/bungee/internal/far"
	"github.com/bungee-xr/bungee/internal/far/native"
)

// What a recovery promises besides the outcomes.

// A recovery on the UE keeps to the window: it waits for Recv as a host's outcomes do.
func TestRecoveryOnTheUEWaitsForRecv(t *testing.T) {
	inBoth(t, func(t *testing.T, w *world) {
		const window, answered, all = 16, 8, 30
		free := make(chan struct{})
		defer close(free)
		a := w.host("a", w.guests(hooked(true, sticks(free, answered+1))))
		c := open(t, sums(true), elastic.Config{Window: window})
		move(t, c, a)
		go send(t, c, 1, all)
		time.Sleep(time.Second)
		if s := c.Stats(); s.Waiting != answered || s.Sent != answered+window {
			t.Fatalf("%+v, want %d results that wait and %d messages without an outcome", s, answered, window)
		}
		go a.stop()
		time.Sleep(time.Second)
		if s := c.Stats(); c.Where() != "" || s.Waiting != window { // each message has one result
			t.Errorf("at %q %d results wait for Recv, want the window of %d on the UE: %+v", c.Where(), s.Waiting, window, s)
		}
		var want int64
		collect(t, c, &want, 1, all, nil)
		wantAt(t, c, "", 1)
	})
}

// The host that gets a message which was late once has the time to stop it, and to tell. It
// is then the message that is to blame, and the host is not left.
func TestSecondHostCanTellThatItStoppedAMessage(t *testing.T) {
	inBoth(t, func(t *testing.T, w *world) {
		free := make(chan struct{})
		defer close(free)
		stuck := hooked(true, sticks(free, 5))
		silent := w.host("silent", func() (far.Endpoint, error) { return native.New(stuck), nil })
		tells := w.host("tells", w.guests(stuck))
		c := open(t, sums(true), elastic.Config{Deadline: 100 * time.Millisecond, Standby: []elastic.Target{silent, tells}})
		ready := await(t, c, elastic.StandbyReady)
		move(t, c, silent)
		<-ready
		go send(t, c, 1, 10)
		var want int64
		collect(t, c, &want, 1, 10, overran(5))
		wantAt(t, c, "tells", 1)
	})
}
