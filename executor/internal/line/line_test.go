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

// run runs a job of d, as often as it is put out, and returns why it has ended.
func run(ctx context.Context, l *Line, ask Ask, d time.Duration) error {
	_, err := turns(ctx, l, ask, d)
	return err
}

// turns is run. It also returns how many turns the job had.
func turns(ctx context.Context, l *Line, ask Ask, d time.Duration) (n int, err error) {
	if ask.Time == 0 {
		ask.Time = time.Hour
	}
	j, err := l.Enter(ctx, ask)
	if err != nil {
		return 0, err
	}
	defer j.Leave()
	for {
		n++
		w := &task{}
		j.Attach(w)
		if err := w.do(j.Context(), d); !errors.Is(err, ErrRoom) {
			return n, err
		}
		if err := j.Again(ctx); err != nil {
			return n, err
		}
	}
}

// Ten tenants whose jobs take long have been there for a while when another one comes: it
// waits for a slice at most, however many they are, and their jobs go on. (Of eleven that
// come at once each has an eleventh.)
func TestNewcomerGoesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := two
		cfg.Memory = 100
		l := New(cfg)
		stop := bombard(t, l, Ask{Memory: 1}, 13*time.Second)
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
		if stop() == 0 {
			t.Error("no job of the others has ended")
		}
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

func TestOutOfTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if err := run(t.Context(), New(two), Ask{Tenant: "a", Memory: 1, Time: 3 * time.Second}, time.Hour); !errors.Is(err, ErrTime) {
			t.Errorf("an hour where 3 s were asked for: got %v, want %v", err, ErrTime)
		}
	})
}

// bombard has ten tenants send jobs of d, each the next one when the last one has ended, until stop is called, which says
// how many have ended.
func bombard(t *testing.T, l *Line, ask Ask, d time.Duration) (stop func() (ended int64)) {
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var done atomic.Int64
	for k := range 10 {
		ask := ask
		ask.Tenant = fmt.Sprint("bomber", k)
		wg.Go(func() {
			for run(ctx, l, ask, d) == nil {
				done.Add(1)
			}
			if ctx.Err() == nil {
				t.Errorf("a job of %s was refused", ask.Tenant)
			}
		})
	}
	return func() int64 { cancel(); wg.Wait(); return done.Load() }
}

// Ten tenants fill all places and all memory with jobs that never end. Another tenant's job,
// which takes what is usual, takes three times as long as alone at most, whether they came
// a second before or have been there for long.
func TestNewcomerBesideBombs(t *testing.T) {
	const alone = 3500 * time.Millisecond
	for _, before := range []time.Duration{time.Second, 5 * time.Second, 20 * time.Second, 10 * time.Minute} {
		t.Run(before.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := two
				cfg.Places = 1
				l := New(cfg)
				stop := bombard(t, l, Ask{Memory: cfg.Memory / 3, Usual: 500 * time.Millisecond}, time.Hour)
				defer stop()
				time.Sleep(before)
				begin := time.Now()
				if err := run(t.Context(), l, Ask{Tenant: "newcomer", Memory: 2, Usual: 5 * time.Second}, alone); err != nil {
					t.Fatal(err)
				}
				took := time.Since(begin)
				t.Logf("%v where it takes %v alone", took, alone)
				if took > 3*alone {
					t.Errorf("it took %v, want 3 times %v at most", took, alone)
				}
			})
		})
	}
}

// A job that takes far longer than is usual needs all memory, and each 3 s another tenant
// that has had nothing needs some. It is put out for the first one, and ends in its second
// turn; all others end, too.
func TestSlowEndsBesideNewcomers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := two
		cfg.Places = 1
		l := New(cfg)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			for k := 0; ctx.Err() == nil; k++ {
				time.Sleep(3 * time.Second)
				wg.Go(func() {
					ask := Ask{Tenant: fmt.Sprint("newcomer", k), Memory: 1, Usual: 1500 * time.Millisecond}
					if err := run(t.Context(), l, ask, time.Second); err != nil {
						t.Error(err)
					}
				})
			}
		})
		begin := time.Now()
		n, err := turns(t.Context(), l, Ask{Tenant: "slow", Memory: cfg.Memory, Usual: time.Second}, 20*time.Second)
		if took := time.Since(begin); err != nil || n != 2 || took > 30*time.Second {
			t.Errorf("got %v after %d turns and %v; want none after 2 and 30 s at most", err, n, took)
		}
		cancel()
		wg.Wait()
	})
}

// Two tenants' jobs take far longer than is usual, and there is memory for one only: each
// ends, one after the other.
func TestSlowOnesEndBesideEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(two)
		begin := time.Now()
		var wg sync.WaitGroup
		for k := range 2 {
			wg.Go(func() {
				ask := Ask{Tenant: fmt.Sprint("slow", k), Memory: two.Memory, Usual: time.Second}
				if err := run(t.Context(), l, ask, time.Minute); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if took := time.Since(begin); took > 2*time.Minute+10*time.Second {
			t.Errorf("two jobs of a minute took %v; want no more than 10 s longer", took)
		}
	})
}

// Of tenants that come at once the one whose job should end first goes first, and none is
// interrupted for another: the last one has waited for all, the others not as long.
func TestShortestFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := two
		cfg.Places, cfg.Memory = 1, 100
		l := New(cfg)
		first, err := l.Enter(t.Context(), Ask{Tenant: "first", Memory: 1, Time: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		begin, ended := time.Now(), make([]time.Duration, 5)
		var wg sync.WaitGroup
		for k := range ended {
			wg.Go(func() {
				long := time.Duration(5-k) * time.Second
				if err := run(t.Context(), l, Ask{Tenant: fmt.Sprint(k), Memory: 1, Usual: long + time.Second}, long); err != nil {
					t.Error(err)
				}
				ended[k] = time.Since(begin)
			})
			synctest.Wait()
		}
		first.Leave()
		wg.Wait()
		if want := []time.Duration{15 * time.Second, 10 * time.Second, 6 * time.Second, 3 * time.Second, time.Second}; !slices.Equal(ended, want) {
			t.Errorf("jobs of 5, 4, 3, 2 and 1 s ended after %v, want %v", ended, want)
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
					ask := Ask{Tenant: fmt.Sprint(rnd.IntN(5)), Memory: int64(rnd.IntN(9)), Usual: time.Duration(rnd.IntN(3000)) * time.Millisecond, Time: time.Duration(1+rnd.IntN(5)) * time.Second}
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
