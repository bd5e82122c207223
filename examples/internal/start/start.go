// Package start starts the UE handler of the examples as their flags say. examples/hello has the same in its own main.go, to be read and copied.
package start

import (
	"context"
	"flag"
	"log"
	"time"

	"github.com/bungee-xr/bungee/handler/ue"
	"github.com/bungee-xr/bungee/offload"
)

// patience is how long an edge host may take until it has compiled a module.
const patience = time.Minute

// Flags are those that say where functions run.
type Flags struct{ edge, manager *string }

// Register adds the flags -edge and -manager. They are read after flag.Parse.
func Register() Flags {
	return Flags{
		edge:    flag.String("edge", "", "address of an edge host (default: none, run here)"),
		manager: flag.String("manager", "", "address of an offload manager, which says on which edge host"),
	}
}

// Handler starts the handler and, with an edge host or a manager, waits until f is ready there. A program whose
// first calls may run on the UE need not wait.
func (f Flags) Handler(ctx context.Context, d *offload.Desc) (*ue.Handler, error) {
	if *f.edge == "" && *f.manager == "" {
		return ue.Start(ctx, ue.Config{})
	}
	conf, err := ue.LoadTLS("")
	if err != nil {
		return nil, err
	}
	cfg := ue.Config{Edge: *f.edge, TLS: conf}
	if *f.manager != "" {
		cfg.Managers = ue.Addresses{*f.manager}
	}
	h, err := ue.Start(ctx, cfg)
	if err != nil {
		return nil, err
	}
	log.Print("the edge host gets the module ready")
	wait, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := h.Prepare(wait, d); err != nil {
		log.Print(err, "; going on without it")
	}
	return h, nil
}

// Where says where a call ran.
func Where(t *offload.Trace) string {
	if t.Host == "" {
		return "here"
	}
	return "on " + t.Host
}
