package line

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bungee-xr/bungee/executor"
)

// two is a line of two places and memory for six jobs of 1.
var two = Config{Places: 2, Memory: 6, Waiting: 3, Slice: 250 * time.Millisecond}

// A task is work that takes a time, without its pauses, as a compilation does.
type task struct {
	mu     sync.Mutex
	paused chan struct{} // nil: it runs
}

func (w *task) Pause() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.paused = make(chan struct{})
}

func (w *task) Resume() {
	w.mu.Lock()
	defer w.mu.Unlock()
	close(w.paused)
	w.paused = nil
}

// do works for d, in steps of 10 ms, or until ctx ends.
func (w *task) do(ctx context.Context, d time.Duration) error {
	for ; d > 0; d -= 10 * time.Millisecond {
		w.mu.Lock()
		paused := w.paused
		w.mu.Unlock()
		if paused != nil {
			select {
			case <-paused:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return ctx.Err()
}

// run runs a job of d, and returns why it has ended.
func run(ctx context.Context, l *Line, ask Ask, d time.Duration) error {
	if ask.Time == 0 {
		ask.Time = time.Hour
	}
	j, err := l.Enter(ctx, ask)
	if err != nil {
		return err
	}
	defer j.Leave()
	w := &task{}
	j.Attach(w)
	return w.do(j.Context(), d)
}

// Ten tenants whose jobs take long have been there for a while when another one comes: it
// waits for a slice at most, however many they are, and their jobs go on. (Of eleven that
// come at once each has an eleventh.)
func TestNewcomerGoesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := two
		cfg.Memory = 100
		l := New(cfg)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		var done atomic.Int64
		for k := range 10 {
			wg.Go(func() {
				for ctx.Err() == nil {
					if run(ctx, l, Ask{Tenant: fmt.Sprint("bomber", k), Memory: 1}, 13*time.Second) == nil {
						done.Add(1)
					}
				}
			})
		}
		for _, after := range []time.Duration{10 * time.Second, 100 * time.Millisecond, time.Second, 30 * time.Second, 100 * time.Second} {
			time.Sleep(after)
			begin := time.Now()
			if err := run(t.Context(), l, Ask{Tenant: fmt.Sprint("victim", after), Memory: 1}, 1600*time.Millisecond); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(begin); took > 1600*time.Millisecond+2*cfg.Slice {
				t.Errorf("after %v 1.6 s took %v; want a slice more at most", after, took)
			}
		}
		if done.Load() == 0 {
			t.Error("no job of the others has ended")
		}
		cancel()
		wg.Wait()
	})
}

// Each of some tenants that always have jobs gets about the same: one whose jobs are
// shorter than a slice waits for one each time.
func TestShares(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(two)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Second)
		defer cancel()
		got := make([]time.Duration, 3)
		var wg sync.WaitGroup
		for k, each := range []time.Duration{100 * time.Millisecond, 2 * time.Second, 7 * time.Second} {
			wg.Go(func() {
				for ctx.Err() == nil {
					j, err := l.Enter(ctx, Ask{Tenant: fmt.Sprint(k), Memory: 1, Time: time.Hour})
					if err != nil {
						return
					}
					w := &task{}
					j.Attach(w)
					w.do(j.Context(), each)
					got[k] += j.Leave()
				}
			})
		}
		wg.Wait()
		for k, d := range got {
			if d < 40*time.Second || d > 80*time.Second {
				t.Errorf("tenant %d had %v of 200 s on two places; want about a third", k, d)
			}
		}
	})
}

// The jobs of one tenant go in the order in which they came, and no more than so many
// wait.
func TestOrderAndBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := two
		cfg.Places = 1
		l := New(cfg)
		var order []int
		var wg sync.WaitGroup
		for k := range 4 {
			wg.Go(func() {
				j, err := l.Enter(t.Context(), Ask{Tenant: "a", Memory: 1, Time: time.Hour})
				if err != nil {
					t.Error(err)
					return
				}
				defer j.Leave()
				order = append(order, k)
				time.Sleep(time.Second)
			})
			synctest.Wait()
		}
		_, err := l.Enter(t.Context(), Ask{Tenant: "a", Memory: 1, Time: time.Hour})
		if !errors.Is(err, ErrFull) || !errors.Is(err, executor.ErrQuota) {
			t.Errorf("one runs, three wait, and one more comes: got %v, want %v", err, ErrFull)
		}
		other := make(chan error, 1)
		wg.Go(func() { other <- run(t.Context(), l, Ask{Tenant: "b", Memory: 1}, 0) })
		wg.Wait()
		if err := <-other; err != nil {
			t.Errorf("another tenant, whose first job it is: %v", err)
		}
		if !slices.Equal(order, []int{0, 1, 2, 3}) {
			t.Errorf("they went in the order %v", order)
		}
	})
}

// A job that cannot be paused is waited for.
func TestWithoutPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := two
		cfg.Places = 1
		l := New(cfg)
		j, err := l.Enter(t.Context(), Ask{Tenant: "a", Memory: 1, Time: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(5*time.Second, func() { j.Leave() })
		begin := time.Now()
		if err := run(t.Context(), l, Ask{Tenant: "b", Memory: 1}, 0); err != nil || time.Since(begin) != 5*time.Second {
			t.Errorf("got %v after %v, want none after 5s", err, time.Since(begin))
		}
	})
}

func TestPutOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(two)
		if err := run(t.Context(), l, Ask{Tenant: "a", Memory: 1, Time: 3 * time.Second}, time.Hour); !errors.Is(err, ErrTime) {
			t.Errorf("an hour where 3 s were asked for: got %v, want %v", err, ErrTime)
		}
		// Two jobs of 3 have all memory, of a tenant that has had much, and one waits.
		ended := make(chan error, 3)
		for range 3 {
			go func() { ended <- run(t.Context(), l, Ask{Tenant: "a", Memory: 3}, time.Minute) }()
			time.Sleep(farAhead)
		}
		if err := run(t.Context(), l, Ask{Tenant: "b", Memory: 2}, time.Second); err != nil {
			t.Errorf("a tenant that has had nothing: %v", err)
		}
		out := 0
		for range 3 {
			if err := <-ended; errors.Is(err, ErrRoom) {
				out++
			} else if err != nil {
				t.Error(err)
			}
		}
		if out != 1 {
			t.Errorf("%d jobs were put out for one of their size; want 1", out)
		}
	})
}

func TestCanceled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Config{Places: 1, Memory: 1, Waiting: 9, Slice: time.Second})
		gone := errors.New("nobody wants it")
		ctx, cancel := context.WithCancelCause(t.Context())
		ended := make(chan error, 2)
		for range 2 { // one runs, one waits
			go func() { ended <- run(ctx, l, Ask{Tenant: "a", Memory: 1}, time.Hour) }()
		}
		time.Sleep(time.Minute)
		cancel(gone)
		for range 2 {
			if err := <-ended; !errors.Is(err, gone) {
				t.Errorf("got %v, want %v", err, gone)
			}
		}
		if err := run(t.Context(), l, Ask{Tenant: "b", Memory: 5}, 0); err != nil {
			t.Errorf("after that: %v", err)
		}
		if len(l.jobs) != 0 {
			t.Errorf("%d jobs are left", len(l.jobs))
		}
	})
}

// What tenants have had is forgotten, and so are they.
func TestForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(two)
		for k := range 100 {
			if err := run(t.Context(), l, Ask{Tenant: fmt.Sprint(k), Memory: 1}, time.Second); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(20 * halfLife)
		if err := run(t.Context(), l, Ask{Tenant: "last", Memory: 1}, time.Second); err != nil {
			t.Fatal(err)
		}
		if len(l.used) != 1 {
			t.Errorf("%d tenants are remembered after %v, want 1", len(l.used), 20*halfLife)
		}
	})
}

// Whatever comes at once: no more than so many run, they never have more memory than
// there is, and all end.
func TestRandomWalk(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	synctest.Test(t, func(t *testing.T) {
		l := New(two)
		var wg sync.WaitGroup
		for k := range 40 {
			rnd := rand.New(rand.NewPCG(seed, uint64(k)))
			wg.Go(func() {
				for range 10 {
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rnd.IntN(20_000))*time.Millisecond)
					ask := Ask{Tenant: fmt.Sprint(rnd.IntN(5)), Memory: int64(rnd.IntN(9)), Time: time.Duration(1+rnd.IntN(5)) * time.Second}
					_ = run(ctx, l, ask, time.Duration(rnd.IntN(6000))*time.Millisecond)
					cancel()
					time.Sleep(time.Duration(rnd.IntN(1000)) * time.Millisecond)
				}
			})
		}
		stop := make(chan struct{})
		watched := make(chan struct{})
		go func() {
			defer close(watched)
			for {
				select {
				case <-stop:
					return
				case <-time.After(7 * time.Millisecond):
				}
				l.mu.Lock()
				v := view{cfg: l.cfg, jobs: l.jobs}
				if left, _ := v.memory(); v.count(running) > 2 || left < 0 {
					t.Errorf("%d jobs run, and %d memory is left", v.count(running), left)
				}
				if j := v.first(paused); j != nil && v.count(running) < 2 {
					t.Errorf("a place is free, and a paused job of tenant %s has none", j.ask.Tenant)
				}
				l.mu.Unlock()
			}
		}()
		wg.Wait()
		close(stop)
		<-watched
		if len(l.jobs) != 0 {
			t.Errorf("%d jobs are left", len(l.jobs))
		}
	})
}

// Leave of a job that is paused, as its work was killed, does no harm.
func TestLeaveWhilePaused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Config{Places: 1, Memory: 9, Waiting: 9, Slice: time.Second})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- run(ctx, l, Ask{Tenant: "a", Memory: 1}, time.Hour) }()
		time.Sleep(10 * time.Second)
		go func() { _ = run(t.Context(), l, Ask{Tenant: "b", Memory: 1}, 5*time.Second) }()
		time.Sleep(time.Second)
		l.mu.Lock()
		states := []state{l.jobs[0].state, l.jobs[1].state}
		l.mu.Unlock()
		if !slices.Equal(states, []state{paused, running}) {
			t.Errorf("got states %v, want one paused and one running", states)
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		time.Sleep(time.Minute)
	})
}
