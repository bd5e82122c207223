package ue_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bungee-xr/bungee/handler/ue"
	"github.com/bungee-xr/bungee/handler/ue/policy"
)

// A spy keeps the views that it plans on, and places calls like another policy.
type spy struct {
	policy.Policy
	mu    *sync.Mutex
	views *[]*policy.View
}

func newSpy(p policy.Policy) spy { return spy{p, &sync.Mutex{}, new([]*policy.View)} }

func (s spy) Plan(v *policy.View) []policy.Standing {
	s.mu.Lock()
	defer s.mu.Unlock()
	*s.views = append(*s.views, v)
	if p, ok := s.Policy.(policy.Planner); ok {
		return p.Plan(v)
	}
	return nil
}

func (s spy) all() []*policy.View {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(*s.views)
}

func (s spy) last() *policy.View {
	all := s.all()
	return all[len(all)-1]
}

// The view tells what calls take at both places, how far the host is, and how many calls there are; there are at most 20 a
// second, and none while nothing is called.
func TestView(t *testing.T) {
	inBoth(t, func(t *testing.T, w *world) {
		f := worker("viewed", true)
		w.engine.set(func(ctx context.Context, req, dst []byte) []byte {
			time.Sleep(8 * time.Millisecond)
			return doubler("", true, double).Serve(ctx, req, dst)
		}, nil)
		w.startHost(nil)
		s := newSpy(policy.Toggle{Every: 20})
		h := w.startUE(s, nil)
		w.ready(h, &f.Desc)
		begin := time.Now()
		for n := range int64(120) {
			if got, err := f.Call(t.Context(), n); got != 2*n || err != nil {
				t.Fatalf("call %d: %d, %v", n, got, err)
			}
			time.Sleep(30 * time.Millisecond)
		}
		synctest.Wait()
		if n, most := len(s.all()), int(time.Since(begin)/(50*time.Millisecond))+20; n > most || n < most/2 {
			t.Errorf("%d views in %v, want at most %d", n, time.Since(begin), most)
		}
		time.Sleep(51 * time.Millisecond)
		if h.View() != s.last() {
			t.Errorf("the view is of %v; want that of %v", h.View().At, s.last().At)
		}
		v := s.last()
		got := v.Functions[0]
		if here, there := got.UE.Latency.Or(0), got.Edge.Latency.Or(0); here != work || there != 18*time.Millisecond {
			t.Errorf("%v here, %v there; want %v and 18ms", here, there, work)
		}
		if run, up := got.Edge.Run.Or(0), got.Edge.Up.Or(0); run != 8*time.Millisecond || up < 40 {
			t.Errorf("run %v, %v bytes up", run, up)
		}
		if rate := got.Rate.Or(0); rate < 15 || rate > 25 {
			t.Errorf("%.1f calls a second, want 20", rate)
		}
		if rtt := v.Link.RTT.Or(0); !w.tcp && (rtt < 2*oneWay || rtt > 3*oneWay) { // TCP of tests has no RTT
			t.Errorf("RTT %v, want %v", rtt, 2*oneWay)
		}
		if len(v.Hosts) != 1 || !v.Hosts[0].Ready || v.Hosts[0].Name != "edge-1" || !got.Idempotent || got.Require.Latency != deadline {
			t.Errorf("hosts %+v, function %+v", v.Hosts, got)
		}
		time.Sleep(time.Minute)
		before := len(s.all())
		time.Sleep(time.Hour)
		if n := len(s.all()) - before; n != 0 {
			t.Errorf("%d views in an hour without a call", n)
		}
		f.Call(t.Context(), 1)
		time.Sleep(200 * time.Millisecond)
		if len(s.all()) == before {
			t.Error("a call does not wake the viewer")
		}
	})
}

