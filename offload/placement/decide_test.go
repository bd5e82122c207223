package placement

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var (
	now    = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	detect = Digest{1}
)

// edge returns a ready host of 4 turns, on which a call takes 5 ms.
func edge(name string, change ...func(*Host)) Host {
	h := Host{
		Name: name, State: Ready, Turns: 4, Memory: 1 << 30, Limit: 4, Price: 1,
		Modules: []Module{{Digest: detect, Service: 5 * time.Millisecond, Probe: 5 * time.Millisecond, Present: true, Compiled: true}},
	}
	for _, f := range change {
		f(&h)
	}
	return h
}

// headset returns a session of 30 calls a second, each within 50 ms, that has measured hosts: "edge-1 2ms".
func headset(id string, links []string, change ...func(*Session)) Session {
	x := Session{ID: id, Module: detect, Need: Need{Latency: 50 * time.Millisecond, Rate: 30, InFlight: 2, Memory: 10 << 20}}
	for _, l := range links {
		name, rtt, _ := strings.Cut(l, " ")
		d, err := time.ParseDuration(rtt)
		if err != nil {
			panic(err)
		}
		x.Links = append(x.Links, Link{Host: name, RTT: d})
	}
	for _, f := range change {
		f(&x)
	}
	return x
}

// world returns a snapshot of hosts and sessions.
func world(hosts []Host, sessions ...Session) *Snapshot {
	s := &Snapshot{ThetaNet: 20 * time.Millisecond}
	for _, h := range hosts {
		s.SetHost(h)
	}
	for _, x := range sessions {
		s.SetSession(x)
	}
	return s
}

func on(host string) func(*Session) {
	return func(x *Session) { x.Primary, x.Shown = host, now.Add(-time.Minute) }
}

