package enginetest

import (
	"context"
	"encoding/binary"
	"math"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/capability"
	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/internal/instrument"
	"github.com/bungee-xr/bungee/internal/abi"
)

// Functions of the guest meter.wat.
const (
	meterGrow = iota
	meterCompute
	meterForEver
)

// pause is what meter.wat imports.
func pause(f func(pages uint32)) []executor.HostFuncs {
	return []executor.HostFuncs{{Name: "test", New: func() ([]executor.HostFunc, func()) {
		return []executor.HostFunc{{Name: "pause", Params: "i", Call: func(_ context.Context, _ executor.Memory, stack []uint64) error {
			f(uint32(stack[0]))
			return nil
		}}}, nil
	}}}
}

// rounds is a request to meter.wat.
func rounds(n uint32) string { return string(binary.LittleEndian.AppendUint32(nil, n)) }

// fuel checks that fuel is counted, and that a budget is exact.
func (s suite) fuel(t *testing.T) {
	m := s.metered(t, Guest(t, "meter"))
	cfg := executor.InstanceConfig{Host: pause(func(uint32) {})}
	t.Run("Count", func(t *testing.T) { fuelCount(t, m, cfg) })
	t.Run("Exact", func(t *testing.T) {
		for _, fn := range []uint32{meterCompute, meterGrow} {
			exact(t, m, cfg, fn, used(t, m, cfg, fn, 2))
		}
	})
	t.Run("ForEver", func(t *testing.T) {
		cfg := cfg
		cfg.Limits.Fuel = 1_000_000
		in := instance(t, m, cfg)
		_, err := in.Call(t.Context(), meterForEver, nil)
		mentions(t, err, executor.ErrFuel)
		if got := in.Last().Fuel; got < 990_000 || got > 1_000_000 {
			t.Errorf("got %d fuel used of 1000000", got)
		}
		mustDiscard(t, in)
	})
	t.Run("BudgetIsACalls", func(t *testing.T) {
		cfg := cfg
		cfg.Limits.Fuel = used(t, m, cfg, meterCompute, 1000)
		in := instance(t, m, cfg)
		for range 3 {
			call(t, in, meterCompute, rounds(1000), abi.OK)
		}
	})
	t.Run("TenantsRate", func(t *testing.T) { s.fuelRate(t, m, cfg) })
	t.Run("NotMetered", func(t *testing.T) {
		m := s.module(t, Guest(t, "meter"))
		limited := cfg
		limited.Limits.Fuel = 1
		in, err := m.Instantiate(t.Context(), limited)
		if err == nil {
			closed(t, in)
			t.Error("a limit on fuel of a module that is not metered: got no error")
		}
	})
}

// used returns the fuel that fn takes for n rounds, in an instance of its own.
func used(t *testing.T, m executor.Module, cfg executor.InstanceConfig, fn, n uint32) uint64 {
	t.Helper()
	in := instance(t, m, cfg)
	call(t, in, fn, rounds(n), abi.OK)
	return in.Last().Fuel
}

// fuelCount checks that the count is the same each time, and on each engine.
func fuelCount(t *testing.T, m executor.Module, cfg executor.InstanceConfig) {
	in := instance(t, m, cfg)
	want := used(t, m, cfg, meterCompute, 1000)
	for range 100 {
		if call(t, in, meterCompute, rounds(1000), abi.OK); in.Last().Fuel != want {
			t.Fatalf("got %d fuel, want %d as in another instance", in.Last().Fuel, want)
		}
	}
	// A round is seven operations and a branch.
	cost := instrument.DefaultCosts
	round := 7*uint64(cost.Compute) + uint64(cost.Branch)
	few, many := used(t, m, cfg, meterCompute, 10), used(t, m, cfg, meterCompute, 1010)
	if many-few != 1000*round {
		t.Errorf("1000 rounds took %d fuel, want %d", many-few, 1000*round)
	}
}

// exact checks that fn on 2 rounds, which takes total fuel, succeeds with that
// and fails with each smaller budget, and never uses more. Less fuel is not more calls
// of host functions.
func exact(t *testing.T, m executor.Module, cfg executor.InstanceConfig, fn uint32, total uint64) {
	t.Helper()
	calls := uint64(math.MaxUint64)
	for _, budget := range budgets(total) {
		cfg.Limits.Fuel = budget
		in, err := m.Instantiate(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		_, err = in.Call(t.Context(), fn, []byte(rounds(2)))
		if budget == total && err != nil || budget < total && !is(err, executor.ErrFuel) {
			t.Errorf("function %d, which takes %d fuel, with %d: got %v", fn, total, budget, err)
		}
		if used := in.Last().Fuel; used > budget {
			t.Errorf("function %d used %d fuel of %d", fn, used, budget)
		}
		if n := in.Last().HostCalls; n > calls {
			t.Errorf("function %d with %d fuel made %d host calls, with more fuel %d", fn, budget, n, calls)
		} else {
			calls = n
		}
		closed(t, in)
	}
}

// budgets returns total, the one below, and up to 200 smaller ones: each there is where
// total is small.
func budgets(total uint64) []uint64 {
	all := []uint64{total}
	step := max(1, total/200)
	for b := total - 1; b >= 1 && b < total; b -= min(b, step) {
		all = append(all, b)
	}
	return all
}

// fuelRate checks that a tenant who has used its fuel is told to come back.
func (s suite) fuelRate(t *testing.T, m executor.Module, cfg executor.InstanceConfig) {
	in := instance(t, m, cfg)
	call(t, in, meterCompute, rounds(1000), abi.OK)
	// One call a second.
	tenant := executor.NewTenant("greedy", capability.Quota{FuelPerSecond: in.Last().Fuel})
	cfg.Tenant = tenant
	p := executor.NewPool(m, executor.PoolConfig{Instance: cfg, Size: 1})
	defer p.Close()
	ctx := executor.WithCall(t.Context(), &executor.Call{Account: &executor.Account{Tenant: tenant}})
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var last error
	for range 1000 {
		if last = p.Call(ctx, meterCompute, []byte(rounds(1000)), ignore); last != nil {
			break
		}
	}
	if !is(last, executor.ErrFuel) { // it had some left, but not enough
		mentions(t, last, executor.ErrNotStarted)
		mentions(t, last, executor.ErrQuota, "greedy")
	}
}

func ignore(executor.Answer) error { return nil }
