package budget

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// must acquires n at once.
func must(t *testing.T, s *Share, n int64) Lease {
	t.Helper()
	l, err := s.Try(n)
	if err != nil {
		t.Fatalf("%d more for a share with %+v: %v", n, s.Stats(), err)
	}
	return l
}

func TestLease(t *testing.T) {
	h := New(400)
	s := h.Share(1, 200)
	l := must(t, s, 100)
	if err := l.TryGrow(50); err != nil || l.Size() != 150 || s.Stats().Held != 150 {
		t.Errorf("grown by 50: %v, size %d, held %d", err, l.Size(), s.Stats().Held)
	}
	if err := l.TryGrow(51); !errors.Is(err, ErrBusy) || !errors.Is(err, ErrRefused) || l.Size() != 150 {
		t.Errorf("grown over the share's most: %v, size %d; want %v, and what it had", err, l.Size(), ErrBusy)
	}
	if err := l.Grow(t.Context(), 201); err != ErrTooMuch {
		t.Errorf("grown by more than the share may ever hold: %v, want %v", err, ErrTooMuch)
	}
	l.Shrink(149)
	l.Shrink(149)
	if l.Size() != 0 || s.Stats().Held != 0 {
		t.Errorf("shrunk by more than it has: size %d, held %d; want 0", l.Size(), s.Stats().Held)
	}
	l.Release()
	l.Release()
	if st := h.Stats(); st.Held != 0 || st.Peak != 150 || st.Refused != (Refused{TooMuch: 1}) {
		t.Errorf("released twice: %+v; want nothing held, a peak of 150, 1 refused", st)
	}
}

func TestHold(t *testing.T) {
	s := New(400).Share(1, 200)
	if !s.Hold(150) || s.Hold(51) || !s.Hold(50) || s.Stats().Held != 200 {
		t.Errorf("%+v; want 150 and 50 held, and 51 refused", s.Stats())
	}
	s.Release(150)
	s.Release(50)
	if st := s.Stats(); st.Held != 0 || st.Refused.Busy != 1 {
		t.Errorf("%+v; want nothing held, and one refused", st)
	}
}

// However full the host is, each share finds room for one thing, and for no second one.
func TestHoldFirst(t *testing.T) {
	h := New(400)
	hog := h.Share(1, 400)
	for hog.HoldFirst(100) {
	}
	var quiet []*Share
	for i := range 20 {
		s := h.Share(1, 0)
		if quiet = append(quiet, s); !s.HoldFirst(100) || s.HoldFirst(100) {
			t.Errorf("share %d holds %d beside one that holds %d of 400; want one thing of 100", i, s.Stats().Held, hog.Stats().Held)
		}
	}
	if s := h.Share(1, 0); s.HoldFirst(301) || s.Stats().Held != 0 {
		t.Errorf("a first thing that is more than a share may ever hold was granted: %+v", s.Stats())
	}
	for _, s := range quiet {
		s.Release(100)
		if !s.HoldFirst(100) {
			t.Error("it let go of its thing and finds no room for another one")
		}
		s.Release(100)
	}
	if got := h.Stats().Held; got != hog.Stats().Held {
		t.Errorf("%d are held in the end, want the hog's %d", got, hog.Stats().Held)
	}
	if !(*Share)(nil).HoldFirst(1) || !h.Share(1, 0).HoldFirst(0) {
		t.Error("a nil share, or nothing, is refused")
	}
}

func TestNothingIsFree(t *testing.T) {
	var nobody *Share
	for _, s := range []*Share{nobody, New(0).Share(1, 0)} {
		for _, n := range []int64{0, -1} {
			l, err := s.Acquire(t.Context(), n)
			if err != nil || l.Size() > 0 {
				t.Errorf("%d: %d, %v", n, l.Size(), err)
			}
			l.Release()
		}
	}
	if l, err := nobody.Acquire(t.Context(), 1<<40); err != nil || nobody.Pressed() || nobody.Stats() != (Stats{}) {
		t.Errorf("a nil share bounds something: %v", err)
	} else {
		l.Release()
	}
}

// Who waits is served in order, and is refused when no room comes free.
func TestWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(400).Share(1, 200)
		first := must(t, s, 200)
		var mu sync.Mutex
		var order []int64
		var wg sync.WaitGroup
		ask := func(n int64) {
			wg.Go(func() {
				l, err := s.Acquire(t.Context(), n)
				if err != nil {
					t.Errorf("%d more: %v", n, err)
				}
				mu.Lock()
				order = append(order, n)
				mu.Unlock()
				time.Sleep(time.Millisecond)
				l.Release()
			})
			synctest.Wait()
		}
		ask(150)
		ask(60)
		ask(1) // would fit beside 150, and is not served before 60
		begin := time.Now()
		first.Release()
		wg.Wait()
		if len(order) != 3 || order[0] != 150 || order[1]+order[2] != 61 {
			t.Errorf("served %v; want 150, then 60 and 1", order)
		}
		if took := time.Since(begin); took != 2*time.Millisecond {
			t.Errorf("served within %v; want 2 ms: 60 and 1 fit together", took)
		}
	})
}

func TestLateAndGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(400)
		s := h.Share(1, 200)
		l := must(t, s, 200)
		begin := time.Now()
		if _, err := s.Acquire(t.Context(), 1); err != ErrLate || time.Since(begin) != Patience {
			t.Errorf("no room came free: %v after %v; want %v after %v", err, time.Since(begin), ErrLate, Patience)
		}
		gone := errors.New("gone")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Millisecond, func() { cancel(gone) })
		if _, err := s.Acquire(ctx, 1); err != gone {
			t.Errorf("the caller has gone: %v, want the cause of its context", err)
		}
		if st := h.Stats(); st.Held != 200 || st.Waiting != 0 || st.Refused.Late != 1 {
			t.Errorf("%+v; want 200 held, nobody waiting, 1 refused late", st)
		}
		l.Release()
		must(t, s, 200)
	})
}

// The newest is refused when too many wait.
func TestTooManyWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(400).Share(1, 200)
		l := must(t, s, 200)
		var wg sync.WaitGroup
		for range MaxWaiting {
			wg.Go(func() {
				l, err := s.Acquire(t.Context(), 200)
				if err != nil {
					t.Error(err)
				}
				l.Release()
			})
		}
		synctest.Wait()
		if _, err := s.Acquire(t.Context(), 1); err != ErrBusy {
			t.Errorf("one more than may wait: %v, want %v", err, ErrBusy)
		}
		l.Release()
		wg.Wait()
	})
}

// Two shares that take all they can leave room for a third, and one that asks for much
// is not passed by for ever by those that ask for little.
func TestShares(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(400)
		a, b, c := h.Share(1, 0), h.Share(1, 0), h.Share(1, 0)
		held := []Lease{must(t, a, 200), must(t, b, 100)}
		for _, s := range []*Share{a, b} {
			if _, err := s.Try(1); err != ErrBusy {
				t.Errorf("a share that has its part gets of what is kept: %v", err)
			}
		}
		little := must(t, c, 25) // of 100, by 3 shares and one to come
		if _, err := c.Try(1); err != ErrBusy {
			t.Errorf("the third gets more than its part: %v", err)
		}
		little.Release()
		much := make(chan Lease)
		go func() {
			l, err := c.Acquire(t.Context(), 150)
			if err != nil {
				t.Error(err)
			}
			much <- l
		}()
		synctest.Wait()
		held[1].Release()
		synctest.Wait()
		if _, err := b.Try(100); err != ErrBusy {
			t.Errorf("who asks for much is passed by: %v", err)
		}
		held[0].Shrink(100)
		l := <-much
		if st := h.Stats(); st.Held != 250 {
			t.Errorf("%+v; want 250 held", st)
		}
		l.Release()
		held[0].Release()
	})
}

func TestPressed(t *testing.T) {
	h := New(400)
	a, b := h.Share(1, 0), h.Share(1, 0)
	for _, step := range []struct {
		n    int64
		a, b bool
		why  string
	}{
		{100, false, false, "a holds half of its most"},
		{1, true, false, "a holds more than that"},
		{99, true, false, "the host has a third free for all"},
	} {
		must(t, a, step.n)
		if a.Pressed() != step.a || b.Pressed() != step.b {
			t.Errorf("%d more: pressed %v and %v; want %v and %v: %s", step.n, a.Pressed(), b.Pressed(), step.a, step.b, step.why)
		}
	}
	l := must(t, b, 26) // of 100 that are kept for two shares and one to come, a third is its own
	if b.Pressed() {
		t.Error("little is free for all, and a share that holds its part is pressed")
	}
	if err := l.TryGrow(10); err != nil || !b.Pressed() {
		t.Errorf("little is free for all, and a share that holds more than its part is not pressed: %v", err)
	}
}

