package budget

import "testing"

func TestDecide(t *testing.T) {
	// A total of 400: 300 are free for all, and 100 are kept.
	alone := View{Total: 400, Most: 200, Weight: 1, Weights: 1, First: true}
	with := func(change func(*View)) View {
		v := alone
		change(&v)
		return v
	}
	tests := []struct {
		name string
		v    View
		n    int64
		want Verdict
		why  string
	}{
		{"first of all", alone, 200, Grant, "a lone share has all that it may have"},
		{"over its most", alone, 201, Never, "waiting would not help"},
		{"over its most with the rest", with(func(v *View) { v.Held, v.Mine = 100, 100 }), 101, Full, "it has to let go itself"},
		{"behind its own", with(func(v *View) { v.First = false }), 1, Full, "a share is served in the order of asking"},
		{"over what is free for all", with(func(v *View) { v.Held = 200 }), 101, Scarce, "the rest is kept for others"},
		{"the last of what is free", with(func(v *View) { v.Held = 200 }), 100, Grant, "all of it may be used"},
		{"behind others", with(func(v *View) { v.Others = true }), 100, Scarce, "who waits for much is not passed by"},
		{"little behind others", with(func(v *View) { v.Others, v.Held, v.Weights = true, 300, 4 }), 20, Grant, "a fifth of what is kept is its own"},
		{"more than little behind others", with(func(v *View) { v.Others, v.Held, v.Weights = true, 300, 4 }), 21, Scarce, "and not more"},
		{"little beside what it has", with(func(v *View) { v.Held, v.Mine, v.Weights = 300, 15, 4 }), 6, Scarce, "what it has counts"},
		{"twice the weight", with(func(v *View) { v.Held, v.Weight, v.Weights = 300, 2, 6 }), 25, Grant, "2 of 8 parts of what is kept"},
		{"over the total", with(func(v *View) { v.Held, v.Weights = 390, 4 }), 11, Scarce, "nobody gets what is not there"},
		{"the last of the total", with(func(v *View) { v.Held, v.Weights = 390, 4 }), 10, Grant, "all of it may be used"},
		{"over all that is free", with(func(v *View) { v.Most = 400 }), 301, Never, "it would wait for what is kept"},
		{"beside what is spared", with(func(v *View) { v.Others, v.Held, v.Mine, v.Spare, v.Weights = true, 350, 70, 50, 4 }), 0, Grant, "20 of what it has count, its part"},
		{"more beside what is spared", with(func(v *View) { v.Others, v.Held, v.Mine, v.Spare, v.Weights = true, 350, 70, 50, 4 }), 1, Scarce, "and not more"},
		{"the last of the total beside it", with(func(v *View) { v.Others, v.Held, v.Mine, v.Spare, v.Weights = true, 390, 50, 50, 4 }), 11, Scarce, "nobody gets what is not there"},
		{"comes by what is spared", with(func(v *View) { v.Others, v.Held, v.Spare, v.Weights = true, 300, 50, 4 }), 50, Grant, "half of what is kept serves those who come"},
		{"comes by it too late", with(func(v *View) { v.Others, v.Held, v.Spare, v.Weights = true, 301, 50, 4 }), 50, Scarce, "and half of it those who are there"},
		{"nothing kept", View{Total: 3, Most: 3, Weight: 1, Weights: 1, First: true}, 3, Grant, "a total of slots may be small"},
	}
	for _, tt := range tests {
		if got := Decide(tt.v, tt.n); got != tt.want {
			t.Errorf("%s: %d more for %+v: got %v, want %v: %s", tt.name, tt.n, tt.v, got, tt.want, tt.why)
		}
	}
}

// However many shares hold all that they can get, the next one finds room.
func TestDecideKeepsRoomForTheNext(t *testing.T) {
	for holders := range int64(200) {
		v := View{Total: 4 << 30, Most: 2 << 30, Weight: 1, Weights: holders + 1, First: true, Others: true}
		v.Held = v.Total - kept(v.Total)
		for i := range holders { // each took its part of what is kept, when there were i before it
			v.Held += kept(v.Total) / (i + 2) / holders
		}
		if got := Decide(v, 1<<20); got != Grant {
			t.Errorf("1 MiB beside %d shares that hold all that they can: %v", holders, got)
		}
	}
}

