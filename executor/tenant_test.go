package executor_test

import (
	"errors"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bungee-xr/bungee/capability"
	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/internal/guest"
	"github.com/bungee-xr/bungee/executor/internal/guest/guesttest"
)

func inBubble(t *testing.T, f func(*testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

func TestTenantModules(t *testing.T) {
	tenant := executor.NewTenant("acme", capability.Quota{Modules: 2})
	for k, want := range []error{nil, nil, executor.ErrQuota} {
		if err := tenant.HoldModule(); !errors.Is(err, want) {
			t.Errorf("module %d of 2: got %v, want %v", k, err, want)
		}
	}
	tenant.ReleaseModule()
	if err := tenant.HoldModule(); err != nil {
		t.Errorf("after one was released: %v", err)
	}
	if got := tenant.Holding().Modules; got != 2 {
		t.Errorf("got %d modules held, want 2", got)
	}
}

// purse is a Budget.
type purse struct{ left int64 }

func (p *purse) Hold(n int64) bool {
	if n > p.left {
		return false
	}
	p.left -= n
	return true
}

func (p *purse) Release(n int64) { p.left += n }

// Host functions charge what they hold to the tenant's budget.
func TestTenantMemoryOfTheHost(t *testing.T) {
	free := executor.NewTenant("free", capability.Quota{})
	for _, nobody := range []*executor.Tenant{nil, free} {
		if err := nobody.HoldMemory(1 << 40); err != nil {
			t.Errorf("a tenant without a budget: %v", err)
		}
		nobody.ReleaseMemory(1 << 40)
	}
	tenant, p := executor.NewTenant("acme", capability.Quota{}), &purse{100}
	tenant.Share(p, nil, nil)
	for _, step := range []struct {
		n    int64
		want error
		left int64
	}{{60, nil, 40}, {41, executor.ErrQuota, 40}, {40, nil, 0}, {0, nil, 0}, {-5, nil, 0}} {
		if err := tenant.HoldMemory(step.n); !errors.Is(err, step.want) || p.left != step.left {
			t.Errorf("%d bytes more: %v, %d left; want %v, %d", step.n, err, p.left, step.want, step.left)
		}
	}
	tenant.ReleaseMemory(100)
	tenant.ReleaseMemory(-1)
	if p.left != 100 {
		t.Errorf("%d left after all were released, want 100", p.left)
	}
}

// An instance finds room at the host, beside the tenant's quota, or is refused.
func TestTenantsShareInstanceMemory(t *testing.T) {
	p := &purse{100}
	tenant := executor.NewTenant("acme", capability.Quota{Memory: 90})
	tenant.Share(nil, p, nil)
	for _, step := range []struct {
		memory, left int64
		want         error
	}{{60, 40, nil}, {40, 40, executor.ErrQuota}, {30, 10, nil}} {
		if err := tenant.HoldInstance(step.memory); !errors.Is(err, step.want) || p.left != step.left {
			t.Errorf("an instance of %d: %v, %d left; want %v, %d", step.memory, err, p.left, step.want, step.left)
		}
	}
	other := executor.NewTenant("other", capability.Quota{})
	other.Share(nil, p, nil)
	if err := other.HoldInstance(11); !errors.Is(err, executor.ErrQuota) || !strings.Contains(err.Error(), "no room") || other.Holding().Instances != 0 {
		t.Errorf("an instance without room at the host: %v, and %+v held", err, other.Holding())
	}
	tenant.ReleaseInstance(60)
	tenant.ReleaseInstance(30)
	if p.left != 100 {
		t.Errorf("%d left after all were closed, want 100", p.left)
	}
}

func TestTenantHolds(t *testing.T) {
	tests := []struct {
		why   string
		quota capability.Quota
		want  int // instances of 10 bytes
	}{
		{"the number is bounded", capability.Quota{Instances: 3}, 3},
		{"their limits are", capability.Quota{Memory: 25}, 2},
		{"to the byte", capability.Quota{Memory: 30}, 3},
		{"whichever is less", capability.Quota{Instances: 1, Memory: 30}, 1},
		{"not even one", capability.Quota{Memory: 9}, 0},
		{"zero is no bound", capability.Quota{}, 5},
	}
	for _, tt := range tests {
		tenant := executor.NewTenant("acme", tt.quota)
		cfg := executor.InstanceConfig{Tenant: tenant, Limits: executor.Limits{Memory: 10}}
		var held []*guest.Linkage
		for range 5 {
			link, err := guest.NewLinkage(cfg, guest.Need{})
			if err == nil {
				held = append(held, link)
			} else if !errors.Is(err, executor.ErrQuota) {
				t.Errorf("%+v: got %v, want %v", tt.quota, err, executor.ErrQuota)
			}
		}
		want := executor.Holding{Instances: tt.want, Memory: int64(10 * tt.want)}
		if got := tenant.Holding(); got != want {
			t.Errorf("%+v: got %+v, want %+v: %s", tt.quota, got, want, tt.why)
		}
		for _, link := range held {
			link.Close()
			link.Close() // counts once
		}
		if got := tenant.Holding(); got != (executor.Holding{}) {
			t.Errorf("%+v: after Close: got %+v", tt.quota, got)
		}
	}
}

// A tenant that has spent its fuel waits until it has some, and saves no more than
// that of a second.
// What host functions hold and the memory of instances have one quota.
func TestTenantMemory(t *testing.T) {
	tenant := executor.NewTenant("acme", capability.Quota{Memory: 100})
	for _, step := range []struct {
		what      string
		err, want error
	}{
		{"60 of a host function", tenant.HoldMemory(60), nil},
		{"an instance of 41", tenant.HoldInstance(41), executor.ErrQuota},
		{"an instance of 40", tenant.HoldInstance(40), nil},
		{"one more of a host function", tenant.HoldMemory(1), executor.ErrQuota},
	} {
		if !errors.Is(step.err, step.want) {
			t.Errorf("%s: %v, want %v", step.what, step.err, step.want)
		}
	}
	tenant.ReleaseMemory(60)
	if got := tenant.Holding().Memory; got != 40 {
		t.Errorf("%d bytes are held at last, want 40", got)
	}
	var nobody *executor.Tenant
	if err := nobody.HoldMemory(1 << 40); err != nil {
		t.Errorf("nobody has a quota: %v", err)
	}
	nobody.ReleaseMemory(1 << 40)
}

func TestTenantFuel(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		tenant := executor.NewTenant("acme", capability.Quota{FuelPerSecond: 1000})
		f := &guesttest.Raw{}
		in := guesttest.Start(t, f, executor.InstanceConfig{Tenant: tenant}, guest.Need{Metered: true})
		account := &executor.Account{Tenant: tenant}
		steps := []struct {
			why  string
			wait time.Duration
			use  uint64
			want uint64 // budget; 0: refused
		}{
			{"full at first", 0, 400, 1000},
			{"less what was used", 0, 600, 600},
			{"empty", 0, 0, 0},
			{"a tenth of a second's", 100 * time.Millisecond, 100, 100},
			{"full again, not more", time.Hour, 3000, 1000},
			{"calls that ran at once overdrew it", time.Second, 0, 0},
			{"until that is made good", 1500 * time.Millisecond, 0, 500},
		}
		for _, s := range steps {
			time.Sleep(s.wait)
			f.Budget = 0
			_, err := in.Call(t.Context(), 0, nil)
			if f.Budget != s.want {
				t.Errorf("%s: got a budget of %d, want %d", s.why, f.Budget, s.want)
			}
			if refused := errors.Is(err, executor.ErrQuota) && errors.Is(err, executor.ErrNotStarted); refused != (s.want == 0) {
				t.Errorf("%s: got %v", s.why, err)
			}
			account.Charge(executor.Bill{Fuel: s.use})
		}
	})
}