func TestDecide(t *testing.T) {
	both := []string{"edge-1 2ms", "edge-2 4ms"}
	service := func(d time.Duration) func(*Host) { return func(h *Host) { h.Modules[0].Service = d } }
	state := func(s State) func(*Host) { return func(h *Host) { h.State = s } }
	load := func(l float64) func(*Host) { return func(h *Host) { h.Load = l } }
	tests := []struct {
		name  string
		hosts []Host
		x     Session
		want  Decision // Verdict, Primary, Standby and Cause of it
		why   string   // a part of the decision's text
	}{
		{"nearest", []Host{edge("edge-1"), edge("edge-2")}, headset("ue", both),
			Decision{Verdict: Placed, Primary: "edge-1", Standby: "edge-2", Cause: Asked}, "placed on edge-1"},
		{"faster though further", []Host{edge("edge-1", service(9*time.Millisecond)), edge("edge-2")}, headset("ue", both),
			Decision{Verdict: Placed, Primary: "edge-2", Standby: "edge-1", Cause: Asked}, "edge-2"},
		{"no link", []Host{edge("edge-1")}, headset("ue", nil), Decision{Verdict: Local, Cause: Asked}, "no host"},
		{"too far", []Host{edge("edge-1")}, headset("ue", []string{"edge-1 21ms"}),
			Decision{Verdict: Local, Cause: Asked}, "edge-1 is 21.0 ms away, over 20.0"},
		{"silent", []Host{edge("edge-1", state(Silent))}, headset("ue", both), Decision{Verdict: Local, Cause: Asked}, "edge-1 is silent"},
		{"draining", []Host{edge("edge-1", state(Draining))}, headset("ue", both), Decision{Verdict: Local, Cause: Asked}, "edge-1 is draining"},
		{"cordoned", []Host{edge("edge-1", state(Cordoned))}, headset("ue", both), Decision{Verdict: Local, Cause: Asked}, "edge-1 is cordoned"},
		{"label", []Host{edge("edge-1"), edge("edge-2", func(h *Host) { h.Labels = []string{"gpu=a5000"} })},
			headset("ue", both, func(x *Session) { x.Need.Labels = []string{"gpu=a5000"} }),
			Decision{Verdict: Placed, Primary: "edge-2", Cause: Asked}, `edge-1 lacks "gpu=a5000"`},
		{"price", []Host{edge("edge-1"), edge("edge-2")}, headset("ue", both, func(x *Session) { x.Need.Price = 0.5 }),
			Decision{Verdict: Local, Cause: Asked}, "edge-1 costs 1 an hour, over 0.5"},
		{"memory", []Host{edge("edge-1")}, headset("ue", both, func(x *Session) { x.Need.Memory = 1 << 30 }),
			Decision{Verdict: Local, Cause: Asked}, "edge-1 would need 2048 MiB, over 1024"},
		{"full", []Host{edge("edge-1", load(3.5))}, headset("ue", both, func(x *Session) { x.Need.InFlight = 8 }),
			Decision{Verdict: Local, Cause: Asked}, "edge-1 would use 3.65 turns, over 3.60"},
		{"a turn for each call", []Host{edge("edge-1")}, headset("ue", both, func(x *Session) { x.Need.Rate, x.Need.InFlight = 0, 4 }),
			Decision{Verdict: Placed, Primary: "edge-1", Cause: Asked}, "100 % of its turns"},
		{"too slow", []Host{edge("edge-1", service(49*time.Millisecond))}, headset("ue", both),
			Decision{Verdict: Local, Cause: Asked}, "edge-1 would take 51.0 ms, over 50.0"},
		{"unknown module", []Host{edge("edge-1", func(h *Host) { h.Modules = nil })}, headset("ue", both),
			Decision{Verdict: Placed, Primary: "edge-1", Cause: Asked}, "placed on edge-1"},
		{"unknown there, and elsewhere too slow", []Host{edge("edge-1", func(h *Host) { h.Modules = nil }), edge("edge-2", service(49*time.Millisecond))}, headset("ue", both),
			Decision{Verdict: Local, Cause: Asked}, "edge-1 would take 51.0 ms, over 50.0"},
		{"unknown there, and fast elsewhere", []Host{edge("edge-1", func(h *Host) { h.Modules = nil }), edge("edge-2")}, headset("ue", both),
			Decision{Verdict: Placed, Primary: "edge-2", Standby: "edge-1", Cause: Asked}, "placed on edge-2"},

		{"fine", []Host{edge("edge-1"), edge("edge-2")}, headset("ue", both, on("edge-2")),
			Decision{Verdict: Stays, Primary: "edge-2", Standby: "edge-1", Cause: Fine}, "stays on edge-2, since nothing is wrong"},
		{"fine on a cordoned host", []Host{edge("edge-1", state(Cordoned))}, headset("ue", both, on("edge-1")),
			Decision{Verdict: Stays, Primary: "edge-1", Cause: Fine}, "stays"},
		{"misses, another is better", []Host{edge("edge-1", service(20*time.Millisecond)), edge("edge-2")},
			headset("ue", both, on("edge-1"), func(x *Session) { x.Felt = Felt{Calls: 1000, Missed: 5} }),
			Decision{Verdict: Moves, Primary: "edge-2", Standby: "edge-1", Cause: FeltMisses}, "moves from edge-1 to edge-2, since its calls miss"},
		{"misses a little", []Host{edge("edge-1", service(20*time.Millisecond)), edge("edge-2")},
			headset("ue", both, on("edge-1"), func(x *Session) { x.Felt = Felt{Calls: 1000, Missed: 4} }),
			Decision{Verdict: Stays, Primary: "edge-1", Standby: "edge-2", Cause: Fine}, "stays"},
		{"misses, another is alike", []Host{edge("edge-1"), edge("edge-2")},
			headset("ue", both, on("edge-1"), func(x *Session) { x.Felt = Felt{Calls: 1000, Missed: 5} }),
			Decision{Verdict: Stays, Primary: "edge-1", Standby: "edge-2", Cause: FeltMisses}, "edge-2 would take 14.0 ms, over 9.6, so little better"},
		{"moved just before", []Host{edge("edge-1", service(20*time.Millisecond)), edge("edge-2")},
			headset("ue", both, on("edge-1"), func(x *Session) { x.Felt = Felt{Calls: 1000, Missed: 5}; x.Moved = now.Add(-9 * time.Second) }),
			Decision{Verdict: Stays, Primary: "edge-1", Standby: "edge-2", Cause: FeltMisses}, "stays"},
		{"will miss", []Host{edge("edge-1", load(4.5)), edge("edge-2")}, headset("ue", both, on("edge-1"), func(x *Session) { x.Need.InFlight = 100 }),
			Decision{Verdict: Moves, Primary: "edge-2", Cause: WouldMiss}, "expected to miss"},
		{"host drains", []Host{edge("edge-1", state(Draining)), edge("edge-2")}, headset("ue", both, on("edge-1")),
			Decision{Verdict: Moves, Primary: "edge-2", Cause: CannotStay}, "edge-1 is draining"},
		{"host lost, to its standby", []Host{edge("edge-1", state(Silent)), edge("edge-2"), edge("edge-3")},
			headset("ue", []string{"edge-1 2ms", "edge-2 2ms", "edge-3 5ms"}, on("edge-1"), func(x *Session) { x.Standby = "edge-3" }),
			Decision{Verdict: Moves, Primary: "edge-3", Standby: "edge-2", Cause: CannotStay}, "edge-1 is silent"},
		{"host lost, no other", []Host{edge("edge-1", state(Silent))}, headset("ue", both, on("edge-1")),
			Decision{Verdict: Local, Cause: CannotStay}, "edge-1 is silent"},
		{"host forgotten", nil, headset("ue", both, on("edge-1")), Decision{Verdict: Local, Cause: CannotStay}, "edge-1 is silent"},
		{"went away from its host", []Host{edge("edge-1"), edge("edge-2")}, headset("ue", []string{"edge-1 21ms", "edge-2 4ms"}, on("edge-1")),
			Decision{Verdict: Moves, Primary: "edge-2", Cause: CannotStay}, "edge-1 is 21.0 ms away"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := Decide(now, world(tt.hosts, tt.x), tt.x.ID)
			got := Decision{Verdict: d.Verdict, Primary: d.Primary, Standby: d.Standby, Cause: d.Cause}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("%v (-want +got):\n%s", d, diff)
			}
			if !strings.Contains(d.String(), tt.why) {
				t.Errorf("%q does not say %q", d, tt.why)
			}
		})
	}
}

