package enginetest

import (
	"sync"
	"testing"

	"github.com/bungee-xr/bungee/capability"
	"github.com/bungee-xr/bungee/executor"
)

// tenant checks that instances count against their tenant's quota, exactly as long as
// they are there.
func (s suite) tenant(t *testing.T) {
	t.Run("Quota", func(t *testing.T) {
		tests := []struct {
			name  string
			why   string
			quota capability.Quota
		}{
			{"Instances", "three are one too many", capability.Quota{Instances: 2}},
			{"Memory", "what they may use counts, not what they do", capability.Quota{Memory: 5 << 20}},
		}
		m := s.module(t, Guest(t, "basic"))
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				t.Log(tt.why)
				tenant := executor.NewTenant("acme", tt.quota)
				cfg := executor.InstanceConfig{Tenant: tenant, Limits: executor.Limits{Memory: 2 << 20}}
				a, b := instance(t, m, cfg), mustInstance(t, m, cfg)
				in, err := m.Instantiate(t.Context(), cfg)
				if err == nil {
					closed(t, in)
				}
				mentions(t, err, executor.ErrQuota, "acme")
				mustEcho(t, a, "one")
				other := cfg
				other.Tenant = executor.NewTenant("other", tt.quota)
				mustEcho(t, instance(t, m, other), "another tenant")
				closed(t, b)
				mustEcho(t, instance(t, m, cfg), "there is room again")
			})
		}
	})
	t.Run("Failed", func(t *testing.T) {
		// What could not be made holds nothing.
		tenant := executor.NewTenant("acme", capability.Quota{})
		for _, name := range []string{"version", "unknown", "inittrap", "bigmemory", "bigtable", "otherimports"} {
			in, err := s.module(t, Guest(t, name)).Instantiate(t.Context(), executor.InstanceConfig{Tenant: tenant})
			if err == nil {
				closed(t, in)
				t.Errorf("%s: got no error", name)
			}
		}
		if got := tenant.Holding(); got != (executor.Holding{}) {
			t.Errorf("got %+v held, want nothing", got)
		}
	})
	t.Run("Pools", s.quotaOfPools)
}

// mustInstance makes an instance that the caller closes.
func mustInstance(t *testing.T, m executor.Module, cfg executor.InstanceConfig) executor.Instance {
	t.Helper()
	in, err := m.Instantiate(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return in
}

// quotaOfPools checks that two pools of a tenant who may have two instances
// serve all calls with those.
func (s suite) quotaOfPools(t *testing.T) {
	m := s.module(t, Guest(t, "basic"))
	tenant := executor.NewTenant("acme", capability.Quota{Instances: 2})
	pools := make([]*executor.Pool, 2)
	for k := range pools {
		pools[k] = executor.NewPool(m, executor.PoolConfig{Instance: executor.InstanceConfig{Tenant: tenant}, Size: 4})
	}
	var wg sync.WaitGroup
	for _, p := range pools {
		for range 4 {
			wg.Go(func() {
				for range 20 {
					if err := p.Call(t.Context(), fnEcho, []byte("x"), ignore); err != nil && !is(err, executor.ErrQuota) {
						t.Error(err)
					}
					if got := tenant.Holding().Instances; got > 2 {
						t.Errorf("%d instances held; the quota is 2", got)
					}
				}
			})
		}
	}
	wg.Wait()
	for _, p := range pools {
		p.Close()
	}
	if got := tenant.Holding(); got != (executor.Holding{}) {
		t.Errorf("after Close: %+v held, want nothing", got)
	}
}
