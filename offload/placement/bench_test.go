package placement

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// town returns a snapshot of so many hosts and sessions on them, and one session, "ue", that has measured so many hosts.
func town(hosts, sessions, links int) *Snapshot {
	s := &Snapshot{ThetaNet: 20 * time.Millisecond}
	name := func(i int) string { return fmt.Sprintf("edge-%04d", i) }
	for i := range hosts {
		s.SetHost(edge(name(i), func(h *Host) { h.Turns, h.Load, h.Price = float64(4+i%13), 0.5, float64(i%7) }))
	}
	for i := range sessions {
		s.SetSession(headset(fmt.Sprint("other-", i), []string{name(i%hosts) + " 3ms"}, on(name(i%hosts))))
	}
	x := headset("ue", nil)
	for i := range links {
		x.Links = append(x.Links, Link{Host: name(i * hosts / links), RTT: time.Duration(1+i%19) * time.Millisecond})
	}
	s.SetSession(x)
	return s
}

// BenchmarkDecide decides with 1,000 hosts and 10,000 sessions.
func BenchmarkDecide(b *testing.B) {
	for _, links := range []int{MaxCandidates, 1000} {
		s := town(1000, 10000, links)
		x, _ := s.Session("ue")
		b.Run(fmt.Sprintf("admit/%d-links", links), func(b *testing.B) {
			each(b, func() { Decide(now, s, "ue") })
		})
		x.Primary, x.Shown, x.Felt = "edge-0000", now.Add(-time.Minute), Felt{Calls: 100, Missed: 9}
		s.SetSession(x)
		b.Run(fmt.Sprintf("recheck/%d-links", links), func(b *testing.B) {
			each(b, func() { Decide(now, s, "ue") })
		})
	}
	s := town(1000, 10000, MaxCandidates)
	b.Run("candidates", func(b *testing.B) { each(b, func() { Candidates(now, s, "ue", nil) }) })
	x, _ := s.Session("other-77")
	b.Run("set-session", func(b *testing.B) { each(b, func() { s.SetSession(x) }) })
	h, _ := s.Host("edge-0077")
	b.Run("set-host", func(b *testing.B) { each(b, func() { s.SetHost(h) }) })
}

// each reports the median and the 99th percentile of f's time beside the mean.
func each(b *testing.B, f func()) {
	b.ReportAllocs()
	var all []time.Duration
	for b.Loop() {
		begin := time.Now()
		f()
		all = append(all, time.Since(begin))
	}
	slices.Sort(all)
	b.ReportMetric(float64(all[len(all)/2].Nanoseconds())/1e3, "p50-us")
	b.ReportMetric(float64(all[len(all)*99/100].Nanoseconds())/1e3, "p99-us")
}
