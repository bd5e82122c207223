package executor_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bungee-xr/bungee/capability"
	"github.com/bungee-xr/bungee/executor"
)

// weighted returns a tenant that has weight w.
func weighted(name string, w int) *executor.Tenant {
	return executor.NewTenant(name, capability.Quota{Weight: w})
}

// contextOf returns a context of the test that ends after d.
func contextOf(t *testing.T, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), d)
}

// seen returns a tenant that has had a core before, so that it comes by a claim.
func seen(t *testing.T, turns *executor.Turns, name string) *executor.Tenant {
	t.Helper()
	tenant := weighted(name, 1)
	take(t, turns, tenant).Done()
	return tenant
}

// take takes a core, which there must be at once.
func take(t *testing.T, turns *executor.Turns, tenant *executor.Tenant) *executor.Turn {
	t.Helper()
	begin := time.Now()
	u, err := turns.Take(t.Context(), tenant)
	if err != nil {
		t.Fatal(err)
	}
	if waited := time.Since(begin); waited != 0 {
		t.Errorf("waited %v for a core; want one at once", waited)
	}
	return u
}

// await waits for a core.
func await(t *testing.T, turns *executor.Turns, tenant *executor.Tenant) *executor.Turn {
	t.Helper()
	u, err := turns.Take(t.Context(), tenant)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestTurnsInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := executor.NewTurns(1)
		first := take(t, turns, nil)
		var order []int
		var wg sync.WaitGroup
		for k := range 5 {
			wg.Go(func() {
				u, err := turns.Take(t.Context(), nil)
				if err != nil {
					t.Error(err)
				}
				order = append(order, k)
				u.Done()
			})
			synctest.Wait() // so that they come in this order
		}
		first.Done()
		first.Done() // as it may be
		wg.Wait()
		if !slices.Equal(order, []int{0, 1, 2, 3, 4}) {
			t.Errorf("calls of one tenant got their turns in the order %v", order)
		}
		if u := take(t, turns, nil); u != nil {
			u.Done()
		}
	})
}

// spin runs calls of tenant one after the other for span, each of them length long,
// and yields each millisecond. It returns the time on a core.
func spin(t *testing.T, turns *executor.Turns, tenant *executor.Tenant, length, span time.Duration) (had time.Duration) {
	return spinIn(t.Context(), t, turns, tenant, length, span)
}

// spinIn is spin for the account of ctx.
func spinIn(ctx context.Context, t *testing.T, turns *executor.Turns, tenant *executor.Tenant, length, span time.Duration) (had time.Duration) {
	for end := time.Now().Add(span); time.Now().Before(end); {
		u, err := turns.Take(ctx, tenant)
		if err != nil {
			t.Error(err)
			return had
		}
		for call := time.Duration(0); call < length && time.Now().Before(end); call += time.Millisecond {
			time.Sleep(time.Millisecond) // virtual: on the core
			had += time.Millisecond
			u.Yield(ctx)
		}
		u.Done()
	}
	return had
}

func TestTurnsAreShared(t *testing.T) {
	type tenant struct{ weight, calls int }
	tests := []struct {
		name  string
		why   string
		cores int
		all   []tenant
		want  []float64 // shares of all cores
	}{
		{"Equal", "zero means one", 1, []tenant{{0, 1}, {1, 1}}, []float64{0.5, 0.5}},
		{"Weights", "by weight", 1, []tenant{{1, 1}, {3, 1}}, []float64{0.25, 0.75}},
		{"ManyCalls", "more calls at once are not more cores", 1, []tenant{{1, 8}, {1, 1}}, []float64{0.5, 0.5}},
		{"Cores", "a call has one core", 2, []tenant{{1, 8}, {1, 1}}, []float64{0.5, 0.5}},
		{"Idle", "what the other cannot use is free", 2, []tenant{{1, 8}, {100, 1}}, []float64{0.5, 0.5}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Log(tt.why)
			synctest.Test(t, func(t *testing.T) {
				const span = 10 * time.Second
				turns := executor.NewTurns(tt.cores)
				had := make([]atomic.Int64, len(tt.all))
				var wg sync.WaitGroup
				for k, one := range tt.all {
					tenant := weighted(tt.name, one.weight)
					for c := range one.calls {
						length := time.Duration(100+c) * time.Millisecond // between two, others have it for a moment
						wg.Go(func() { had[k].Add(int64(spin(t, turns, tenant, length, span))) })
					}
				}
				wg.Wait()
				for k, want := range tt.want {
					got := time.Duration(had[k].Load()).Seconds() / span.Seconds() / float64(tt.cores)
					if got < want-0.03 || got > want+0.03 {
						t.Errorf("tenant %d got %.3f of the cores, want %.2f", k, got, want)
					}
				}
			})
		})
	}
}

