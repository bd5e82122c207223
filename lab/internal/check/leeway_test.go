package check

import "testing"

// A leeway lasts until the results that a move let come are taken, and no shorter.
func TestLeeway(t *testing.T) {
	const window = 4
	var l leeway
	look := func(waiting int, want bool, when string) {
		t.Helper()
		if got := l.look(window, func() int { return waiting }); got != want {
			t.Errorf("%s, with %d results: loose is %t, want %t", when, waiting, got, want)
		}
	}
	look(0, false, "before a move")
	l.begin()
	look(0, true, "in a move")
	l.begin()
	l.end()
	look(window, true, "in the other move")
	l.end()
	look(window+1, true, "after both, with results of the moves")
	look(window, true, "after both, when they are taken")
	look(window+1, false, "later")
	if n := l.underway(); n != 0 {
		t.Errorf("%d moves are under way, want none", n)
	}
}
