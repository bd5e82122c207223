// Hello is the smallest whole program: a marked function, and a handler that
// runs it here or on an edge host.
//
//	go run ./examples/hello                        # here
//	go run ./examples/hello -edge 127.0.0.1:4433   # with "bungee host" running
//	go run ./examples/hello -manager 127.0.0.1:4434   # with "bungee up" running: where it says
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"

	"github.com/bungee-xr/bungee/handler/ue"
	"github.com/bungee-xr/bungee/offload"
)

//go:generate go tool offloadgen

// brightness returns the mean of the pixels of a grey image, 0 to 1: is the room
// bright enough to track hands?
//
//offload:func deadline=100ms idempotent
func brightness(ctx context.Context, gray []byte) (float64, error) {
	if len(gray) == 0 {
		return 0, errors.New("brightness: the image has no pixels")
	}
	var sum int
	for _, p := range gray {
		sum += int(p)
	}
	return float64(sum) / float64(len(gray)) / 255, nil
}

func main() {
	edge := flag.String("edge", "", "address of an edge host (default: none, run here)")
	manager := flag.String("manager", "", "address of an offload manager, which says on which edge host")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *edge, *manager); err != nil {
		log.Fatal("hello: ", err)
	}
}

func run(ctx context.Context, edge, manager string) error {
	h, err := start(ctx, edge, manager)
	if err != nil {
		return err
	}
	defer h.Close()

	var t offload.Trace
	image := make([]byte, 640*480)
	for i := range image {
		image[i] = byte(i / 640 * 255 / 479) // dark at the top, bright at the bottom
	}
	mean, err := Brightness(offload.WithTrace(ctx, &t), image)
	if err != nil {
		return err
	}
	where := "here"
	if t.Host != "" {
		where = "on " + t.Host
	}
	fmt.Printf("mean brightness %.2f, computed %s\n", mean, where)
	return nil
}

// start starts the handler and, with an edge host or a manager, waits until the host is ready, or
// ctx ends. A program whose first calls may run on the UE need not wait.
func start(ctx context.Context, edge, manager string) (*ue.Handler, error) {
	if edge == "" && manager == "" {
		return ue.Start(ctx, ue.Config{})
	}
	conf, err := ue.LoadTLS("")
	if err != nil {
		return nil, err
	}
	cfg := ue.Config{Edge: edge, TLS: conf}
	if manager != "" {
		cfg.Managers = ue.Addresses{manager}
	}
	h, err := ue.Start(ctx, cfg)
	if err != nil {
		return nil, err
	}
	log.Print("waiting for the edge host, which compiles the module the first time (Ctrl-C ends)")
	if err := h.Prepare(ctx, &brightnessFunc.Desc); err != nil {
		log.Print(err, "; going on without it")
	}
	return h, nil
}