// A tenant that comes back after others have computed for long has no claim to make
// up for: it wanted nothing meanwhile.
func TestTurnsOwesNothing(t *testing.T) {
	const short, long = 3 * time.Millisecond, time.Second
	for _, tt := range []struct {
		name   string
		yield  bool          // the first one does, where the engine can suspend it
		length time.Duration // of the calls that follow
	}{{"Suspended", true, long}, {"NotSuspended", false, long}, {"ShortCalls", false, short}} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				turns := executor.NewTurns(1)
				busy, late := weighted("busy", 1), weighted("late", 1)
				u := take(t, turns, busy)
				for range 10_000 {
					time.Sleep(time.Millisecond)
					if tt.yield {
						u.Yield(t.Context())
					}
				}
				var wg sync.WaitGroup
				var had, other time.Duration
				wg.Go(func() { had = spin(t, turns, late, tt.length, 400*time.Millisecond) })
				synctest.Wait()
				u.Done()
				wg.Go(func() { other = spin(t, turns, busy, tt.length, 400*time.Millisecond) })
				wg.Wait()
				if had < 180*time.Millisecond || other < 180*time.Millisecond {
					t.Errorf("the late one had %v and the other %v of 400 ms; want half each", had, other)
				}
			})
		})
	}
}

// A tenant of short calls keeps its claim though others come while it has the core: beside ten that compute all the time
// it waits for a step of each at most, and seldom for that.
func TestTurnsKeepClaim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := executor.NewTurns(1)
		quiet := weighted("quiet", 1)
		u := take(t, turns, weighted("before", 1))
		time.Sleep(time.Second)
		u.Done()
		u = take(t, turns, quiet)
		time.Sleep(time.Millisecond)
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() { spin(t, turns, weighted("busy", 1), time.Hour, time.Second) })
			synctest.Wait()
		}
		u.Done()
		for range 5 {
			begin := time.Now()
			v, err := turns.Take(t.Context(), quiet)
			if err != nil {
				t.Fatal(err)
			}
			if waited := time.Since(begin); waited > 33*time.Millisecond {
				t.Errorf("waited %v; want 3 ms for each of ten, and the rest of a step", waited)
			}
			time.Sleep(time.Millisecond)
			v.Done()
			time.Sleep(100 * time.Millisecond)
		}
		wg.Wait()
	})
}

// Ten tenants that have just come, each with short calls all the time, do not compute before one that was there and has used up most of its claim.
func TestNewcomersHaveNoClaim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := executor.NewTurns(1)
		quiet := seen(t, turns, "quiet")
		busy := take(t, turns, weighted("busy", 1))
		time.Sleep(time.Second)
		u := take(t, turns, quiet)
		var wg sync.WaitGroup
		wg.Go(func() { spin(t, turns, weighted("waits", 1), time.Hour, time.Second) })
		synctest.Wait()
		time.Sleep(15 * time.Millisecond)
		for range 10 {
			tenant := weighted("newcomer", 1)
			wg.Go(func() {
				for range 300 {
					v, err := turns.Take(t.Context(), tenant)
					if err != nil {
						t.Error(err)
						return
					}
					time.Sleep(100 * time.Microsecond)
					v.Done()
				}
			})
		}
		synctest.Wait()
		busy.Done()
		u.Done()
		begin := time.Now()
		v := await(t, turns, quiet)
		if waited := time.Since(begin); waited > 3*time.Millisecond {
			t.Errorf("waited %v for those who came later; want a step of one of them at most", waited)
		}
		v.Done()
		wg.Wait()
	})
}

// A call that was held up while it had the core, and used little of it, is not behind those that compute, nor is its tenant's next one.
func TestTurnsSettle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := executor.NewTurns(1)
		quiet := weighted("quiet", 1)
		u := take(t, turns, quiet)
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() { spin(t, turns, weighted("busy", 1), time.Hour, 3*time.Second) })
			synctest.Wait()
		}
		for range 5 {
			time.Sleep(200 * time.Millisecond) // the operating system has other threads
			u.Settle(time.Millisecond)
			u.Done()
			time.Sleep(100 * time.Millisecond)
			begin := time.Now()
			u = await(t, turns, quiet)
			if waited := time.Since(begin); waited > 33*time.Millisecond {
				t.Errorf("waited %v; want 3 ms for each of ten, and the rest of a step", waited)
			}
		}
		u.Done()
		wg.Wait()
	})
}

