package ue_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/handler/ue"
	"github.com/bungee-xr/bungee/handler/ue/policy"
	"github.com/bungee-xr/bungee/offload"
	"github.com/bungee-xr/bungee/offload/codegen"
)

// hedging offloads what the host can take, and has the UE begin it, too, after a while.
type hedging time.Duration

func (p hedging) Decide(c policy.Call, v *policy.View) policy.Decision {
	d := policy.WhenReady{}.Decide(c, v)
	d.Hedge = time.Duration(p)
	return d
}

// work is what a call takes on the UE, and the deadline three times as much.
const (
	work     = 20 * time.Millisecond
	deadline = 3 * work
	margin   = 5 * time.Millisecond
)

// worker is a doubler that takes its time on the UE.
func worker(name string, idempotent bool) (f *codegen.Func[int64, int64]) {
	f = doubler(name, idempotent, func(ctx context.Context, n int64) (int64, error) {
		select {
		case <-time.After(work):
			return 2 * n, nil
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	})
	f.Deadline = deadline
	return f
}

// A host that freezes in mid-run costs no call its deadline, and is asked by few.
func TestFrozenHostStallsNobody(t *testing.T) {
	inBoth(t, func(t *testing.T, w *world) {
		f := worker("frozen", true)
		w.engine.set(doubler("", true, double).Serve, nil)
		w.startHost(nil)
		h := w.startUE(hedging(deadline-work-margin), nil)
		w.ready(h, &f.Desc)
		var took []time.Duration
		asked := 0
		for n := range int64(300) {
			if n == 100 {
				w.air.Silence(true)
			}
			begin := time.Now()
			var tr offload.Trace
			got, err := f.Call(offload.WithTrace(t.Context(), &tr), n)
			if got != 2*n || err != nil {
				t.Fatalf("call %d: %d, %v", n, got, err)
			}
			if tr.Hedged {
				asked++
			}
			took = append(took, time.Since(begin))
			time.Sleep(66*time.Millisecond - time.Since(begin)) // 15 frames a second
		}
		worst := slices.Max(took)
		if worst > deadline+margin || asked > 3 || asked == 0 {
			t.Errorf("the longest call took %v, and %d calls asked the frozen host; want %v and 1 to 3", worst, asked, deadline+margin)
		}
		s := h.Stats()
		t.Logf("worst %v, hedged %d, overtaken %d, wasted %v", worst, s.Hedged, s.Overtaken, s.Wasted)
		if s.Hedged != uint64(asked) || s.Overtaken != s.Hedged || s.Wasted == 0 {
			t.Errorf("%+v; want %d hedged calls", s, asked)
		}
		w.air.Silence(false)
	})
}

// Hedging has an allowance: a host that is always a little later than the hedge is not worth it.
func TestHedgedWorkIsBounded(t *testing.T) {
	inBoth(t, func(t *testing.T, w *world) {
		f := worker("steady", true)
		w.engine.set(func(ctx context.Context, req, dst []byte) []byte {
			time.Sleep(10 * time.Millisecond)
			return f.Serve(ctx, req, dst)
		}, nil)
		w.startHost(nil)
		for _, tt := range []struct {
			name  string
			hedge time.Duration
			most  uint64
		}{
			{"the host is earlier", 50 * time.Millisecond, 0},
			{"the host is later, and first", 35 * time.Millisecond, 20 + 3}, // 10 ms on the way, 10 and 20 of work
		} {
			h := w.startUE(hedging(tt.hedge), nil)
			w.ready(h, &f.Desc)
			for n := range int64(400) {
				if got, err := f.Call(t.Context(), n); got != 2*n || err != nil {
					t.Fatalf("%s: call %d: %d, %v", tt.name, n, got, err)
				}
			}
			s := h.Stats()
			t.Logf("%s: %d of %d calls hedged", tt.name, s.Hedged, s.Calls)
			if s.Edge != 400 || s.Hedged > tt.most || tt.most > 0 && s.Hedged < 20 {
				t.Errorf("%s: %d of 400 calls on the edge, %d hedged; want at most %d", tt.name, s.Edge, s.Hedged, tt.most)
			}
			h.Close()
		}
	})
}

// A function that must not run twice waits for its deadline, and one that several hosts compare is not replaced by one answer.
func TestWhatIsNeverHedged(t *testing.T) {
	inBoth(t, func(t *testing.T, w *world) {
		f := worker("once", false)
		g := worker("compared", true)
		g.Redundancy = 2
		slow := func(ctx context.Context, req, dst []byte) []byte {
			time.Sleep(40 * time.Millisecond)
			return doubler("", true, double).Serve(ctx, req, dst)
		}
		w.engine.set(slow, nil)
		w.startHost(nil)
		b := w.start("edge-2", hostAddrB, nil)
		defer b.stop()
		h := w.startUEWith(ue.Config{Edge: hostAddr.String(), Others: []string{hostAddrB.String()}, Policy: hedging(time.Millisecond)})
		for _, f := range []*codegen.Func[int64, int64]{f, g} {
			w.ready(h, &f.Desc)
			begin := time.Now()
			if got, err := f.Call(t.Context(), 4); got != 8 || err != nil {
				t.Errorf("%s: %d, %v after %v", f.Name, got, err, time.Since(begin))
			}
		}
		if s := h.Stats(); s.Hedged != 0 || s.Edge != 2 {
			t.Errorf("%+v; want 2 calls on the edge, none hedged", s)
		}
		h.Close()
	})
}
