package executor_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bungee-xr/bungee/capability"
	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/internal/guest/guesttest"
	"github.com/bungee-xr/bungee/executor/native"
)

// Tests of pools of fakes, in virtual time.

// A busyFake is a module whose calls take 10 ms each.
func busyFake() *guesttest.Module {
	m := &guesttest.Module{}
	m.Make = func() *guesttest.Raw {
		return &guesttest.Raw{Memory: []byte{0}, OnInvoke: func(fn, _, _ uint32) (uint64, error) {
			time.Sleep(10 * time.Millisecond)
			if fn == fnTrap {
				return 0, executor.ErrTrap
			}
			return guesttest.Reply(0, 1), nil
		}}
	}
	return m
}

// calls makes n calls of p at once and waits for them.
func calls(t *testing.T, p *executor.Pool, n int) {
	t.Helper()
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			if err := p.Call(t.Context(), fnEcho, nil, ignore); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestPoolShrinks(t *testing.T) {
	tests := []struct {
		why         string
		keep        int
		after, left int // 29 s after the last call, and 31 s
	}{
		{"one stays for the next call", 0, 4, 1},
		{"as many as asked for", 3, 4, 3},
		{"none", -1, 4, 0},
		{"more than there are", 9, 4, 4},
	}
	for _, tt := range tests {
		inBubble(t, func(t *testing.T) {
			m := busyFake()
			p := executor.NewPool(m, executor.PoolConfig{Size: 4, Keep: tt.keep})
			defer p.Close()
			calls(t, p, 4)
			for _, step := range []struct {
				wait time.Duration
				want int
			}{{29 * time.Second, tt.after}, {2 * time.Second, tt.left}, {time.Hour, tt.left}} {
				time.Sleep(step.wait)
				if got := p.Stats(); got.Instances != step.want || int(m.Alive.Load()) != step.want {
					t.Errorf("keep %d: got %+v, %d alive; want %d: %s", tt.keep, got, m.Alive.Load(), step.want, tt.why)
				}
			}
			calls(t, p, 4)
			if got := p.Stats(); got.Made != uint64(8-tt.left) || got.Retired != uint64(4-tt.left) {
				t.Errorf("keep %d: after more calls: got %+v", tt.keep, got)
			}
		})
	}
}

// A steady load of one call at a time keeps one instance in use: the others shrink
// away though calls never cease.
func TestPoolShrinksUnderLoad(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p := executor.NewPool(busyFake(), executor.PoolConfig{Size: 4})
		defer p.Close()
		calls(t, p, 4)
		for end := time.Now().Add(time.Minute); time.Now().Before(end); {
			calls(t, p, 1)
		}
		if got := p.Stats(); got.Instances != 1 {
			t.Errorf("got %+v; want one instance", got)
		}
	})
}

func TestPoolServesInOrder(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p := executor.NewPool(busyFake(), executor.PoolConfig{Size: 1})
		defer p.Close()
		var mu sync.Mutex
		var order []int
		var wg sync.WaitGroup
		for k := range 5 {
			wg.Go(func() {
				fn := uint32(fnEcho)
				if k%2 == 1 { // those that wait get another instance
					fn = fnTrap
				}
				if err := p.Call(t.Context(), fn, nil, ignore); err != nil && fn != fnTrap {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				order = append(order, k)
			})
			synctest.Wait()
		}
		wg.Wait()
		if !slices.Equal(order, []int{0, 1, 2, 3, 4}) {
			t.Errorf("calls ended in the order %v", order)
		}
	})
}

func TestPoolQuota(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		m := busyFake()
		tenant := executor.NewTenant("acme", capability.Quota{Instances: 2})
		cfg := executor.PoolConfig{Size: 4, Instance: executor.InstanceConfig{Tenant: tenant}}
		p, q := executor.NewPool(m, cfg), executor.NewPool(m, cfg)
		begin := time.Now()
		calls(t, p, 4)
		if took := time.Since(begin); took != 20*time.Millisecond {
			t.Errorf("4 calls of 10 ms with 2 instances took %v, want 20 ms", took)
		}
		calls(t, q, 1) // p has two that are idle
		if got := p.Stats(); got.Instances != 1 || got.Retired != 1 {
			t.Errorf("got %+v; want one instance given up for the other pool", got)
		}
		p.Close()
		q.Close()
		if got := tenant.Holding(); got != (executor.Holding{}) {
			t.Errorf("after Close: %+v held", got)
		}
	})
}

