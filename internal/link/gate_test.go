package link

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
)

func TestGate(t *testing.T) {
	const ms = time.Millisecond
	begin := time.Now()
	tests := []struct {
		name  string
		every time.Duration
		n     int // in all, all at that pace
		let   int // of them
	}{
		{"what UEs do", 20 * ms, 500, 500},
		{"the most", 10 * ms, 1000, 1000},
		{"a burst", 0, 100, 100},
		{"a greater one", 0, 150, 100},
		{"a flood of ten seconds lets the first in", ms / 10, 100_000, 100},
	}
	for _, tt := range tests {
		g := newGate(slog.New(slog.DiscardHandler), newHandshakes())
		let, floods := 0, 0
		for i := range tt.n {
			ok, begins := g.admit(begin.Add(time.Duration(i) * tt.every))
			if ok {
				let++
			}
			if begins {
				floods++
			}
		}
		if let != tt.let || floods > 1 {
			t.Errorf("%s: %d of %d were let in, want %d; %d floods began", tt.name, let, tt.n, tt.let, floods)
		}
		if ok, _ := g.admit(begin.Add(time.Hour)); !ok {
			t.Errorf("%s: an hour later none is let in", tt.name)
		}
	}
}

// A handshake waits while quic-go has as many Retries as it keeps, but not for one that never goes out.
func TestGateWaitsForRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, begin := newGate(slog.New(slog.DiscardHandler), newHandshakes()), time.Now()
		waited := func() time.Duration {
			begin = time.Now()
			if g.await(); time.Since(begin) > retryPatience {
				t.Errorf("it waited for %v", time.Since(begin))
			}
			return time.Since(begin)
		}
		for i := range mostRetries {
			if d := waited(); d > 0 {
				t.Errorf("Retry %d waits for %v", i, d)
			}
		}
		if d := waited(); d != retryPatience {
			t.Errorf("with none sent it waits for %v, want %v", d, retryPatience)
		}
		for _, packet := range [][]byte{nil, {0x40}, {0xc0}, {0xd0}, {0xe0}} { // none is a Retry
			g.sent(packet)
		}
		time.AfterFunc(retryPatience/2, func() { g.sent([]byte{0xff}) })
		if d := waited(); d != retryPatience/2 {
			t.Errorf("with one sent after %v it waits for %v", retryPatience/2, d)
		}
	})
}
