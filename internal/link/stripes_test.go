package link_test

import (
	"context"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/radio"
)

// stripesEnv asks for the measurement of TestStripes.
const stripesEnv = "BUNGEE_STRIPES"

// The load that TestStripes offers: 24 Mbit/s over a link of 60, with 10 ms
// there and back.
const (
	frameSize  = 100_000
	frameRate  = 30
	frameCount = 900
	inTime     = 100 * time.Millisecond
)

// TestStripes measures how many connections a UE needs on a lossy link: the
// share of frames that is answered in time.
func TestStripes(t *testing.T) {
	if os.Getenv(stripesEnv) == "" {
		t.Skip("a measurement; run it with " + stripesEnv + "=1 go test -v -run TestStripes ./internal/link")
	}
	for _, loss := range []float64{0, 0.002, 0.01, 0.02} {
		for _, n := range []int{1, 2, 4, 6, 8} {
			t.Logf("loss %.1f %%, %d connections, %% in time: %5.1f each frame on the next of them, %5.1f on the one with the fewest under way, %5.1f divided among them",
				100*loss, n, 100*stripe(t, loss, n, next), 100*stripe(t, loss, n, idlest), 100*stripe(t, loss, n, all))
		}
	}
}

// A chooser says which connections take the n-th frame, each a part of it.
type chooser func(conns []*stripeConn, n int) []*stripeConn

// A stripeConn is a connection and how many frames are under way on it.
type stripeConn struct {
	*link.Conn
	busy atomic.Int64
}

func next(conns []*stripeConn, n int) []*stripeConn {
	n %= len(conns)
	return conns[n : n+1]
}

func idlest(conns []*stripeConn, n int) []*stripeConn {
	best := next(conns, n)
	for i := range conns {
		if c := next(conns, n+i); c[0].busy.Load() < best[0].busy.Load() {
			best = c
		}
	}
	return best
}

func all(conns []*stripeConn, _ int) []*stripeConn { return conns }

// stripe returns the share of frames that are answered in time over a number of
// connections.
func stripe(t *testing.T, loss float64, connections int, choose chooser) float64 {
	var good atomic.Int64
	inWorld(t, func(t *testing.T, w *world) {
		w.air.OneWay, w.air.Seed = 5*time.Millisecond, 1
		conns := w.dialStripes(t, connections)
		w.air.Set(nil, nil, radio.Faults{Loss: loss, Rate: 60e6})
		var frames sync.WaitGroup
		tick := time.NewTicker(time.Second / frameRate)
		defer tick.Stop()
		for n := range frameCount {
			<-tick.C
			frames.Go(func() {
				begin := time.Now()
				on := choose(conns, n)
				var parts sync.WaitGroup
				for _, c := range on {
					c.busy.Add(1)
					parts.Go(func() { request(c.Conn, frameSize/len(on)); c.busy.Add(-1) })
				}
				parts.Wait()
				if time.Since(begin) <= inTime {
					good.Add(1)
				}
			})
		}
		frames.Wait()
	})
	return float64(good.Load()) / frameCount
}

func (w *world) dialStripes(t *testing.T, n int) (conns []*stripeConn) {
	t.Helper()
	for i := range n {
		addr := *ueAddr
		addr.Port += i
		ue, host := w.dial(t, w.air.Endpoint(&addr))
		go answer(host)
		conns = append(conns, &stripeConn{Conn: ue})
	}
	return conns
}

// request sends size bytes on a stream of their own and waits for the answer.
func request(ue *link.Conn, size int) {
	st, err := ue.Open(context.Background())
	if err != nil {
		return
	}
	st.SetPriority(link.Urgency(0), false)
	st.Write(make([]byte, size))
	st.Close()
	io.Copy(io.Discard, st)
}

// answer answers each stream with 1,000 bytes once it has been read.
func answer(host *link.Conn) {
	for {
		st, err := host.Accept(context.Background())
		if err != nil {
			return
		}
		go func() {
			io.Copy(io.Discard, st)
			st.Write(make([]byte, 1000))
			st.Close()
		}()
	}
}
