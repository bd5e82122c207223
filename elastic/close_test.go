package elastic_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/bungee-xr/bungee/elastic"
)

// Close gives up the message that is being handled on the UE: that its Handle was told to end is
// no outcome.
func TestCloseGivesUpTheMessageUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ep := hooked(true, func(ctx context.Context, _ *sum, n int64) {
			if n == 2 {
				<-ctx.Done()
			}
		})
		c := open(t, ep, elastic.Config{})
		var want int64
		send(t, c, 1, 1)
		sent := make(chan error, 1)
		go func() { sent <- c.Send(t.Context(), 2) }()
		synctest.Wait()
		c.Close()
		if err := <-sent; !errors.Is(err, elastic.ErrClosed) {
			t.Errorf("send of the message under way: %v, want ErrClosed", err)
		}
		expect(t, c, &want, 1, 1)
		if r, err := c.Recv(t.Context()); !errors.Is(err, elastic.ErrClosed) {
			t.Errorf("after Close: %+v, %v; want ErrClosed", r, err)
		}
	})
}
