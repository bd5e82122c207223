package enginetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/capability"
	"github.com/bungee-xr/bungee/executor"
)

// A ledger is a Module that adds up what its instances and their calls cost.
type ledger struct {
	executor.Module
	mu  sync.Mutex
	sum executor.Bill
}

// Instantiate implements [executor.Module].
func (l *ledger) Instantiate(ctx context.Context, cfg executor.InstanceConfig) (executor.Instance, error) {
	// Nobody else charges this call's account meanwhile.
	before := executor.AccountOf(ctx).Bill()
	in, err := l.Module.Instantiate(ctx, cfg)
	start := executor.AccountOf(ctx).Bill()
	l.mu.Lock()
	l.sum.Add(executor.Bill{
		Fuel: start.Fuel - before.Fuel, HostCalls: start.HostCalls - before.HostCalls,
		CPU: start.CPU - before.CPU, MemorySeconds: start.MemorySeconds - before.MemorySeconds,
	})
	l.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return &entered{in, l}, nil
}

// An entered is an instance whose calls are entered in a ledger.
type entered struct {
	executor.Instance
	l *ledger
}

// Call implements [executor.Instance].
func (e *entered) Call(ctx context.Context, fn uint32, request []byte) (executor.Reply, error) {
	r, err := e.Instance.Call(ctx, fn, request)
	e.l.mu.Lock()
	defer e.l.mu.Unlock()
	e.l.sum.Add(e.Last())
	return r, err
}

// ledger checks that the bills of all calls add up to those of the accounts, and these
// to those of the tenants, whatever happens at once (paper 003, 2.7 of its
// specification).
func (s suite) ledger(t *testing.T) {
	const callers, calls = 16, 30
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	l := &ledger{Module: s.metered(t, Guest(t, "basic"))}
	tenants := make([]*executor.Tenant, 3)
	accounts := make([]*executor.Account, callers)
	for k := range tenants {
		tenants[k] = executor.NewTenant(fmt.Sprint("tenant", k), capability.Quota{Weight: k + 1})
	}
	p := executor.NewPool(l, executor.PoolConfig{Size: 4, Turns: executor.NewTurns(2)})
	defer p.Close()
	var wg sync.WaitGroup
	var begun atomic.Uint64
	for k := range accounts {
		accounts[k] = &executor.Account{Tenant: tenants[k%len(tenants)]}
		rnd := rand.New(rand.NewPCG(seed, uint64(k)))
		wg.Go(func() {
			for range calls {
				if mixed(t, p, accounts[k], rnd) {
					begun.Add(1)
				}
			}
		})
	}
	wg.Wait()
	byAccount, byTenant := make([]executor.Bill, len(tenants)), executor.Bill{}
	for k, one := range accounts {
		byAccount[k%len(tenants)].Add(one.Bill())
	}
	for k, one := range tenants {
		same(t, one.Name(), one.Bill(), byAccount[k])
		byTenant.Add(one.Bill())
	}
	same(t, "all", byTenant, l.sum)
	if l.sum.Calls != begun.Load() || l.sum.Failed == 0 || l.sum.Failed == l.sum.Calls {
		t.Errorf("got %d calls of which %d failed; want %d, some failed", l.sum.Calls, l.sum.Failed, begun.Load())
	}
}

// mixed makes a call of some kind billed to account one, and says whether it was entered.
func mixed(t *testing.T, p *executor.Pool, one *executor.Account, rnd *rand.Rand) bool {
	kinds := []struct {
		fn   uint32
		want error
	}{
		{fnEcho, nil}, {fnEcho, nil}, {fnClock, nil}, {fnPanic, nil},
		{fnTrap, executor.ErrTrap}, {fnReplyHuge, executor.ErrABI}, {fnSpin, executor.ErrDeadline},
	}
	kind := kinds[rnd.IntN(len(kinds))]
	limit := time.Minute
	if kind.fn == fnSpin {
		limit = 5 * time.Millisecond // some of which it may wait for an instance
	}
	ctx, cancel := context.WithTimeout(executor.WithCall(t.Context(), &executor.Call{Account: one}), limit)
	defer cancel()
	err := p.Call(ctx, kind.fn, make([]byte, rnd.IntN(100)), ignore)
	switch {
	case is(err, executor.ErrNotStarted) && kind.fn == fnSpin:
		return false
	case kind.want == nil && err != nil, kind.want != nil && !is(err, kind.want):
		t.Errorf("function %d: got %v, want %v", kind.fn, err, kind.want)
	}
	return true
}

// same checks that two bills are, up to the rounding of sums.
func same(t *testing.T, whose string, got, want executor.Bill) {
	t.Helper()
	off := got.MemorySeconds - want.MemorySeconds
	got.MemorySeconds, want.MemorySeconds = 0, 0
	if got != want || off > 1e-3 || off < -1e-3 {
		t.Errorf("bill of %s: got %+v, the sum is %+v, and %v byte-seconds off", whose, got, want, off)
	}
}
