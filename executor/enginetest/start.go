package enginetest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/capability"
	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/internal/instrument"
)

// start checks that what a guest does before its first call is bounded and billed as a
// call is: its start function, _initialize, and what its segments copy.
func (s suite) start(t *testing.T) {
	m := s.metered(t, Guest(t, "startwork"))
	t.Run("Bill", func(t *testing.T) { startBill(t, m) })
	t.Run("Exact", func(t *testing.T) { startExact(t, m) })
	t.Run("NoFuelLeft", func(t *testing.T) { startNoFuelLeft(t, m) })
	t.Run("NotMetered", func(t *testing.T) {
		tenant := executor.NewTenant("acme", capability.Quota{})
		started, err := startFor(t, suite{s.newEngine, false}.module(t, Guest(t, "startwork")), tenant, executor.Limits{}, 0)
		if got := tenant.Bill(); err != nil || got.HostCalls != 2 || got.Fuel != 0 || !slices.Equal(started, []uint32{1, 2}) {
			t.Errorf("got %v, %v and a bill of %+v; want 1, 2 and two host calls", started, err, got)
		}
	})
	for _, guest := range []string{"initspin", "startspin"} {
		t.Run(guest, func(t *testing.T) { startStopped(t, s.metered(t, Guest(t, guest))) })
	}
}

// startFor makes an instance of startwork for tenant, whose host function takes nap. It
// returns what the guest has begun.
func startFor(t *testing.T, m executor.Module, tenant *executor.Tenant, limits executor.Limits, nap time.Duration) (begun []uint32, err error) {
	t.Helper()
	host := pause(func(which uint32) { begun = append(begun, which); <-time.After(nap) })
	in, err := m.Instantiate(t.Context(), executor.InstanceConfig{Host: host, Tenant: tenant, Limits: limits})
	if err == nil {
		if in.Last() != (executor.Bill{}) {
			t.Errorf("before its first call an instance has %+v on the bill of its last", in.Last())
		}
		closed(t, in)
	}
	return begun, err
}

// startBill checks who is billed for what.
func startBill(t *testing.T, m executor.Module) {
	const nap = 2 * time.Millisecond
	tenant := executor.NewTenant("acme", capability.Quota{})
	begun, err := startFor(t, m, tenant, executor.Limits{}, nap)
	got := tenant.Bill()
	if err != nil || !slices.Equal(begun, []uint32{1, 2}) {
		t.Fatalf("got %v, %v; want the start function, then _initialize", begun, err)
	}
	// A round is an operation, and a branch; 1000 rounds each, in two functions that make
	// two calls. 128 bytes are 2 times 64, and 16 elements 2 times 8.
	cost := instrument.DefaultCosts
	want := 2000*uint64(cost.Compute+cost.Branch) + 4*uint64(cost.Call) + 4*uint64(cost.Bulk)
	if got.Fuel != want || got.HostCalls != 2 || got.HostTime < 2*nap || got.CPU <= 0 || got.MemoryPeak != 2<<16 || got.Calls != 0 {
		t.Errorf("got %+v; want %d fuel, CPU, and 2 host calls of %v", got, want, nap)
	}
	account := &executor.Account{Tenant: tenant}
	ctx := executor.WithCall(t.Context(), &executor.Call{Account: account})
	in, err := m.Instantiate(ctx, executor.InstanceConfig{Host: pause(func(uint32) {}), Tenant: tenant})
	if err != nil {
		t.Fatal(err)
	}
	defer closed(t, in)
	if account.Bill().Fuel != want || tenant.Bill().Fuel != 2*want {
		t.Errorf("of two instances the account of one has %d fuel, its tenant %d; want %d and %d", account.Bill().Fuel, tenant.Bill().Fuel, want, 2*want)
	}
}

// startExact checks that a budget for a start is exact, whoever sets it, and that a start
// which fails is billed.
func startExact(t *testing.T, m executor.Module) {
	whole := executor.NewTenant("", capability.Quota{})
	if _, err := startFor(t, m, whole, executor.Limits{}, 0); err != nil {
		t.Fatal(err)
	}
	total := whole.Bill().Fuel
	for _, budget := range budgets(total) {
		limited := executor.NewTenant("limited", capability.Quota{})
		_, err := startFor(t, m, limited, executor.Limits{Fuel: budget}, 0)
		poor := executor.NewTenant("poor", capability.Quota{FuelPerSecond: budget})
		_, poorErr := startFor(t, m, poor, executor.Limits{}, 0)
		for _, err := range []error{err, poorErr} {
			if budget == total && err != nil || budget < total && !is(err, executor.ErrFuel) {
				t.Errorf("a start that takes %d fuel, with %d: got %v", total, budget, err)
			}
		}
		for _, tenant := range []*executor.Tenant{limited, poor} {
			if got := tenant.Bill().Fuel; got != budget {
				t.Errorf("%s: billed %d fuel; want all %d that it had", tenant.Name(), got, budget)
			}
		}
	}
}

// startNoFuelLeft checks that a tenant which has used its fuel starts nothing.
func startNoFuelLeft(t *testing.T, m executor.Module) {
	tenant := executor.NewTenant("greedy", capability.Quota{FuelPerSecond: 1})
	tenant.Charge(executor.Bill{Fuel: 1 << 40})
	begun, err := startFor(t, m, tenant, executor.Limits{}, 0)
	mentions(t, err, executor.ErrQuota, "greedy", "come back in")
	if len(begun) > 0 || tenant.Holding() != (executor.Holding{}) {
		t.Errorf("it has begun %v and holds %+v; want nothing", begun, tenant.Holding())
	}
}

// startStopped checks that a start which spins has cost the time until its deadline.
func startStopped(t *testing.T, m executor.Module) {
	tenant := executor.NewTenant("acme", capability.Quota{})
	ctx, cancel := context.WithTimeout(t.Context(), spinTime)
	defer cancel()
	in, err := m.Instantiate(ctx, executor.InstanceConfig{Tenant: tenant})
	if err == nil {
		closed(t, in)
	}
	mentions(t, err, executor.ErrDeadline)
	if got := tenant.Bill(); got.CPU <= 0 || got.Fuel == 0 || errors.Is(err, executor.ErrFuel) {
		t.Errorf("got a bill of %+v; want CPU and fuel", got)
	}
}