// While a call finds out that it may not make an instance, the busy one comes free.
func TestPoolQuotaMissesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		m := busyFake()
		tenant := executor.NewTenant("acme", capability.Quota{Instances: 1})
		p := executor.NewPool(m, executor.PoolConfig{Size: 2, Instance: executor.InstanceConfig{Tenant: tenant}})
		defer p.Close()
		if err := p.Warm(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		m.Start = time.Second
		calls(t, p, 2)
	})
}

// Where there is no room for an instance, the one goes that has been idle for longest, of any pool of the tenant; and before
// that what another tenant gives.
func TestIdleInstancesMakeRoom(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		m := busyFake()
		tenant := executor.NewTenant("acme", capability.Quota{})
		var asked []int64
		gives := true
		room := &sharedRoom{left: 2 * executor.DefaultMemory}
		tenant.Share(nil, room, func(n int64) bool {
			asked = append(asked, n)
			if gives {
				room.Release(n)
			}
			return gives
		})
		var pools []*executor.Pool
		for range 4 {
			p := executor.NewPool(m, executor.PoolConfig{Instance: executor.InstanceConfig{Tenant: tenant}})
			defer p.Close()
			calls(t, p, 1)
			pools = append(pools, p)
			gives = len(pools) < 3
		}
		if !slices.Equal(asked, []int64{executor.DefaultMemory, executor.DefaultMemory}) {
			t.Errorf("room was asked for as %v; want that of two instances", asked)
		}
		for k, want := range []int{0, 1, 1, 1} {
			if got := pools[k].Stats().Instances; got != want {
				t.Errorf("pool %d has %d instances, want %d", k, got, want)
			}
		}
		if since, ok := tenant.IdleSince(); !ok || time.Since(since) != 20*time.Millisecond {
			t.Errorf("idle since %v ago, %t; want since the second call", time.Since(since), ok)
		}
	})
}

// While a tenant's only instance makes room for another tenant, a call of it comes: it waits until it may make one again, and is
// not refused for what is about to be given back.
func TestCallWhileItsInstanceMakesRoom(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		m := busyFake()
		m.Stop = time.Second
		tenant := executor.NewTenant("acme", capability.Quota{})
		tenant.Share(nil, &sharedRoom{left: executor.DefaultMemory}, func(int64) bool { return false })
		p := executor.NewPool(m, executor.PoolConfig{Instance: executor.InstanceConfig{Tenant: tenant}})
		defer p.Close()
		calls(t, p, 1)
		var closed sync.WaitGroup
		closed.Go(func() {
			if !tenant.CloseIdle() {
				t.Error("there was no idle instance")
			}
		})
		synctest.Wait()
		begin := time.Now()
		calls(t, p, 1)
		if took := time.Since(begin); took != time.Second+10*time.Millisecond {
			t.Errorf("the call took %v; want a second until the instance is closed, and 10ms", took)
		}
		closed.Wait()
		if got := tenant.Holding(); got.Instances != 1 {
			t.Errorf("%+v is held, want one instance", got)
		}
	})
}

// A call that waits for a core holds no instance: what is idle makes room for another tenant's meanwhile.
func TestCallsThatWaitForACoreHoldNoInstance(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		turns := executor.NewTurns(1)
		tenants := []*executor.Tenant{executor.NewTenant("a", capability.Quota{}), executor.NewTenant("b", capability.Quota{})}
		var pools []*executor.Pool
		for _, tenant := range tenants {
			p := executor.NewPool(busyFake(), executor.PoolConfig{Size: 2, Turns: turns, Instance: executor.InstanceConfig{Tenant: tenant}})
			defer p.Close()
			calls(t, p, 1)
			pools = append(pools, p)
		}
		var both sync.WaitGroup
		for _, p := range pools {
			both.Go(func() { calls(t, p, 1) })
			synctest.Wait()
		}
		if got := pools[1].Stats(); got.Busy != 0 || got.Instances != 1 {
			t.Errorf("while another tenant has the core: %+v; want an idle instance", got)
		}
		if !tenants[1].CloseIdle() {
			t.Error("the instance of a call that waits for a core is in use")
		}
		both.Wait()
		if got := pools[1].Stats(); got.Made != 2 || got.Calls != 2 {
			t.Errorf("%+v; want an instance made anew for the call", got)
		}
	})
}