// Who says that he used more than he had the core is charged for that alone.
func TestTurnsSettleForMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const step = 10 * time.Millisecond
		turns := executor.NewTurns(1)
		var wg sync.WaitGroup
		var had [2]atomic.Int64 // of a, which says too much, and b
		for i, used := range []time.Duration{time.Hour, step} {
			tenant := weighted("tenant", 1)
			wg.Go(func() {
				for range 50 {
					u := await(t, turns, tenant)
					time.Sleep(step)
					u.Settle(used)
					u.Done()
					had[i].Add(int64(step))
					if a, b := time.Duration(had[0].Load()), time.Duration(had[1].Load()); a < b-3*step {
						t.Errorf("a has had %v and b %v; want equal shares", a, b)
					}
				}
			})
		}
		wg.Wait()
	})
}

func TestYieldAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := executor.NewTurns(2)
		u := take(t, turns, nil)
		defer u.Done()
		begin := time.Now()
		if !u.Yield(t.Context()) || time.Since(begin) != 0 {
			t.Errorf("yield to nobody: took %v; want true at once", time.Since(begin))
		}
		u.Done()
		if u.Yield(t.Context()) {
			t.Error("yield of a turn that is done: got true; it has no core")
		}
	})
}

func TestYieldPastTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := executor.NewTurns(1)
		mine, other, short := weighted("mine", 1), seen(t, turns, "other"), seen(t, turns, "short")
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		u := take(t, turns, mine)
		time.Sleep(46 * time.Millisecond)
		lane := take(t, turns, short) // in the lane, so that the other one waits for a core
		defer lane.Done()
		var wg sync.WaitGroup
		wg.Go(func() {
			v, err := turns.Take(t.Context(), other)
			if err != nil {
				t.Error(err)
			}
			time.Sleep(time.Second)
			v.Done()
		})
		synctest.Wait()
		begin := time.Now()
		if u.Yield(ctx) || time.Since(begin) != 4*time.Millisecond {
			t.Errorf("yield to one who does not end: took %v; want false at the end of ctx, after 4 ms", time.Since(begin))
		}
		u.Done() // it has no core to give back
		wg.Wait()
		take(t, turns, mine).Done()
	})
}

func TestTakeEndsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := executor.NewTurns(1)
		u := take(t, turns, nil)
		stale := errors.New("frame is stale")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, stale)
		defer cancel()
		if _, err := turns.Take(ctx, nil); !errors.Is(err, stale) {
			t.Errorf("got %v, want %v", err, stale)
		}
		u.Done()
		take(t, turns, nil).Done()
	})
}

func TestAside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := executor.NewTurns(1)
		u := take(t, turns, nil)
		ctx := executor.WithCall(t.Context(), &executor.Call{Turn: u})
		executor.Aside(ctx, func() { take(t, turns, nil).Done() })
		if !u.Yield(ctx) {
			t.Error("after Aside: the call has no core")
		}
		u.Done()

		ran := 0
		executor.Aside(t.Context(), func() { ran++ })
		executor.Aside(executor.WithCall(t.Context(), &executor.Call{}), func() { ran++ })
		if ran != 2 {
			t.Errorf("calls without a turn: ran %d of 2 waits", ran)
		}
	})
}

// A random walk: calls of some tenants that compute, wait aside, yield and give up.
// No more run than there are cores and fast lanes, and no core is free while one waits.
func TestTurnsWalk(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	for range 20 {
		synctest.Test(t, func(t *testing.T) { newWalk(1+rnd.IntN(3)).run(t, 1+rnd.IntN(8), rnd.Uint64()) })
	}
}

type walk struct {
	turns   *executor.Turns
	cores   int64
	running atomic.Int64 // calls that have a core
	wanting atomic.Int64 // calls that have one or wait for one
}

func newWalk(cores int) *walk {
	return &walk{turns: executor.NewTurns(cores), cores: int64(cores)}
}

func (w *walk) run(t *testing.T, callers int, seed uint64) {
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	tenants := []*executor.Tenant{nil, weighted("light", 1), weighted("heavy", 4)}
	var wg sync.WaitGroup
	for c := range callers {
		rnd := rand.New(rand.NewPCG(seed, uint64(c)))
		wg.Go(func() {
			for ctx.Err() == nil {
				time.Sleep(time.Duration(rnd.IntN(3000)) * time.Microsecond)
				w.call(ctx, tenants[rnd.IntN(len(tenants))], rnd)
			}
		})
	}
	for ctx.Err() == nil {
		time.Sleep(777 * time.Microsecond)
		synctest.Wait()
		least, most := min(w.cores, w.wanting.Load()), min(2*w.cores, w.wanting.Load()) // each core has a fast lane
		if got := w.running.Load(); got < least || got > most {
			t.Fatalf("%d of %d calls run on %d cores, want %d to %d", got, w.wanting.Load(), w.cores, least, most)
		}
	}
	wg.Wait()
}