// Others give something up only for a share that would have no more than its equal part, and only those that
// have more than theirs.
func TestClaim(t *testing.T) {
	h := New(1600) // 1200 are free for all
	hog, quiet, idle := h.Share(1, 0), h.Share(1, 0), h.Share(2, 0)
	if got := quiet.Claim(100); got != Grant {
		t.Errorf("on an empty host: %v", got)
	}
	for hog.Hold(100) {
	}
	if hog.held != 800 || hog.Over(hog) != 0 {
		t.Errorf("a lone share holds %d, and %d is said to be over its part; want its most, and nothing", hog.held, hog.Over(hog))
	}
	if got := hog.Claim(100); got != Full {
		t.Errorf("more than its most: %v, want %v", got, Full)
	}
	for range 4 {
		quiet.Hold(100)
	}
	for _, tt := range []struct {
		s    *Share
		n    int64
		want Verdict
		why  string
	}{
		{quiet, 200, Scarce, "it has 4 of 6 hundreds, its equal part"},
		{quiet, 201, Full, "it would have more than an equal part"},
		{hog, 1, Full, "it has more than an equal part"},
		{idle, 700, Scarce, "it has nothing, and so gets one thing"},
		{idle, 1201, Never, "nobody can have as much"},
	} {
		if got := tt.s.Claim(tt.n); got != tt.want {
			t.Errorf("%d more for one that holds %d: %v, want %v: %s", tt.n, tt.s.held, got, tt.want, tt.why)
		}
	}
	if a, b, c := hog.Over(quiet), quiet.Over(quiet), idle.Over(quiet); a != 800 || b != 0 || c != 0 {
		t.Errorf("over their parts are %d, %d, %d; want 800 and nothing", a, b, c)
	}
	if got := quiet.Over(idle); got != 400 {
		t.Errorf("for one of twice the weight that has nothing %d are over; want all 400 of the other, whose part is 300", got)
	}
}

// Where shares of one size fill a host, there is always somebody to make room for the next one.
func TestSomebodyIsOver(t *testing.T) {
	for n := int64(1); n < 300; n++ {
		h := New(16 << 30)
		var shares []*Share
		for i := int64(0); ; i++ { // each takes one more in turn, until nobody gets one
			if i < n {
				shares = append(shares, h.Share(1, 0))
			}
			if !shares[i%n].Hold(256 << 20) {
				break
			}
		}
		next := h.Share(1, 0)
		if v := next.Claim(256 << 20); v == Grant {
			continue
		} else if v != Scarce {
			t.Fatalf("one more beside %d shares: %v", len(shares), v)
		}
		over := 0
		held := int64(1)
		for next.Claim(256<<20) == Scarce && held > 0 {
			held = 0
			for _, s := range shares {
				if o := s.Over(next); o > 0 {
					over, held = over+1, o
					s.Release(256 << 20)
					break
				}
			}
		}
		if next.Claim(256<<20) != Grant {
			t.Errorf("of %d shares %d gave something up, and the next one finds no room", len(shares), over)
		}
	}
}

// Shares that each hold what is spared find room for their part of what is kept, whatever others hold, and however many
// more come meanwhile.
func TestSpare(t *testing.T) {
	const spare, total = 2 << 20, 512 << 20
	h := New(total)
	h.Spare(spare)
	var quiet []*Share
	for i := range 90 {
		s := h.Share(1, 0)
		if quiet = append(quiet, s); !s.Hold(spare) {
			t.Fatalf("share %d of 90 finds no room on an empty host", i)
		}
	}
	for range 2 {
		hog := h.Share(1, 0)
		for hog.Hold(64 << 10) {
		}
	}
	came := 0
	for s := h.Share(1, 0); s.Hold(spare); s = h.Share(1, 0) {
		came++
	}
	if came < 10 {
		t.Errorf("%d more came by what is spared; want half of what is kept, 64 MiB, used for that", came)
	}
	for i, s := range quiet {
		if !s.Hold(256<<10) || s.Pressed() {
			t.Errorf("share %d of 90, which holds what is spared, finds no room for 256 KiB; pressed: %v", i, s.Pressed())
		}
	}
	if st := h.Stats(); st.Held > total {
		t.Errorf("%d held of %d", st.Held, st.Most)
	}
}
