package elastic_test

import (
	"context"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/elastic"
	"github.com/bungee-xr/bungee/internal/far"
	"github.com/bungee-xr/bungee/internal/far/native"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// Three late messages in a row make the host of a channel of mode Latest count as silent,
// and any number of late ones between others do not.
func TestLateMessagesInARow(t *testing.T) {
	inBoth(t, func(t *testing.T, w *world) {
		ep := hooked(true, func(_ context.Context, _ *sum, n int64) {
			if n%3 != 0 {
				time.Sleep(80 * time.Millisecond)
			}
		})
		a := w.host("a", func() (far.Endpoint, error) { return native.New(ep), nil })
		c := open(t, ep, elastic.Config{Mode: elastic.Latest, Deadline: 50 * time.Millisecond})
		move(t, c, a)
		for n := range int64(12) {
			send(t, c, n+1, 1)
			time.Sleep(200 * time.Millisecond)
		}
		wantAt(t, c, "a", 0)
		if s := c.Stats(); s.Late != 8 {
			t.Errorf("%d messages were late, want 8: %+v", s.Late, s)
		}
		for range 3 {
			send(t, c, 1, 1)
			time.Sleep(200 * time.Millisecond)
		}
		wantAt(t, c, "", 1)
	})
}

// A host that goes on saying that it has no such far endpoint, while its stream stays, is
// left after two seconds.
func TestHostThatSaysGone(t *testing.T) {
	inBoth(t, func(t *testing.T, w *world) {
		serve := far.NewServer(far.Config{
			Open: func(context.Context, offload.Digest, uint32) (far.Endpoint, error) { return nativeSum() },
		})
		defer serve.Close()
		a := w.host("a", nil)
		a.rude = func(typ wire.Type, st link.Stream) {
			if typ != wire.TypeSingle {
				serve.Serve(st.Context(), typ, st)
				return
			}
			st.Write(wire.AppendFail(nil, wire.Fail{Code: wire.CodeGone}))
			st.Close()
		}
		c := open(t, sums(true), elastic.Config{Mode: elastic.Latest, Deadline: time.Second})
		move(t, c, a)
		for n := range int64(15) {
			send(t, c, n+1, 1)
			time.Sleep(100 * time.Millisecond)
		}
		wantAt(t, c, "a", 0)
		for n := range int64(15) {
			send(t, c, n+16, 1)
			time.Sleep(100 * time.Millisecond)
		}
		wantAt(t, c, "", 1)
	})
}