// Whatever is asked for and released in whatever order: no bound is passed, nothing is lost, and
// all who wait are served, or refused in time.
func TestRandom(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	synctest.Test(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(seed, 0))
		const total = 10_000
		h := New(total)
		var shares []*Share
		for range 8 {
			shares = append(shares, h.Share(r.IntN(4), int64(r.IntN(total))))
		}
		check := func() {
			h.mu.Lock()
			defer h.mu.Unlock()
			sum, weights := int64(0), int64(0)
			for _, s := range shares {
				if s.held < 0 || s.held > s.most {
					t.Errorf("a share holds %d of %d", s.held, s.most)
				}
				if sum += s.held; s.held > 0 {
					weights += s.weight
				}
			}
			if sum != h.held || h.held > total || weights != h.weights {
				t.Errorf("shares hold %d of weight %d, the host says %d of weight %d, of %d", sum, weights, h.held, h.weights, total)
			}
		}
		var wg sync.WaitGroup
		for i := range 2000 {
			s, n := shares[r.IntN(len(shares))], int64(1)<<r.IntN(13)
			start, more, keep := r.IntN(5000), r.IntN(500), r.IntN(100)
			wg.Go(func() {
				time.Sleep(time.Duration(start) * time.Millisecond)
				begin := time.Now()
				l, err := s.Acquire(t.Context(), n)
				if took := time.Since(begin); took > Patience || err != nil && !errors.Is(err, ErrRefused) {
					t.Errorf("request %d of %d: %v after %v", i, n, err, took)
				}
				check()
				time.Sleep(time.Duration(keep) * time.Millisecond)
				l.Grow(t.Context(), int64(more))
				check()
				l.Shrink(n / 2)
				l.Release()
				check()
			})
		}
		wg.Wait()
		st := h.Stats()
		if st.Held != 0 || st.Waiting != 0 || h.weights != 0 {
			t.Errorf("at the end %+v, weight %d; want nothing held", st, h.weights)
		}
		if st.Refused.Late == 0 || st.Peak < total/2 {
			t.Errorf("%+v: the test presses too little", st)
		}
	})
}

// Many goroutines take and give back, without any rest.
func TestHammer(t *testing.T) {
	h := New(1000)
	var wg sync.WaitGroup
	for i := range 16 {
		s := h.Share(1, 0)
		for range 2 {
			wg.Go(func() {
				for k := range 2000 {
					l, err := s.Acquire(t.Context(), int64((i*k)%200))
					if err != nil && !errors.Is(err, ErrRefused) {
						t.Error(err)
					}
					l.TryGrow(1)
					l.Release()
				}
			})
		}
	}
	wg.Wait()
	if st := h.Stats(); st.Held != 0 || st.Waiting != 0 || st.Peak > 1000 {
		t.Errorf("%+v; want nothing held", st)
	}
}

func TestAcquireAllocatesNothing(t *testing.T) {
	s := New(1<<30).Share(1, 0)
	if n := testing.AllocsPerRun(100, func() {
		l, _ := s.Acquire(t.Context(), 100<<10)
		l.Release()
	}); n > 0 {
		t.Errorf("%v allocations; want none", n)
	}
}

func BenchmarkAcquire(b *testing.B) {
	for _, n := range []int{1, 100} { // shares that hold something
		b.Run(map[int]string{1: "alone", 100: "beside 99"}[n], func(b *testing.B) {
			h := New(1 << 30)
			s := h.Share(1, 0)
			for range n - 1 {
				h.Share(1, 0).Try(1 << 20)
			}
			b.ReportAllocs()
			for b.Loop() {
				l, _ := s.Acquire(context.Background(), 100<<10)
				l.Release()
			}
		})
	}
}

// A share whose bounds change keeps what it holds, and who waits gets what a larger one has room for.
func TestSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(400)
		s, other := h.Share(1, 100), h.Share(1, 100)
		l := must(t, s, 100)
		got := make(chan error)
		go func() {
			l, err := s.Acquire(t.Context(), 50)
			l.Release()
			got <- err
		}()
		synctest.Wait()
		s.Set(3, 200)
		if err := <-got; err != nil {
			t.Errorf("who waited when the share became larger: %v", err)
		}
		if h.weights != 3 {
			t.Errorf("weights of the shares that hold something are %d, want 3", h.weights)
		}
		s.Set(2, 60)
		if st := s.Stats(); st.Held != 100 || st.Most != 60 {
			t.Errorf("%+v; want 100 held still, of 60", st)
		}
		if _, err := s.Try(1); err != ErrBusy {
			t.Errorf("one more than the smaller share may hold: %v, want %v", err, ErrBusy)
		}
		l.Shrink(50)
		must(t, s, 10)
		s.Set(1, 0)
		if st := s.Stats(); st.Most != 200 {
			t.Errorf("%+v; want half of the total for who says nothing", st)
		}
		s.give(60)
		must(t, other, 1)
		if h.weights != 1 || h.held != 1 {
			t.Errorf("weights %d and held %d; want those of the other share, 1 and 1", h.weights, h.held)
		}
	})
}
