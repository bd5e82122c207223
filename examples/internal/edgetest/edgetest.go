// Package edgetest gives the tests of the examples an edge host.
package edgetest

import (
	"context"
	"net"
	"testing"

	"github.com/bungee-xr/bungee/executor/wazero"
	"github.com/bungee-xr/bungee/handler/host"
	"github.com/bungee-xr/bungee/handler/ue"
	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/offload"
)

// Name is the name of the edge host.
const Name = "edge-1"

// Start starts an edge host in this process, until the test ends, and returns what a UE handler needs to reach it.
func Start(t *testing.T) ue.Config {
	t.Helper()
	ca, err := identity.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	conf, err := ca.TLS(identity.UE, "ue")
	if err != nil {
		t.Fatal(err)
	}
	return ue.Config{TLS: conf, Edge: serve(t, ca)}
}

// Prepare starts an edge host, and a UE handler for it that has f ready there: each call of f runs on the edge host unless something fails.
func Prepare(t *testing.T, f *offload.Desc) *ue.Handler {
	t.Helper()
	h, err := ue.Start(t.Context(), Start(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	if err := h.Prepare(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	return h
}

// serve starts an edge host and returns its address.
func serve(t *testing.T, ca *identity.Authority) string {
	conf, err := ca.TLS(identity.Host, Name)
	if err != nil {
		t.Fatal(err)
	}
	engine, err := wazero.New(wazero.Config{})
	if err != nil {
		t.Fatal(err)
	}
	h, err := host.New(host.Config{Name: Name, Engine: engine, TLS: conf})
	if err != nil {
		t.Fatal(err)
	}
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error)
	go func() { served <- h.Serve(context.Background(), pc) }()
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
		engine.Close()
	})
	return pc.LocalAddr().String()
}
