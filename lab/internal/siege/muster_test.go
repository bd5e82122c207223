package siege

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// Attackers begin together when the last one has its connection; nobody waits for storms.
func TestMuster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMuster([]string{"spin", "pings", "spin", "handshakes"})
		began := make(chan time.Duration, 2)
		start := time.Now()
		for i, name := range []string{"spin", "spin"} {
			go func() {
				time.Sleep(time.Duration(i+1) * time.Second)
				m.enter(name)
				m.await(t.Context())
				began <- time.Since(start)
			}()
		}
		time.AfterFunc(3*time.Second, func() { m.enter("pings") })
		m.enter("handshakes")
		if missing := m.begin(t.Context()); len(missing) > 0 {
			t.Errorf("%v are missing", missing)
		}
		for range 2 {
			if d := <-began; d != 3*time.Second {
				t.Errorf("one has begun after %v, want when the last one was there", d)
			}
		}
	})
}

// Who does not get in is named, and does not keep the others waiting.
func TestMusterIsBounded(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	stop()
	m := newMuster([]string{"spin", "spin", "pings", "hog"})
	m.enter("spin")
	m.enter("hog")
	if got := m.begin(ctx); !slices.Equal(got, []string{"pings", "spin"}) {
		t.Errorf("%v are missing, want pings, and spin, of which one of two is there", got)
	}
	m.enter("spin") // late
	m.await(t.Context())
	if got := newMuster([]string{"handshakes", "initials"}).begin(t.Context()); len(got) > 0 {
		t.Errorf("%v are waited for", got)
	}
	(*muster)(nil).await(t.Context())
}

// Storms are attacks that exist.
func TestStorms(t *testing.T) {
	if err := Check(storms); err != nil {
		t.Error(err)
	}
}