// A slow host has sessions that send calls evenly for as long as they are in time: a session does not wait for its own calls, and
// for no more than those of the others that may be before one.
func TestEvenSessions(t *testing.T) {
	slow := func(turns float64, service time.Duration) Host {
		return edge("edge-1", func(h *Host) { h.Turns, h.Modules[0].Service, h.Modules[0].Tail = turns, service, 2 })
	}
	tests := []struct {
		host     Host
		rate     float64
		inFlight int
		want     int // sessions
		why      string
	}{
		{slow(1, 130*time.Millisecond), 4, 2, 1, "alone it has half a turn and 260 ms, together they would have more than 0.9"},
		{slow(1, 130*time.Millisecond), 2, 2, 2, "0.52 turns, each call after one of the other at times"},
		{slow(1, 90*time.Millisecond), 4, 2, 2, "0.72 turns, each call after one of the other and of its own"},
		{slow(1, 90*time.Millisecond), 2, 2, 3, "a fourth would be after three others and one of its own"},
		{slow(1, 130*time.Millisecond), 0, 2, 0, "it sends two at once as often as it can"},
		{slow(1, 130*time.Millisecond), 7, 2, 0, "0.91 turns, and two calls at once"},
		{slow(0.5, 90*time.Millisecond), 4, 2, 1, "half a turn makes a call twice as long"},
	}
	for _, tt := range tests {
		s := world([]Host{tt.host})
		got := 0
		for i := range 10 {
			x := headset(fmt.Sprint("ue-", i), []string{"edge-1 2ms"}, func(x *Session) {
				x.Need.Latency, x.Need.Rate, x.Need.InFlight = 500*time.Millisecond, tt.rate, tt.inFlight
			})
			s.SetSession(x)
			d := Decide(now, s, x.ID)
			if d.Verdict != Placed {
				s.RemoveSession(x.ID)
				continue
			}
			got++
			x.Primary = d.Primary
			s.SetSession(x)
		}
		if got != tt.want {
			t.Errorf("%v a second of %v on %v turns: %d sessions are placed, want %d: %s", tt.rate, tt.host.Modules[0].Service, tt.host.Turns, got, tt.want, tt.why)
		}
	}
}

