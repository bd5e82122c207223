package elastic_test

import (
	"context"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/elastic"
)

// The host of the far endpoint is lost before, while and after a Move leaves it: the Move goes on from where the recovery has
// led, whatever that is.
func TestMoveFromAHostThatIsLost(t *testing.T) {
	tests := []struct {
		name    string
		standby bool // where the Move goes is the standby
	}{{"to another host", false}, {"to the standby", true}}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for late := range 12 { // ms after the loss, or before it
				inBoth(t, func(t *testing.T, w *world) {
					ep := sums(true)
					a, b := w.host("a", w.guests(ep)), w.host("b", w.guests(ep))
					conf := elastic.Config{}
					if tt.standby {
						conf.Standby = []elastic.Target{b}
					}
					c := open(t, ep, conf)
					move(t, c, a)
					pace(t, c, 1, 400, 5*time.Millisecond)
					time.Sleep(1500 * time.Millisecond)
					lost := make(chan struct{})
					time.AfterFunc(6*time.Millisecond, func() {
						a.stop()
						close(lost)
					})
					time.Sleep(time.Duration(late) * time.Millisecond)
					if err := c.Move(context.Background(), b); err != nil {
						t.Errorf("a Move begun %d ms after its host was lost: %v", late-6, err)
					}
					<-lost
					var want int64
					collect(t, c, &want, 1, 400, nil)
					if c.Where() != "b" {
						t.Errorf("the channel is at %q", c.Where())
					}
				})
			}
		})
	}
}
