package main

import (
	"github.com/bungee-xr/bungee/capability"
	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/handler/host"
	egress "github.com/bungee-xr/bungee/hostfunc/egress/host"
	"github.com/bungee-xr/bungee/hostfunc/nn"
	nnhost "github.com/bungee-xr/bungee/hostfunc/nn/host"
	scratch "github.com/bungee-xr/bungee/hostfunc/scratch/host"
)

// functions are the host functions that modules may be granted. Without networks,
// networks is nil.
func functions(networks nn.Backend) []host.Provider {
	var tenants egress.Tenants
	all := []host.Provider{
		{Name: scratch.Name, Functions: func(capability.Grant) executor.HostFuncs { return scratch.Functions() }},
		{Name: egress.Name, Functions: func(g capability.Grant) executor.HostFuncs {
			return egress.Functions(g, egress.Config{Share: tenants.Share(g.Tenant, g.Egress)})
		}},
	}
	if networks != nil {
		all = append(all, host.Provider{
			Name:      nnhost.Name,
			Functions: func(g capability.Grant) executor.HostFuncs { return nnhost.Functions(networks, g.Models) },
			StandIn:   func(g capability.Grant) host.StandIn { return nnhost.StandIn(networks, g.Models) },
		})
	}
	return all
}
