package cores

import (
	"runtime"
	"testing"
)

// Who asks for the number of cores does not see the processor that was added.
func TestInterleave(t *testing.T) {
	before, n := runtime.GOMAXPROCS(0), N()
	if before != n {
		t.Errorf("%d cores, with %d processors", n, before)
	}
	for range 2 {
		if err := Interleave(); err != nil {
			t.Error(err)
		}
	}
	if got := runtime.GOMAXPROCS(0); got != before+1 || N() != n {
		t.Errorf("%d processors and %d cores, want one more than %d, and %d", got, N(), before, n)
	}
}
