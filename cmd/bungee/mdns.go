package main

import (
	"context"
	"log/slog"
	"net"
	"path"

	"github.com/bungee-xr/bungee/handler/ue/discover/mdns"
	"github.com/bungee-xr/bungee/offload/manager"
)

// announce tells the local links that m listens at at, until ctx ends. A manager that cannot be announced serves those who know its address.
func announce(ctx context.Context, m *manager.Manager, at net.Addr, log *slog.Logger) {
	name := ""
	if s, err := m.State(); err == nil {
		name = path.Base(s.ID)
	}
	if err := (mdns.Announcer{Name: name, Addr: at.(*net.UDPAddr).AddrPort(), Logger: log}).Run(ctx); err != nil {
		log.Warn("the manager is not announced", "why", err)
	}
}
