package host

import (
	"crypto/tls"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/native"
)

func idle(t testing.TB) *Handler {
	t.Helper()
	h, err := New(Config{Engine: native.Engine{}, TLS: &tls.Config{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

// However many tenants come, and whatever they are called, so many are told by name, and the rest in one.
func TestTenantsAreFolded(t *testing.T) {
	for _, tt := range []struct {
		name, why string
		called    func(i int) string
		named     int
	}{
		{"short", "so many may have a name", func(i int) string { return fmt.Sprint("t", i) }, maxNamed},
		{"long", "names may be so long together", func(i int) string { return fmt.Sprintf("%0256d", i) }, maxNamedBytes / 256},
		{"other", "the name of the rest is nobody's", func(i int) string { return Other + strings.Repeat("x", i%2) }, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := idle(t)
			var all []*tenant
			for i := range 2 * maxNamed {
				all = append(all, h.enter(tt.called(i)))
			}
			told := h.Monitored()
			if n := len(told) - 1; n != tt.named || told[n].Name != Other {
				t.Errorf("%d tenants by name, the last is %q; want %d and the rest: %s", n, told[len(told)-1].Name, tt.named, tt.why)
			}
			for _, one := range all {
				h.leave(one)
			}
			if told := h.Monitored(); len(told) != 1 || h.names.count != 0 || h.names.bytes != 0 {
				t.Errorf("when all have left, %d are told and %+v is kept", len(told), h.names)
			}
		})
	}
}

// The counts of the rest are those of all who have been in it, and never become less; a tenant keeps its
// name when others leave, and one that has none gets none.
func TestRestNeverBecomesLess(t *testing.T) {
	h := idle(t)
	var named []*tenant
	for i := range maxNamed {
		named = append(named, h.enter(fmt.Sprint("t", i)))
	}
	var calls uint64
	rest := func() TenantStats {
		t.Helper()
		told := h.Monitored()
		sum := told[len(told)-1]
		if sum.Bill.Calls != calls {
			t.Errorf("%d calls of the rest, want %d", sum.Bill.Calls, calls)
		}
		return sum
	}
	for i := range 5 {
		late := h.enter(fmt.Sprint("late", i))
		late.Charge(executor.Bill{Calls: 7})
		late.ended.PacketsSent += 3
		calls += 7
		rest()
		if i == 4 { // a name has become free; who came without one does not get it
			h.leave(named[0])
			rest()
		}
		h.leave(late)
		if sum := rest(); sum.Network.PacketsSent != uint64(3*(i+1)) || sum.Holding.Instances != 0 {
			t.Errorf("%+v; want %d packets and nothing held", sum, 3*(i+1))
		}
	}
	if got := h.Bill().Calls; got != calls {
		t.Errorf("the bill of all has %d calls, want %d", got, calls)
	}
}

func TestMeanOfTheRest(t *testing.T) {
	a := NetworkStats{Connections: 1, RTT: 30, Jitter: 3, BytesSent: 1}
	a.merge(NetworkStats{Connections: 2, RTT: 60, Jitter: 9, BytesSent: 2})
	a.merge(NetworkStats{})
	if a.Connections != 3 || a.RTT != 50 || a.Jitter != 7 || a.BytesSent != 3 {
		t.Errorf("%+v; want the means of 3 connections, 50 and 7", a)
	}
}

func TestHistogram(t *testing.T) {
	var h histogram
	h.init(callBounds)
	for _, d := range []time.Duration{0, 100 * time.Microsecond, 100*time.Microsecond + 1, 10 * time.Second, 11 * time.Second, -1} {
		h.add(d)
	}
	r := h.read()
	if r.Counts[0] != 3 || r.Counts[1] != 1 || r.Counts[len(callBounds)-1] != 1 || r.Counts[len(callBounds)] != 1 || r.Count() != 6 {
		t.Errorf("%v; want 3 within 100 us, one over that, one within 10 s and one over", r.Counts)
	}
	if want := 21*time.Second + 200*time.Microsecond; r.Sum != want {
		t.Errorf("sum %v, want %v", r.Sum, want)
	}
	if n := testing.AllocsPerRun(100, func() { h.add(time.Second) }); n != 0 {
		t.Errorf("%v allocations a time, want 0", n)
	}
	for _, bounds := range [][]time.Duration{callBounds, compileBounds} {
		for i := 1; i < len(bounds); i++ {
			if bounds[i] <= bounds[i-1] {
				t.Errorf("bound %v comes after %v", bounds[i], bounds[i-1])
			}
		}
	}
}

// What entered its guest counts in both, what gave up in the queue only.
func TestServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s served
		s.took.init(callBounds)
		s.queue.init(callBounds)
		begin := time.Now()
		s.observe(begin, begin.Add(2*time.Second), begin.Add(5*time.Second))
		s.observe(begin, time.Time{}, begin.Add(3*time.Second))
		took, queue := s.took.read(), s.queue.read()
		if took.Count() != 1 || took.Sum != 5*time.Second || queue.Count() != 2 || queue.Sum != 5*time.Second {
			t.Errorf("took %+v, queue %+v; want 5 s of one, and 2 s and 3 s of two", took, queue)
		}
	})
}

// BenchmarkObserve is what a call pays for the histograms.
func BenchmarkObserve(b *testing.B) {
	h := &times{}
	h.init()
	b.ReportAllocs()
	for b.Loop() {
		begin := time.Now()
		h.calls.observe(begin, begin, time.Now())
	}
}

// BenchmarkMonitored is what the handler does for a page of a thousand tenants, while nothing else has its
// mutex.
func BenchmarkMonitored(b *testing.B) {
	h := idle(b)
	for i := range maxNamed + 100 {
		h.enter(fmt.Sprint("tenant-", i))
	}
	b.ReportAllocs()
	for b.Loop() {
		h.Monitored()
	}
}