// call makes a call of a few steps.
func (w *walk) call(ctx context.Context, tenant *executor.Tenant, rnd *rand.Rand) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(rnd.IntN(20_000))*time.Microsecond)
	defer cancel()
	w.wanting.Add(1)
	defer w.wanting.Add(-1)
	u, err := w.turns.Take(ctx, tenant)
	if err != nil {
		return
	}
	defer u.Done()
	ctx = executor.WithCall(ctx, &executor.Call{Turn: u})
	for held := true; held && rnd.IntN(5) > 0; {
		w.running.Add(1)
		time.Sleep(time.Duration(rnd.IntN(2000)) * time.Microsecond)
		w.running.Add(-1)
		if rnd.IntN(3) == 0 {
			executor.Aside(ctx, func() {
				w.wanting.Add(-1)
				time.Sleep(time.Duration(rnd.IntN(2000)) * time.Microsecond)
				w.wanting.Add(1)
			})
		}
		held = u.Yield(ctx)
	}
}

// Calls of a few milliseconds are not cut in pieces for each other, and one that goes on is.
func TestYieldAfterASlice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := executor.NewTurns(1)
		first, err := turns.Take(t.Context(), executor.NewTenant("first", capability.Quota{}))
		if err != nil {
			t.Fatal(err)
		}
		told := 0
		first.OnWanted(func() { told++ })
		served := make(chan struct{})
		go func() {
			second, err := turns.Take(t.Context(), executor.NewTenant("second", capability.Quota{}))
			if err != nil {
				t.Error(err)
			}
			close(served)
			second.Done()
		}()
		synctest.Wait()
		if told != 1 {
			t.Errorf("told %d times that a core is wanted, want once", told)
		}
		time.Sleep(5 * time.Millisecond)
		if !first.Yield(t.Context()) {
			t.Error("lost its core after 5 ms")
		}
		select {
		case <-served:
			t.Error("gave its core up after 5 ms")
		default:
		}
		time.Sleep(6 * time.Millisecond)
		if !first.Yield(t.Context()) {
			t.Error("did not get its core back")
		}
		select {
		case <-served:
		default:
			t.Error("did not give its core up after 11 ms")
		}
		first.Done()
	})
}

// A spare turn is one of a core that nobody has.
func TestTakeSpare(t *testing.T) {
	turns := executor.NewTurns(2)
	tenant := weighted("t", 1)
	first := turns.TakeSpare(tenant, func() {})
	second, err := turns.Take(t.Context(), tenant)
	if first == nil || err != nil || turns.InUse() != 1 {
		t.Fatalf("%v, %v, and %d in use; want two turns, of which the spare one is not counted", first, err, turns.InUse())
	}
	if turns.TakeSpare(nil, func() {}) != nil {
		t.Error("a third turn of two")
	}
	first.Done()
	third := turns.TakeSpare(nil, func() {})
	if third == nil || turns.InUse() != 1 {
		t.Fatalf("%v, and %d in use; want the turn that came back", third, turns.InUse())
	}
	third.Done()
	second.Done()
	if n := turns.InUse(); n != 0 {
		t.Errorf("%d in use at the end", n)
	}
}

// A spare turn is told once that others wait, gives its core to them when it yields, and waits for none.
func TestSpareTurnGivesWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := executor.NewTurns(1)
		tenant := weighted("t", 1)
		told := make(chan struct{}, 9)
		spare := turns.TakeSpare(nil, func() { told <- struct{}{} })
		if !spare.Yield(t.Context()) {
			t.Fatal("it yields to nobody")
		}
		got := make(chan *executor.Turn)
		go func() {
			u, err := turns.Take(t.Context(), tenant)
			if err != nil {
				t.Error(err)
			}
			got <- u
		}()
		<-told
		if spare.Yield(t.Context()) {
			t.Error("it keeps a core that is wanted")
		}
		other := <-got
		if spare.Yield(t.Context()) || turns.InUse() != 1 {
			t.Errorf("%d turns have a core, want the other one", turns.InUse())
		}
		// A host function that wants its core back.
		for len(told) > 0 {
			<-told
		}
		ctx := executor.WithCall(t.Context(), &executor.Call{Turn: spare})
		executor.Aside(ctx, func() {})
		if len(told) != 1 {
			t.Errorf("told %d times that there is no core, want once", len(told))
		}
		other.Done()
		executor.Aside(ctx, func() {})
		if turns.TakeSpare(nil, func() {}) != nil {
			t.Error("it does not take a core that is free")
		}
		spare.Done()
		if n := turns.InUse(); n != 0 {
			t.Errorf("%d in use at the end", n)
		}
	})
}