// How many channels a tenant can have by default, as docs/policy.md says: the memory limits
// of their instances decide.
func TestChannelsOfTheDefaultQuota(t *testing.T) {
	quota := capability.Default().For("acme").Quota
	doc, err := os.ReadFile("../docs/policy.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		memory int64
		want   int
		says   string
	}{
		{executor.DefaultMemory, 32, "32 with the default limit of 256 MiB"},
		{32 << 20, 256, "256 with `//offload:module memory=32MiB`"},
		{8 << 20, 1024, "all 1024 with 8 MiB"},
		{1 << 20, 1024, "channels at once, if `quota.memory` has room for their instances | 1024"},
	} {
		tenant, n := executor.NewTenant("acme", quota), 0
		for tenant.HoldInstance(tt.memory) == nil {
			n++
		}
		if n = min(n, quota.Channels); n != tt.want || !strings.Contains(string(doc), tt.says) {
			t.Errorf("%d channels with instances of %d MiB; want %d, and docs/policy.md to say %q", n, tt.memory>>20, tt.want, tt.says)
		}
	}
}

// A quota that changes bounds what comes, and takes nothing away.
func TestTenantQuotaChanges(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		tenant := executor.NewTenant("acme", capability.Quota{Modules: 2, Instances: 2, FuelPerSecond: 100})
		hold := func(want error, why string) {
			t.Helper()
			if err := tenant.HoldInstance(1 << 20); !errors.Is(err, want) {
				t.Errorf("%s: %v, want %v", why, err, want)
			}
		}
		hold(nil, "one")
		hold(nil, "two")
		tenant.SetQuota(capability.Quota{Instances: 1})
		hold(executor.ErrQuota, "one more than the smaller quota")
		if n := tenant.Holding().Instances; n != 2 {
			t.Errorf("%d instances are held; want the 2 that were there", n)
		}
		tenant.ReleaseInstance(1 << 20)
		hold(executor.ErrQuota, "as many as the smaller quota")
		tenant.SetQuota(capability.Quota{Instances: 3, FuelPerSecond: 1000})
		hold(nil, "the larger quota")
		if units, err := tenant.Fuel(); units != 1000 || err != nil {
			t.Errorf("fuel of a rate that is new: %d, %v; want a second's worth", units, err)
		}
		tenant.Charge(executor.Bill{Fuel: 1500})
		tenant.SetQuota(capability.Quota{FuelPerSecond: 500})
		if _, err := tenant.Fuel(); !errors.Is(err, executor.ErrQuota) {
			t.Errorf("fuel that was overdrawn is there after a change of the rate: %v", err)
		}
		time.Sleep(2 * time.Second)
		if units, err := tenant.Fuel(); units != 500 || err != nil {
			t.Errorf("2 s later: %d, %v; want 500, as 500 were made good and a second's worth is kept", units, err)
		}
	})
}