// What is required holds from the next view on, and what cannot be met is said at once, with which one.
func TestRequire(t *testing.T) {
	inBoth(t, func(t *testing.T, w *world) {
		f := worker("required", true)
		w.engine.set(doubler("", true, double).Serve, nil)
		w.startHost(nil)
		s := newSpy(policy.Toggle{Every: 10})
		h := w.startUE(s, nil)
		w.ready(h, &f.Desc)
		for n := range int64(40) {
			f.Call(t.Context(), n)
			time.Sleep(20 * time.Millisecond)
		}
		if err := h.Require(&f.Desc, policy.Requirements{Latency: 30 * time.Millisecond}); err != nil {
			t.Errorf("30 ms can be met: %v", err)
		}
		synctest.Wait()
		if got := s.last().Functions[0].Require.Latency; got != 30*time.Millisecond {
			t.Errorf("the view requires %v", got)
		}
		err := h.Require(&f.Desc, policy.Requirements{Latency: time.Millisecond})
		var u *ue.UnmetError
		if !errors.As(err, &u) || u.Which != "latency" || !strings.Contains(err.Error(), "10ms is the best there is") {
			t.Errorf("1 ms: %v; want that 10 ms is the best", err)
		}
		for _, bad := range []policy.Requirements{{Latency: -1}, {Rate: -1}, {Price: -1}, {Energy: 77}} {
			if err := h.Require(&f.Desc, bad); err == nil {
				t.Errorf("%+v is taken", bad)
			}
		}
		h.SetPolicy(policy.Always(policy.OnEdge))
		h.Require(&f.Desc, policy.Requirements{Private: true})
		before := h.Stats().Edge
		for n := range int64(20) {
			f.Call(t.Context(), n)
		}
		if n := h.Stats().Edge - before; n != 0 {
			t.Errorf("%d calls with private data left the device", n)
		}
	})
}

// A policy that panics, or always moves, is replaced; calls go on.
func TestBadPolicyIsReplaced(t *testing.T) {
	inBoth(t, func(t *testing.T, w *world) {
		f := doubler("replaced", true, double)
		w.engine.set(f.Serve, nil)
		w.startHost(nil)
		for _, p := range []policy.Policy{policy.Toggle{Every: 1}, panics{}} {
			h := w.startUE(p, nil)
			w.ready(h, &f.Desc)
			for n := range int64(100) {
				if got, err := f.Call(t.Context(), n); got != 2*n || err != nil {
					t.Fatalf("call %d: %d, %v", n, got, err)
				}
			}
			edge := h.Stats().Edge
			for n := range int64(50) {
				f.Call(t.Context(), n)
			}
			if s := h.Stats(); s.Edge != edge {
				t.Errorf("%T: it still decides: %+v", p, s)
			}
			h.Close()
		}
	})
}

// panics is a policy whose plan panics.
type panics struct{ policy.WhenReady }

func (panics) Plan(*policy.View) []policy.Standing { panic("no plan") }

// The application encodes what the link carries in time.
func TestFidelity(t *testing.T) {
	inBoth(t, func(t *testing.T, w *world) {
		f := worker("fine", true)
		h := w.startUE(byLevel{}, nil)
		levels := []policy.Level{{Quality: 90, Size: 1}, {Quality: 60, Size: 1}, {Quality: 40, Size: 0.5}}
		if l, n := h.Fidelity(&f.Desc); n != 0 || l.Size != 1 {
			t.Errorf("a function without levels: %+v, %d", l, n)
		}
		if err := h.SetLevels(&f.Desc, levels); err != nil {
			t.Fatal(err)
		}
		if l, n := h.Fidelity(&f.Desc); n != 2 || l != levels[2] {
			t.Errorf("level %d, %+v; want the last", n, l)
		}
		for _, bad := range [][]policy.Level{{{Quality: 101}}, {{Size: 2}}, {{Quality: 1, Size: 0.1}, {Quality: 90, Size: 1}}, make([]policy.Level, 17)} {
			if err := h.SetLevels(&f.Desc, bad); err == nil {
				t.Errorf("%+v are taken", bad)
			}
		}
		for n := range int64(5) {
			h.Fidelity(&f.Desc)
			f.Call(t.Context(), n)
		}
		time.Sleep(100 * time.Millisecond)
		if n := testing.AllocsPerRun(100, func() { h.Fidelity(&f.Desc) }); n != 0 {
			t.Errorf("%v allocations", n)
		}
	})
}

// byLevel asks for level 7.
type byLevel struct{ policy.WhenReady }

func (byLevel) Decide(policy.Call, *policy.View) policy.Decision {
	return policy.Decision{Fidelity: 7}
}