// A broken instance's memory is given back a piece at a time, and who waits for the core has it between two.
func TestPoolShedsInPieces(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		pieces := 0
		hog, quiet := busyFake(), busyFake()
		make := hog.Make
		hog.Make = func() *guesttest.Raw {
			r := make()
			r.OnShed = func() bool {
				time.Sleep(time.Millisecond)
				pieces++
				return pieces < 100
			}
			return r
		}
		turns := executor.NewTurns(1)
		pool := func(m *guesttest.Module, name string) *executor.Pool {
			p := executor.NewPool(m, executor.PoolConfig{Turns: turns, Instance: executor.InstanceConfig{Tenant: executor.NewTenant(name, capability.Quota{})}})
			t.Cleanup(p.Close)
			return p
		}
		p, q := pool(hog, "hog"), pool(quiet, "quiet")
		calls(t, q, 1)
		var done sync.WaitGroup
		done.Go(func() {
			if err := p.Call(t.Context(), fnTrap, nil, ignore); !errors.Is(err, executor.ErrTrap) {
				t.Error(err)
			}
		})
		time.Sleep(50 * time.Millisecond) // it has trapped, and gives back
		begin := time.Now()
		calls(t, q, 1)
		if took := time.Since(begin); took > 12*time.Millisecond {
			t.Errorf("a call of 10 ms took %v beside an instance that is given back", took)
		}
		done.Wait()
		if pieces != 100 {
			t.Errorf("%d pieces were given back, want 100", pieces)
		}
	})
}

func TestPoolCloseWaitsForRetiring(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		m := busyFake()
		m.Stop = time.Second
		p := executor.NewPool(m, executor.PoolConfig{Size: 4, Idle: time.Second})
		calls(t, p, 4)
		time.Sleep(1500 * time.Millisecond) // three are being closed
		p.Close()
		if got := m.Alive.Load(); got != 0 {
			t.Errorf("after Close: %d instances not closed yet; their module may be closed next", got)
		}
	})
}

// Calls of all kinds in pools of tenants with quotas, at random, and Close in the
// middle: no call is lost, no quota overrun, and nothing is left.
func TestPoolWalk(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	for range 30 {
		s := rnd.Uint64()
		inBubble(t, func(t *testing.T) { poolWalk(t, rand.New(rand.NewPCG(s, 1))) })
	}
}

func poolWalk(t *testing.T, rnd *rand.Rand) {
	m := busyFake()
	m.Start = time.Duration(rnd.IntN(20)) * time.Millisecond
	m.Stop = time.Duration(rnd.IntN(5)) * time.Millisecond
	quota := capability.Quota{Instances: rnd.IntN(4)}
	tenants := []*executor.Tenant{executor.NewTenant("a", quota), executor.NewTenant("b", quota), nil}
	room := &sharedRoom{left: int64(1+rnd.IntN(4)) * executor.DefaultMemory}
	for k, tenant := range tenants[:2] { // each may take the other's idle instances
		tenant.Share(nil, room, func(int64) bool { return tenants[1-k].CloseIdle() })
	}
	turns := executor.NewTurns(2)
	var pools []*executor.Pool
	for k := range 4 {
		pools = append(pools, executor.NewPool(m, executor.PoolConfig{
			Instance: executor.InstanceConfig{Tenant: tenants[k%3]},
			Size:     1 + rnd.IntN(4), Keep: rnd.IntN(3) - 1, Idle: time.Duration(1+rnd.IntN(100)) * time.Millisecond,
			Turns: turns,
		}))
	}
	closing := time.Duration(rnd.IntN(800)) * time.Millisecond
	var wg sync.WaitGroup
	for range 8 {
		rnd := rand.New(rand.NewPCG(rnd.Uint64(), 2))
		wg.Go(func() {
			for range 30 {
				walkCall(t, pools[rnd.IntN(len(pools))], rnd)
				for _, tenant := range tenants[:2] {
					if got := tenant.Holding().Instances; quota.Instances > 0 && got > quota.Instances {
						t.Errorf("%d instances held; the quota is %d", got, quota.Instances)
					}
				}
			}
		})
	}
	wg.Go(func() { time.Sleep(closing); pools[0].Close() })
	wg.Wait()
	for _, p := range pools {
		p.Close()
		if got := p.Stats(); got.Instances != 0 || got.Busy != 0 {
			t.Errorf("after Close: %+v", got)
		}
	}
	if got := m.Alive.Load(); got != 0 || room.overfull {
		t.Errorf("%d instances left; more released than held: %t", got, room.overfull)
	}
	for _, tenant := range tenants[:2] {
		if got := tenant.Holding(); got != (executor.Holding{}) {
			t.Errorf("tenant %s still holds %+v", tenant.Name(), got)
		}
	}
}

