// Tracker follows things through the frames of a video, here a scene that it makes
// up, and keeps their identities while the tracker moves between the UE and an edge
// host.
//
//	go run ./examples/tracker                        # here
//	go run ./examples/tracker -edge 127.0.0.1:4433   # to and fro, with "bungee host" running
//	go run ./examples/tracker -manager 127.0.0.1:4434   # where "bungee up" says
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"time"

	"github.com/bungee-xr/bungee/elastic"
	"github.com/bungee-xr/bungee/handler/ue"
)

//go:generate go tool offloadgen

const moveEvery = 25 // frames

func main() {
	edge := flag.String("edge", "", "address of an edge host (default: none, stay here)")
	manager := flag.String("manager", "", "address of an offload manager, which says on which edge host")
	frames := flag.Int("frames", 300, "frames to track")
	flag.Parse()
	if err := start(context.Background(), *edge, *manager, *frames); err != nil {
		log.Fatal("tracker: ", err)
	}
}

func start(ctx context.Context, edge, manager string, frames int) error {
	if edge == "" && manager == "" {
		fmt.Println("no edge host: the tracker stays on the UE")
		return run(ctx, os.Stdout, elastic.Config{}, stay, frames)
	}
	conf, err := ue.LoadTLS("")
	if err != nil {
		return err
	}
	cfg := ue.Config{TLS: conf}
	if manager != "" {
		cfg.Managers = ue.Addresses{manager}
	}
	h, err := ue.Start(ctx, cfg)
	if err != nil {
		return err
	}
	defer h.Close()
	wait, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if manager != "" {
		if err := h.Prepare(wait, &trackerEndpoint.Desc); err != nil {
			return fmt.Errorf("the offload manager at %s has no host ready; is \"bungee up\" running? %w", manager, err)
		}
		return run(ctx, os.Stdout, elastic.Config{}, follow(h), frames)
	}
	target := h.Target(edge)
	place, err := target.Prepare(wait, &trackerEndpoint.Desc)
	if err != nil {
		return fmt.Errorf("edge host %s is not ready; is \"bungee host\" running there? %w", edge, err)
	}
	defer place.Release()
	return run(ctx, os.Stdout, elastic.Config{}, toAndFro(target), frames)
}

// A guide is called before each frame. It may move the tracker.
type guide func(ctx context.Context, w io.Writer, ch *elastic.Channel[[]Detection, Track], frame int)

// stay leaves the tracker on the UE.
func stay(context.Context, io.Writer, *elastic.Channel[[]Detection, Track], int) {}

// toAndFro moves the tracker to target, and back, every 25 frames. When that fails, it goes on where it is.
func toAndFro(target elastic.Target) guide {
	return func(ctx context.Context, w io.Writer, ch *elastic.Channel[[]Detection, Track], frame int) {
		if frame == 0 || frame%moveEvery != 0 {
			return
		}
		to := target
		if ch.Where() != "" {
			to = nil
		}
		if err := ch.Move(ctx, to); err != nil {
			fmt.Fprintf(w, "frame %d: %v\n", frame, err)
		}
		fmt.Fprintf(w, "frame %d: the tracker is on %s\n", frame, cmp.Or(ch.Where(), "the UE"))
	}
}

// follow has the tracker go where h's offload manager says, while frames come as from a camera, and tells where it is.
func follow(h *ue.Handler) guide {
	var last string
	camera := time.NewTicker(20 * time.Millisecond)
	return func(ctx context.Context, w io.Writer, ch *elastic.Channel[[]Detection, Track], frame int) {
		if frame == 0 {
			go h.Follow(ctx, &trackerEndpoint.Desc, ch)
		}
		<-camera.C
		if at := cmp.Or(ch.Where(), "the UE"); at != last {
			fmt.Fprintf(w, "frame %d: the tracker is on %s\n", frame, at)
			last = at
		}
	}
}

// run tracks frames.
func run(ctx context.Context, w io.Writer, cfg elastic.Config, g guide, frames int) error {
	ch, err := OpenTracker(cfg)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	fed := make(chan error, 1)
	go func() { fed <- feed(ctx, w, ch, g, frames) }()
	seen := watch(ctx, w, ch)
	return errors.Join(seen, <-fed)
}

// feed sends the frames, and closes ch.
func feed(ctx context.Context, w io.Writer, ch *elastic.Channel[[]Detection, Track], g guide, frames int) error {
	defer ch.Close()
	for f := range frames {
		g(ctx, w, ch, f)
		if err := ch.Send(ctx, detect(f)); err != nil {
			return err
		}
	}
	return ch.Shutdown(ctx)
}

// watch receives the tracks until ch is closed and looks for a thing whose
// identity has changed.
func watch(ctx context.Context, w io.Writer, ch *elastic.Channel[[]Detection, Track]) error {
	var ids [things]int
	boxes, changed := 0, 0
	for r, err := range ch.Results(ctx) {
		if err = errors.Join(err, r.Err); err != nil {
			return err
		}
		for i := range ids {
			if where(i, int(r.Seq)-1) != r.Value.Box {
				continue
			}
			if ids[i] != 0 && ids[i] != r.Value.ID {
				changed++
			}
			ids[i] = r.Value.ID
			boxes++
		}
	}
	fmt.Fprintf(w, "%d boxes of %d things with identities %v\n", boxes, things, ids)
	if changed > 0 {
		return fmt.Errorf("identities changed %d times; want never", changed)
	}
	fmt.Fprintln(w, "no identity has changed")
	return nil
}
