package executor_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bungee-xr/bungee/executor"
)

// The accounts of a tenant share what it has to equal parts, however many calls each makes, and another tenant has what it had without them.
func TestAccountsShareTheirTenants(t *testing.T) {
	tests := []struct {
		name  string
		why   string
		calls []int     // of each account, at once
		want  []float64 // shares of the core
		other float64   // another tenant's, which is there unless it is 0
	}{
		{"ManyCalls", "more calls at once are not more time", []int{8, 1}, []float64{0.5, 0.5}, 0},
		{"BesideATenant", "who has many calls takes from his own tenant", []int{8, 1}, []float64{0.25, 0.25}, 0.5},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Log(tt.why)
			synctest.Test(t, func(t *testing.T) {
				const span = 20 * time.Second
				turns, tenant := executor.NewTurns(1), weighted(tt.name, 1)
				had := make([]atomic.Int64, len(tt.calls)+1)
				var wg sync.WaitGroup
				run := func(k, n int, tenant *executor.Tenant, ctx context.Context) {
					for range n {
						wg.Go(func() { had[k].Add(int64(spinIn(ctx, t, turns, tenant, 10*time.Millisecond, span))) })
					}
				}
				for k, calls := range tt.calls {
					a := &executor.Account{Tenant: tenant}
					run(k, calls, tenant, executor.WithCall(t.Context(), &executor.Call{Account: a}))
				}
				if tt.other > 0 {
					run(len(tt.calls), 1, weighted("other", 1), t.Context())
				}
				wg.Wait()
				for k, want := range append(tt.want, tt.other) {
					got := time.Duration(had[k].Load()).Seconds() / span.Seconds()
					if got < want-0.03 || got > want+0.03 || want > 0 && got == 0 {
						t.Errorf("account %d got %.3f of the core, want %.2f", k, got, want)
					}
				}
			})
		})
	}
}

// An account that comes back after the others of its tenant have computed for long has no claim to make up for.
func TestAccountsOweNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns, tenant := executor.NewTurns(1), weighted("t", 1)
		in := func() context.Context {
			return executor.WithCall(t.Context(), &executor.Call{Account: &executor.Account{Tenant: tenant}})
		}
		busy, late := in(), in()
		spinIn(busy, t, turns, tenant, time.Second, 10*time.Second)
		var wg sync.WaitGroup
		var had, other time.Duration
		wg.Go(func() { had = spinIn(late, t, turns, tenant, time.Second, 400*time.Millisecond) })
		wg.Go(func() { other = spinIn(busy, t, turns, tenant, time.Second, 400*time.Millisecond) })
		wg.Wait()
		if had < 180*time.Millisecond || other < 180*time.Millisecond {
			t.Errorf("the late one had %v and the other %v of 400 ms; want half each", had, other)
		}
	})
}
