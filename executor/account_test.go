package executor_test

import (
	"sync"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/capability"
	"github.com/bungee-xr/bungee/executor"
)

func TestAccountCharges(t *testing.T) {
	tenant := executor.NewTenant("acme", capability.Quota{})
	accounts := []*executor.Account{{Tenant: tenant, Name: "one"}, {Tenant: tenant, Name: "two"}, {}, nil}
	bill := executor.Bill{
		Calls: 1, Failed: 2, BytesIn: 3, BytesOut: 4, HostCalls: 5, MemoryPeak: 6,
		Fuel: 7, CPU: 8, HostTime: 9, MemorySeconds: 0.5,
	}
	const rounds = 100
	var wg sync.WaitGroup
	for _, s := range accounts {
		wg.Go(func() {
			for range rounds {
				s.Charge(bill)
			}
		})
	}
	wg.Wait()
	times := func(n uint64) executor.Bill {
		return executor.Bill{
			Calls: n, Failed: 2 * n, BytesIn: 3 * n, BytesOut: 4 * n, HostCalls: 5 * n, MemoryPeak: 6,
			Fuel: 7 * n, CPU: time.Duration(8 * n), HostTime: time.Duration(9 * n), MemorySeconds: 0.5 * float64(n),
		}
	}
	for _, s := range accounts[:3] {
		if got := s.Bill(); got != times(rounds) {
			t.Errorf("account %q: got %+v, want %+v", s.Name, got, times(rounds))
		}
	}
	if got := tenant.Bill(); got != times(2*rounds) {
		t.Errorf("tenant: got %+v, want that of its two accounts, %+v", got, times(2*rounds))
	}
}

func TestAccountValue(t *testing.T) {
	var s executor.Account
	type key string
	made := 0
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			v := s.Value(key("scratch"), func() any { made++; return new(int) })
			if v != s.Value(key("scratch"), func() any { return nil }) {
				t.Error("one key has two values")
			}
		})
	}
	wg.Wait()
	if made != 1 {
		t.Errorf("made %d values of one key, want 1", made)
	}
	if got := s.Value(key("other"), func() any { return "new" }); got != "new" {
		t.Errorf("another key: got %v", got)
	}
}
