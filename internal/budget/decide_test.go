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
