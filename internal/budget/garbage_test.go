package budget

import (
	"errors"
	"runtime"
	"testing"
)

func TestCollects(t *testing.T) {
	h := New(4 << 30)
	s := h.Share(1, 0)
	for _, step := range []struct {
		held, garbage int64
		want          bool
		why           string
	}{
		{0, leastGarbage - 1, false, "little is garbage"},
		{0, 1, true, "16 MiB are"},
		{0, leastGarbage - 1, false, "the last ones have been collected"},
		{800 << 20, 1, false, "an eighth of what is held may be"},
		{0, 85 << 20, true, "that is over an eighth"},
	} {
		must(t, s, step.held)
		if got := h.collects(step.garbage); got != step.want {
			t.Errorf("%d bytes of garbage more, %d held: collects %t, want %t: %s", step.garbage, h.held, got, step.want, step.why)
		}
	}
}

// What is discarded leaves the heap, however large the part of it that is in use.
func TestDiscardCollects(t *testing.T) {
	s := New(1<<30).Share(1, 0)
	live := make([]byte, 64<<20)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range 10 {
		l := must(t, s, 16<<20)
		waste = make([]byte, 16<<20)
		waste = nil
		l.Discard()
		if l.Size() != 0 || s.Stats().Held != 0 {
			t.Fatalf("a lease that was discarded holds %d", l.Size())
		}
	}
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(live)
	if after.HeapAlloc > before.HeapAlloc+(32<<20) {
		t.Errorf("the heap has grown from %d to %d MiB; want the garbage gone", before.HeapAlloc>>20, after.HeapAlloc>>20)
	}
	new(Lease).Discard()
}

// Who waits for room gets that of a large buffer once its memory is free, not before.
func TestDiscardCollectsFirst(t *testing.T) {
	s := New(64<<20).Share(1, 0)
	l := must(t, s, 32<<20)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	served := make(chan error, 1)
	go func() {
		next, err := s.Acquire(t.Context(), 16<<20)
		runtime.ReadMemStats(&after)
		next.Release()
		served <- err
	}()
	for s.Stats().Waiting == 0 && len(served) == 0 {
		runtime.Gosched()
	}
	l.Discard()
	switch err := <-served; {
	case errors.Is(err, ErrLate):
		t.Skip("this machine stood still for half a second; again: go test -run TestDiscardCollectsFirst ./internal/budget")
	case err != nil:
		t.Fatal(err)
	case after.NumGC == before.NumGC:
		t.Error("room was given before the garbage was collected")
	}
}

var waste []byte // not on the stack