// A sharedRoom is room for the instances of several tenants.
type sharedRoom struct {
	mu       sync.Mutex
	left     int64
	overfull bool
}

func (r *sharedRoom) Hold(n int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.left < n {
		return false
	}
	r.left -= n
	return true
}

func (r *sharedRoom) Release(n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.left += n
	r.overfull = r.overfull || r.left > 4*executor.DefaultMemory
}

// walkCall makes a call of some kind.
func walkCall(t *testing.T, p *executor.Pool, rnd *rand.Rand) {
	ctx, cancel := contextOf(t, time.Duration(rnd.IntN(100))*time.Millisecond)
	defer cancel()
	if rnd.IntN(10) == 0 {
		_ = p.Warm(ctx, 2) // it may fail as calls may
		return
	}
	fn, run := uint32(fnEcho), p.Call
	if rnd.IntN(5) == 0 {
		fn = fnTrap
	}
	spare := rnd.IntN(5) == 0
	if spare {
		run = p.Spare
	}
	switch err := run(ctx, fn, nil, ignore); {
	case err == nil && fn == fnEcho, errors.Is(err, executor.ErrNotStarted):
	case spare && errors.Is(err, executor.ErrWanted):
	case errors.Is(err, executor.ErrTrap) && fn == fnTrap:
	default:
		t.Errorf("function %d: %v", fn, err)
	}
}

// poor is a module of whose tenant's fuel a start takes all.
type poor struct {
	guesttest.Module
	tenant *executor.Tenant
}

func (m *poor) Instantiate(ctx context.Context, cfg executor.InstanceConfig) (executor.Instance, error) {
	if _, err := m.tenant.Fuel(); err != nil {
		return nil, err
	}
	return m.Module.Instantiate(ctx, cfg)
}

// A call that finds no fuel to start an instance with is refused at once: no instance
// that is closed or comes free would help.
func TestPoolWithoutFuel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tenant := executor.NewTenant("acme", capability.Quota{FuelPerSecond: 10})
		m := &poor{tenant: tenant}
		cfg := executor.PoolConfig{Instance: executor.InstanceConfig{Tenant: tenant}, Size: 2}
		other, p := executor.NewPool(m, cfg), executor.NewPool(m, cfg)
		defer other.Close()
		defer p.Close()
		if err := other.Warm(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		tenant.Charge(executor.Bill{Fuel: 1000})
		err := p.Call(t.Context(), 0, nil, func(executor.Answer) error { return nil })
		if !errors.Is(err, executor.ErrQuota) || !errors.Is(err, executor.ErrNotStarted) {
			t.Errorf("got %v, want %v", err, executor.ErrQuota)
		}
		if n := other.Stats().Instances; n != 1 {
			t.Errorf("%d idle instances of the tenant are left; want the one that was there", n)
		}
	})
}

