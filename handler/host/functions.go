package host

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/bungee-xr/bungee/capability"
	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/wasi"
)

// A Provider offers host functions of one name to the modules that are granted them.
type Provider struct {
	// Name is the name by which modules import them, and manifests and policies name them.
	Name string
	// Functions makes them for a module with grant g. It is called once for each module of
	// a tenant; the functions it returns serve many instances.
	Functions func(g capability.Grant) executor.HostFuncs
	// StandIn returns what stands for a call of a module with grant g that does not say what it is to be probed with; nil:
	// nothing does. A nil StandIn has nothing for any module.
	StandIn func(g capability.Grant) StandIn
}

// A StandIn does what a call has the host do, and returns how long that took. It has a core that nobody waits for
// ([executor.SpareOf]), and ends when its context does.
type StandIn func(context.Context) (time.Duration, error)

// A linkage is what a tenant's module runs with: its instances' configuration and limits.
type linkage struct {
	rules    *capability.Rules // what decided
	grant    capability.Grant
	instance executor.InstanceConfig
	deadline time.Duration // the longest that a call may run
	standIn  StandIn       // for a module that does not say what it is to be probed with; nil: none
}

// same says whether l and o grant the same.
func (l *linkage) same(o *linkage) bool {
	return l.grant.Equal(o.grant) && l.instance.Limits == o.instance.Limits && l.deadline == o.deadline
}

// link decides the linkage of a module of t whose manifest is given. Its error is a
// *capability.Refusal if the policy does not have t run the module, or grants less than the manifest asks for.
func (h *Handler) link(t *tenant, rules *capability.Rules, manifest capability.Manifest, d digest) (linkage, error) {
	if err := rules.Runs(d); err != nil {
		return linkage{}, err
	}
	g, err := rules.Grant(manifest)
	if err != nil {
		return linkage{}, err
	}
	log := guestLog(h.cfg.guests.With("tenant", t.Name(), "module", fmt.Sprintf("%x", d[:6])))
	host, err := h.cfg.given(g, log)
	if err != nil {
		return linkage{}, err
	}
	memory, err := h.ceiling(rules, manifest, g)
	if err != nil {
		return linkage{}, err
	}
	l := linkage{rules: rules, grant: g, deadline: h.cfg.CallLimit, standIn: h.cfg.standsIn(g), instance: executor.InstanceConfig{
		Host: host, Withheld: h.cfg.withheld, Tenant: t.Tenant, Log: log,
		Limits: executor.Limits{Memory: memory, Output: g.Limits.Output, Fuel: g.Limits.Fuel},
	}}
	if g.Limits.Deadline > 0 {
		l.deadline = min(l.deadline, g.Limits.Deadline)
	}
	return l, nil
}

// ceiling returns the limit on the memory of an instance with grant g. The host's own limit
// is a ceiling; where it is not set, the default is one for tenants to whom the policy
// sets none. What the module itself asks for is never cut: it is refused.
func (h *Handler) ceiling(rules *capability.Rules, manifest capability.Manifest, g capability.Grant) (int64, error) {
	ceiling := h.cfg.MemoryLimit
	if ceiling == 0 {
		all, err := rules.Grant(capability.Manifest{}) // to who asks for nothing
		if err != nil {
			return 0, err
		}
		if all.Limits.Memory == 0 {
			ceiling = executor.DefaultMemory
		}
	}
	if asked := manifest.Limits.Memory; ceiling > 0 && asked > ceiling {
		return 0, &capability.Refusal{
			Capability: "limits.memory", What: fmt.Sprintf("of %d MiB, over %d MiB", asked>>20, ceiling>>20), Tenant: rules.Tenant,
			Where: "the host's own limit", Cure: "its operator can raise --memory, or without that flag set limits.memory in the policy",
		}
	}
	return boundMemory(g.Limits.Memory, ceiling), nil
}

// boundMemory returns the smaller one of two limits, of which 0 is none.
func boundMemory(granted, ceiling int64) int64 {
	if granted == 0 || ceiling == 0 {
		return cmp.Or(granted, ceiling)
	}
	return min(granted, ceiling)
}

// given returns the host functions of a module with grant g: WASI, and those that it is
// granted.
func (c *Config) given(g capability.Grant, log func(string)) ([]executor.HostFuncs, error) {
	conf := wasi.Config{Env: g.Env, Clock: g.Clock, Random: g.Random, Log: log}
	for _, f := range g.Folders {
		conf.Folders = append(conf.Folders, wasi.Folder(f))
	}
	w, err := wasi.Functions(conf)
	if err != nil {
		return nil, err
	}
	all := []executor.HostFuncs{w}
	for _, p := range c.Functions {
		if slices.Contains(g.Host, p.Name) {
			all = append(all, p.Functions(g))
		}
	}
	return all, nil
}

// standsIn returns what stands for a call of a module with grant g, nil where nothing does.
func (c *Config) standsIn(g capability.Grant) StandIn {
	for _, p := range c.Functions {
		if c.Manager == nil || p.StandIn == nil || !slices.Contains(g.Host, p.Name) {
			continue
		}
		if s := p.StandIn(g); s != nil {
			return s
		}
	}
	return nil
}

// withheld says why a module does not get host functions: its manifest does not ask for them, or
// this host has none of the name. Refusals by the policy have been reported before.
func (c *Config) withheld(module string) error {
	for _, p := range c.Functions {
		if p.Name == module {
			return fmt.Errorf("its manifest does not ask for host functions %q, see the options of offloadgen", module)
		}
	}
	return fmt.Errorf("this host has no host functions %q; what it offers is its operator's choice", module)
}