// Which of two hosts is best, and by what.
func TestBest(t *testing.T) {
	both := []string{"edge-1 2ms", "edge-2 2ms"}
	tests := []struct {
		name   string
		change func(*Host) // of edge-2, which makes it better, or worse
		want   string
	}{
		{"alike: the first by name", func(*Host) {}, "edge-1"},
		{"faster by more than a tenth", func(h *Host) { h.Modules[0].Service, h.Load = 4*time.Millisecond, 0.8 }, "edge-2"},
		{"faster by less than a tenth, and busier", func(h *Host) { h.Modules[0].Service, h.Load = 4600*time.Microsecond, 0.8 }, "edge-1"},
		{"less busy", func(h *Host) { h.Turns, h.Price, h.Modules[0].Compiled = 8, 2, false }, "edge-2"},
		{"a little busier, and cheaper", func(h *Host) { h.Load, h.Price = 0.04, 0.5 }, "edge-2"},
		{"not compiled", func(h *Host) { h.Modules[0].Compiled, h.Price = false, 0.5 }, "edge-1"},
		{"not present", func(h *Host) { h.Modules[0].Present, h.Price = false, 0.5 }, "edge-1"},
		{"cheaper", func(h *Host) { h.Price = 0.5 }, "edge-2"},
		{"dearer", func(h *Host) { h.Price = 1.5 }, "edge-1"},
		{"a little busier", func(h *Host) { h.Load = 0.01 }, "edge-1"},
	}
	for _, tt := range tests {
		if d := Decide(now, world([]Host{edge("edge-1"), edge("edge-2", tt.change)}, headset("ue", both)), "ue"); d.Primary != tt.want {
			t.Errorf("%s: %v; want %s", tt.name, d, tt.want)
		}
	}
	d := Decide(now, world([]Host{edge("b"), edge("a", func(h *Host) { h.Load = 0.01 })}, headset("ue", []string{"a 2ms", "b 2ms"})), "ue")
	if d.Primary != "b" {
		t.Errorf("the least load, before the name: %v", d)
	}
}

// Two sessions at a time may be on their way onto a host. Who has its standby there does not wait, nor who has lost its host.
func TestArriving(t *testing.T) {
	links := []string{"edge-1 2ms", "edge-2 2ms"}
	slow := edge("edge-1", func(h *Host) { h.Modules[0].Service = 20 * time.Millisecond })
	misses := func(x *Session) { x.Felt = Felt{Calls: 100, Missed: 1} }
	way := func(x *Session) { x.Primary, x.Shown, x.Moved = "edge-2", time.Time{}, now }
	begun := func(x *Session) { x.Primary, x.Shown, x.Moved = "edge-2", now, now }
	drains := func(d time.Duration) Host {
		return edge("edge-1", func(h *Host) { h.State, h.Drained = Draining, now.Add(d) })
	}
	for _, tt := range []struct {
		name   string
		host   Host
		x      Session
		others []Session
		want   Verdict
		by     time.Duration
	}{
		{"one on its way", slow, headset("ue", links, on("edge-1"), misses), []Session{headset("a", nil, way)}, Moves, 0},
		{"two", slow, headset("ue", links, on("edge-1"), misses), []Session{headset("a", nil, way), headset("b", nil, way)}, Stays, 0},
		{"one of two has begun", slow, headset("ue", links, on("edge-1"), misses), []Session{headset("a", nil, way), headset("b", nil, begun)}, Moves, 0},
		{"a drain waits", drains(time.Minute), headset("ue", links, on("edge-1")), []Session{headset("a", nil, way), headset("b", nil, way)}, Stays, 0},
		{"to its standby", drains(time.Minute), headset("ue", links, on("edge-1"), func(x *Session) { x.Standby = "edge-2" }), []Session{headset("a", nil, way), headset("b", nil, way)}, Moves, time.Minute},
		{"a drain that is over", drains(-time.Second), headset("ue", links, on("edge-1")), []Session{headset("a", nil, way), headset("b", nil, way)}, Moves, 0},
		{"a lost host", edge("edge-1", func(h *Host) { h.State = Silent }), headset("ue", links, on("edge-1")), []Session{headset("a", nil, way), headset("b", nil, way)}, Moves, 0},
		{"the first admission", edge("edge-1", func(h *Host) { h.State = Silent }), headset("ue", links), []Session{headset("a", nil, way), headset("b", nil, way)}, Placed, 0},
	} {
		d := Decide(now, world([]Host{tt.host, edge("edge-2")}, append(tt.others, tt.x)...), "ue")
		if d.Verdict != tt.want || d.Verdict == Moves && d.By != tt.by {
			t.Errorf("%s: %v within %v; want that it %v within %v", tt.name, d, d.By, tt.want, tt.by)
		}
	}
}

