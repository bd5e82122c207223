package host

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"testing"

	"github.com/bungee-xr/bungee/capability"
	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/native"
	"github.com/bungee-xr/bungee/internal/abi"
	"github.com/bungee-xr/bungee/internal/budget"
)

// A roomy engine is a native one whose instances count in their tenants' room, as those of Wasm
// engines do.
type roomy struct{ executor.Engine }

type roomyModule struct{ executor.Module }

type roomyInstance struct {
	executor.Instance
	close func()
}

func (e roomy) Load(ctx context.Context, src executor.Source) (executor.Module, error) {
	m, err := e.Engine.Load(ctx, src)
	return roomyModule{m}, err
}

func (m roomyModule) Instantiate(ctx context.Context, cfg executor.InstanceConfig) (executor.Instance, error) {
	memory := cfg.Limits.WithDefaults().Memory
	if err := cfg.Tenant.HoldInstance(memory); err != nil {
		return nil, err
	}
	in, err := m.Module.Instantiate(ctx, cfg)
	if err != nil {
		cfg.Tenant.ReleaseInstance(memory)
		return nil, err
	}
	return roomyInstance{in, func() { cfg.Tenant.ReleaseInstance(memory) }}, nil
}

func (in roomyInstance) Close() error {
	in.close()
	return in.Instance.Close()
}

// A crowd is a host whose instances may take 12 times their limit in all, and its tenants. Its guests
// echo.
type crowd struct {
	t *testing.T
	h *Handler
}

func crowded12(t *testing.T, policy *capability.Policy) *crowd {
	t.Helper()
	engine := roomy{native.Engine{Functions: func() []native.Func {
		return []native.Func{func(_ context.Context, request, dst []byte) ([]byte, error) {
			return append(append(dst, byte(abi.OK)), request...), nil
		}}
	}}}
	h, err := New(Config{Engine: engine, TLS: &tls.Config{}, Policy: policy, InstanceMemory: 16 * executor.DefaultMemory, Calls: 16})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return &crowd{t, h}
}

func nth(n int) digest { return sha256.Sum256(fmt.Appendf(nil, "module %d", n)) }

// deploy brings the n-th module of a tenant.
func (c *crowd) deploy(tenant string, n int) error {
	t := c.h.enter(tenant)
	defer c.h.leave(t)
	return c.h.deployed.put(c.t.Context(), t, nth(n), fmt.Appendf(nil, "module %d", n), budget.Lease{})
}

// call calls the n-th module of a tenant, which is in use until use returns.
func (c *crowd) call(tenant string, n int, use func()) error {
	t := c.h.enter(tenant)
	defer c.h.leave(t)
	d, err := c.h.deployed.get(c.t.Context(), t, nth(n), c.h.cfg.CallLimit)
	if err != nil {
		return err
	}
	defer c.h.deployed.done(d)
	return d.pool.Call(c.t.Context(), 0, []byte("hello"), func(a executor.Answer) error {
		use()
		if !bytes.Equal(a.Payload, []byte("hello")) {
			return fmt.Errorf("answered %q", a.Payload)
		}
		return nil
	})
}

func nothing() {}

// instances returns how many instances a tenant has.
func (c *crowd) instances(tenant string) int {
	t := c.h.enter(tenant)
	defer c.h.leave(t)
	return t.Holding().Instances
}

// More tenants than the host has room for instances of are all served, and none loses its instance to another one.
func TestEachTenantHasAnInstance(t *testing.T) {
	c := crowded12(t, nil)
	const tenants = 60
	for i := range tenants {
		if err := c.deploy(fmt.Sprint("ue", i), 0); err != nil {
			t.Fatalf("tenant %d of %d, on a host with room for 12 instances: %v", i, tenants, err)
		}
	}
	for i := range tenants {
		if err := c.call(fmt.Sprint("ue", i), 0, nothing); err != nil {
			t.Fatalf("a call of tenant %d: %v", i, err)
		}
	}
	for i := range tenants {
		d := c.h.deployed.all[deploymentKey{fmt.Sprint("ue", i), nth(0)}]
		if st := d.pool.Stats(); st.Made != 1 {
			t.Errorf("tenant %d had %d instances made for one call, want 1", i, st.Made)
		}
	}
}

