package host_test

import (
	"context"
	"fmt"
	"net"

	"github.com/bungee-xr/bungee/executor/wazero"
	"github.com/bungee-xr/bungee/handler/host"
	"github.com/bungee-xr/bungee/internal/identity"
)

// An edge host in a program of one's own. "bungee host" is one with the faster
// engine, and with networks.
func Example() {
	ctx := context.Background()
	ca, err := identity.NewAuthority()
	if err != nil {
		fmt.Println(err)
		return
	}
	conf, err := ca.TLS(identity.Host, "edge-1")
	if err != nil {
		fmt.Println(err)
		return
	}
	engine, err := wazero.New(wazero.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer engine.Close()
	h, err := host.New(host.Config{Name: "edge-1", Engine: engine, TLS: conf})
	if err != nil {
		fmt.Println(err)
		return
	}
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	served := make(chan error)
	go func() { served <- h.Serve(ctx, pc) }()
	// ... until it is time to end:
	fmt.Println("shut down:", h.Shutdown(ctx))
	fmt.Println("served:", <-served)
	// Output:
	// shut down: <nil>
	// served: <nil>
}