// A standby stays as long as it is feasible, and is another host else.
func TestStandby(t *testing.T) {
	links := []string{"edge-1 2ms", "edge-2 2ms", "edge-3 5ms"}
	x := headset("ue", links, on("edge-1"), func(x *Session) { x.Standby = "edge-3" })
	s := world([]Host{edge("edge-1"), edge("edge-2"), edge("edge-3")}, x)
	if d := Decide(now, s, "ue"); d.Standby != "edge-3" {
		t.Errorf("%v, standby %q; want the one that there is", d, d.Standby)
	}
	s.SetHost(edge("edge-3", func(h *Host) { h.State = Draining }))
	if d := Decide(now, s, "ue"); d.Standby != "edge-2" {
		t.Errorf("%v, standby %q; want another one for one that drains", d, d.Standby)
	}
}

// A host whose calls take longer than it says is left, and not chosen.
func TestLiars(t *testing.T) {
	links := []string{"edge-1 2ms", "edge-2 4ms"}
	misses := func(x *Session) { x.Felt = Felt{Calls: 100, Missed: 9}; x.Links[0].Factor = 3 }
	s := world([]Host{edge("edge-1"), edge("edge-2")}, headset("ue", links, on("edge-1"), misses), headset("new", links))
	if d := Decide(now, s, "ue"); d.Verdict != Moves || d.Primary != "edge-2" {
		t.Errorf("who felt it: %v; want that it moves to edge-2", d)
	}
	if d := Decide(now, s, "new"); d.Primary != "edge-1" {
		t.Errorf("who did not: %v; want edge-1", d)
	}
	s.SetHost(edge("edge-1", func(h *Host) { h.Factor = 3 }))
	if d := Decide(now, s, "new"); d.Primary != "edge-2" {
		t.Errorf("who did not, when several did: %v; want edge-2", d)
	}
}

func TestRetry(t *testing.T) {
	for _, tt := range []struct {
		name        string
		bounds      []Bound
		least, most time.Duration
	}{
		{"nothing measured", nil, 5 * time.Second, 7500 * time.Millisecond},
		{"a host is full", []Bound{Labels, Turns}, 5 * time.Second, 7500 * time.Millisecond},
		{"a host may come back", []Bound{Turns, HostState}, 3 * time.Second, 4500 * time.Millisecond},
		{"the UE may come nearer", []Bound{Distance, Price}, 15 * time.Second, 22500 * time.Millisecond},
		{"it asks for what there is not", []Bound{Labels, Price}, 0, 0},
	} {
		var all []Rejection
		for _, b := range tt.bounds {
			all = append(all, Rejection{Bound: b})
		}
		times := map[time.Duration]bool{}
		for _, id := range []string{"a", "b", "c", "d"} {
			got := retry(id, all)
			times[got] = true
			if got < tt.least || got > tt.most {
				t.Errorf("%s: retry after %v, want %v to %v", tt.name, got, tt.least, tt.most)
			}
		}
		if tt.most > 0 && len(times) == 1 {
			t.Errorf("%s: all come back at once", tt.name)
		}
	}
}

// The hosts that come closest are named, and each bound reads as a sentence.
func TestRejections(t *testing.T) {
	var d Decision
	for i := range 20 {
		d.reject(Rejection{Host: string(rune('a' + i)), Bound: Latency, Have: float64(100 - i), Most: 50})
	}
	if len(d.Rejected) != MaxRejected || d.Rejected[0].Host != "t" || d.Rejected[MaxRejected-1].Host != "m" {
		t.Errorf("%d rejections are kept: %v", len(d.Rejected), d)
	}
	seen := map[string]bool{}
	for b := HostState; b <= Unprobed; b++ {
		s := Rejection{Host: "edge-1", Bound: b, Have: 2, Most: 1, Detail: "x"}.String()
		if s == "edge-1 is feasible" || seen[s] && b != Latency {
			t.Errorf("bound %d reads %q", b, s)
		}
		seen[s] = true
	}
	for _, s := range []string{Verdict(9).String(), State(-1).String(), Cause(99).String(), Rejection{Host: "a"}.String()} {
		if s == "" {
			t.Error("an unknown value has no name")
		}
	}
}