// Two tenants that use all instances which the host has room for, as those of channels are used for as long as they
// last, lock nobody out.
func TestInstancesInUseLockNobodyOut(t *testing.T) {
	c := crowded12(t, nil)
	used := 0
	var use func(n int)
	use = func(n int) {
		who := fmt.Sprint("hog", n%2)
		err := c.deploy(who, n)
		if err == nil {
			err = c.call(who, n, func() { used++; use(n + 1) })
		}
		if err == nil {
			return
		}
		for i := range 20 { // the host is full
			who := fmt.Sprint("ue", i)
			if err := c.deploy(who, 0); err != nil {
				t.Errorf("tenant %d brings a module beside %d instances in use: %v", i, used, err)
			} else if err := c.call(who, 0, nothing); err != nil {
				t.Errorf("tenant %d calls it: %v", i, err)
			}
		}
	}
	use(0)
	if used < 12 {
		t.Errorf("the two use %d instances, want at least the 12 that there is room for", used)
	}
}

// One who has filled the host with idle instances of many modules loses some to others, down to an equal
// share; and who has an equal share makes room of its own.
func TestIdleInstancesOfOneMakeRoom(t *testing.T) {
	c := crowded12(t, nil)
	for n := range 16 {
		if err := c.deploy("hog", n); err != nil {
			t.Fatalf("module %d of one tenant: %v", n, err)
		}
	}
	if got := c.instances("hog"); got != 12 {
		t.Errorf("a lone tenant has %d instances, want all 12", got)
	}
	for n := range 8 {
		if err := c.deploy("quiet", n); err != nil {
			t.Fatalf("module %d of another one: %v", n, err)
		}
	}
	if hog, quiet := c.instances("hog"), c.instances("quiet"); hog != 6 || quiet != 6 {
		t.Errorf("%d and %d instances, want 6 and 6", hog, quiet)
	}
	for n := range 16 {
		if err := c.call("hog", n, nothing); err != nil {
			t.Fatalf("a call of the hog's module %d: %v", n, err)
		}
	}
	if quiet := c.instances("quiet"); quiet != 6 {
		t.Errorf("the other one has %d of 6 instances left after the hog's calls", quiet)
	}
}

// Instances in use stay, whatever others need.
func TestInstancesInUseStay(t *testing.T) {
	c := crowded12(t, nil)
	for n := range 12 {
		if err := c.deploy("hog", n); err != nil {
			t.Fatal(err)
		}
	}
	var use func(n int)
	use = func(n int) {
		if n < 12 {
			if err := c.call("hog", n, func() { use(n + 1) }); err != nil {
				t.Errorf("call %d: %v", n, err)
			}
			return
		}
		if err := c.deploy("quiet", 0); err != nil {
			t.Errorf("one instance in what is kept for tenants that have few: %v", err)
		}
		if err := c.deploy("quiet", 1); err != nil || c.instances("quiet") != 1 {
			t.Errorf("a second one takes the place of the first, which is idle: %v, and %d instances", err, c.instances("quiet"))
		}
		var third error
		err := c.call("quiet", 1, func() { third = c.deploy("quiet", 2) })
		if err != nil || third == nil || c.instances("hog") != 12 {
			t.Errorf("beside 12 instances in use of 12 and one of its own: %v, %v, and %d are left; want a refusal", err, third, c.instances("hog"))
		}
	}
	use(0)
	if err := c.call("quiet", 1, func() {
		if err := c.deploy("quiet", 2); err != nil {
			t.Errorf("once those of the other one are idle: %v", err)
		}
	}); err != nil {
		t.Errorf("once they are idle: %v", err)
	}
}

// A tenant whose quota is used up by idle instances brings another module, and has far endpoints.
func TestQuotaOfIdleInstances(t *testing.T) {
	policy, err := capability.ParsePolicy("policy.toml", []byte("[default.quota]\ninstances = 2\n"))
	if err != nil {
		t.Fatal(err)
	}
	c := crowded12(t, policy)
	for n := range 4 {
		if err := c.deploy("ue", n); err != nil {
			t.Fatalf("module %d of a tenant that may have 2 instances: %v", n, err)
		}
	}
	if got := c.instances("ue"); got != 2 {
		t.Errorf("%d instances, want 2", got)
	}
}

// What nobody can ever have costs nobody an instance.
func TestImpossibleInstanceEvictsNobody(t *testing.T) {
	c := crowded12(t, nil)
	for n := range 12 {
		if err := c.deploy("hog", n); err != nil {
			t.Fatal(err)
		}
	}
	greedy := c.h.enter("greedy")
	defer c.h.leave(greedy)
	if err := greedy.HoldInstance(13 * executor.DefaultMemory); !errors.Is(err, executor.ErrQuota) {
		t.Errorf("13 of 12: %v, want %v", err, executor.ErrQuota)
	}
	if got := c.instances("hog"); got != 12 {
		t.Errorf("it cost another tenant %d idle instances", 12-got)
	}
}
