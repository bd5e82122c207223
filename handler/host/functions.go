package host

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/bungee-xr/bungee/capability"
	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/wasi"
)

// A Provider offers host functions of one name to the modules that are granted them.
type Provider struct {
	// Name is what modules import them by, and manifests and policies name them.
	Name string
	// Functions makes them for a module with grant g. It is called once a module of a
	// tenant; what it returns serves many instances.
	Functions func(g capability.Grant) executor.HostFuncs
}

// A linkage is what a module of a tenant is run with.
type linkage struct {
	instance executor.InstanceConfig
	deadline time.Duration // the longest that a call may run
}

// link decides what a module of t that asks for manifest is run with. Its error is a
// *capability.Refusal where the policy grants less.
func (h *Handler) link(t *tenant, manifest capability.Manifest, d digest) (linkage, error) {
	g, err := t.rules.Grant(manifest)
	if err != nil {
		return linkage{}, err
	}
	log := guestLog(h.cfg.Logger.With("tenant", t.Name(), "module", fmt.Sprintf("%x", d[:6])))
	host, err := h.cfg.given(g, log)
	if err != nil {
		return linkage{}, err
	}
	l := linkage{deadline: h.cfg.CallLimit, instance: executor.InstanceConfig{
		Host: host, Withheld: h.cfg.withheld, Tenant: t.Tenant, Log: log,
		Limits: executor.Limits{
			Memory: cmp.Or(g.Limits.Memory, h.cfg.MemoryLimit), Output: g.Limits.Output, Fuel: g.Limits.Fuel,
		},
	}}
	if g.Limits.Deadline > 0 {
		l.deadline = min(l.deadline, g.Limits.Deadline)
	}
	return l, nil
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

// withheld says why host functions that this host has are not given to a module: its
// manifest does not ask for it. What a policy withholds has been told before.
func (c *Config) withheld(module string) error {
	for _, p := range c.Functions {
		if p.Name == module {
			return fmt.Errorf("its manifest does not ask for host functions %q, see the options of offloadgen", module)
		}
	}
	return nil
}