// What nobody waits for runs where nobody waits, and ends when somebody does: for a core, a place or an instance.
func TestPoolSpare(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		engine := native.Engine{Functions: func() []native.Func {
			return []native.Func{func(ctx context.Context, _, dst []byte) ([]byte, error) {
				select {
				case <-time.After(10 * time.Millisecond):
					return append(dst, byte(executor.StatusOK)), nil
				case <-ctx.Done():
					return nil, executor.ErrCanceled
				}
			}}
		}}
		m, err := engine.Load(t.Context(), executor.Source{})
		if err != nil {
			t.Fatal(err)
		}
		turns := executor.NewTurns(1)
		other := executor.NewPool(m, executor.PoolConfig{Size: 1, Turns: turns})
		defer other.Close()
		for name, wants := range map[string]struct {
			size  int
			turns *executor.Turns
			by    func(p *executor.Pool) error
		}{
			"the core":     {2, turns, func(*executor.Pool) error { return other.Call(t.Context(), 0, nil, ignore) }},
			"the place":    {1, nil, func(p *executor.Pool) error { return p.Call(t.Context(), 0, nil, ignore) }},
			"both of them": {1, turns, func(p *executor.Pool) error { return p.Call(t.Context(), 0, nil, ignore) }},
		} {
			p := executor.NewPool(m, executor.PoolConfig{Size: wants.size, Turns: wants.turns})
			if err := p.Spare(t.Context(), 0, nil, ignore); err != nil || p.Stats().Made != 1 {
				t.Errorf("%s: without an instance: %v, and %d made", name, err, p.Stats().Made)
			}
			account := &executor.Account{}
			ctx := executor.WithCall(t.Context(), &executor.Call{Account: account})
			if err := p.Spare(ctx, 0, nil, ignore); err != nil || account.Bill().Calls != 1 {
				t.Errorf("%s: nobody wants it: %v, and the bill is %+v", name, err, account.Bill())
			}
			ended := make(chan error)
			go func() { ended <- p.Spare(ctx, 0, nil, ignore) }()
			time.Sleep(3 * time.Millisecond)
			if err := p.Spare(ctx, 0, nil, ignore); err != executor.ErrWanted {
				t.Errorf("%s: a second one beside it: %v", name, err)
			}
			begin := time.Now()
			called := make(chan error)
			go func() { called <- wants.by(p) }()
			if err := <-ended; err != executor.ErrWanted || time.Since(begin) > 0 {
				t.Errorf("%s: it ends with %v after %v", name, err, time.Since(begin))
			}
			if err := <-called; err != nil || time.Since(begin) > 10*time.Millisecond {
				t.Errorf("%s: the call ends with %v after %v, want 10 ms", name, err, time.Since(begin))
			}
			p.Close()
			if err := p.Spare(ctx, 0, nil, ignore); err != executor.ErrWanted {
				t.Errorf("%s: closed: %v", name, err)
			}
		}
	})
}

// A pool closes at once though it has a spare run.
func TestPoolSpareIsClosed(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		m, err := (native.Engine{Functions: func() []native.Func {
			return []native.Func{func(ctx context.Context, _, _ []byte) ([]byte, error) {
				<-ctx.Done()
				return nil, executor.ErrCanceled
			}}
		}}).Load(t.Context(), executor.Source{})
		if err != nil {
			t.Fatal(err)
		}
		p := executor.NewPool(m, executor.PoolConfig{Size: 1})
		if err := p.Warm(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- p.Spare(t.Context(), 0, nil, ignore) }()
		synctest.Wait()
		p.Close()
		if err := <-ended; err != executor.ErrWanted {
			t.Errorf("it ends with %v", err)
		}
	})
}

// Where a tenant has room for one instance, warming more of them ends.
func TestWarmWithoutRoom(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		tenant := executor.NewTenant("acme", capability.Quota{Instances: 1})
		p := executor.NewPool(busyFake(), executor.PoolConfig{Size: 4, Instance: executor.InstanceConfig{Tenant: tenant}})
		defer p.Close()
		if err := p.Warm(t.Context(), 3); err != nil {
			t.Fatal(err)
		}
		if got := p.Stats(); got.Instances != 1 || got.Made > 3 {
			t.Errorf("got %+v, want one instance after three at most", got)
		}
	})
}
