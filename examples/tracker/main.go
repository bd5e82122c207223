// Tracker follows things through the frames of a video, here a scene that it makes
// up, and keeps their identities while the tracker moves between the UE and an edge
// host.
//
//	go run ./examples/tracker                        # here
//	go run ./examples/tracker -edge 127.0.0.1:4433   # to and fro, with "bungee host" running
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
	frames := flag.Int("frames", 300, "frames to track")
	flag.Parse()
	if err := start(context.Background(), *edge, *frames); err != nil {
		log.Fatal("tracker: ", err)
	}
}

func start(ctx context.Context, edge string, frames int) error {
	if edge == "" {
		fmt.Println("no edge host: the tracker stays on the UE")
		return run(ctx, os.Stdout, elastic.Config{}, nil, frames)
	}
	conf, err := ue.LoadTLS("")
	if err != nil {
		return err
	}
	h, err := ue.Start(ctx, ue.Config{TLS: conf})
	if err != nil {
		return err
	}
	defer h.Close()
	wait, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	target := h.Target(edge)
	place, err := target.Prepare(wait, &trackerEndpoint.Desc)
	if err != nil {
		return fmt.Errorf("edge host %s is not ready; is \"bungee host\" running there? %w", edge, err)
	}
	defer place.Release()
	return run(ctx, os.Stdout, elastic.Config{}, target, frames)
}

// run tracks frames. Without a target the tracker stays here.
func run(ctx context.Context, w io.Writer, cfg elastic.Config, target elastic.Target, frames int) error {
	ch, err := OpenTracker(cfg)
	if err != nil {
		return err
	}
	fed := make(chan error, 1)
	go func() { fed <- feed(ctx, w, ch, target, frames) }()
	seen := watch(ctx, w, ch)
	return errors.Join(seen, <-fed)
}

// feed sends the frames, moves the tracker between them, and closes ch.
func feed(ctx context.Context, w io.Writer, ch *elastic.Channel[[]Detection, Track], target elastic.Target, frames int) error {
	defer ch.Close()
	for f := range frames {
		if target != nil && f > 0 && f%moveEvery == 0 {
			move(ctx, w, ch, target, f)
		}
		if err := ch.Send(ctx, detect(f)); err != nil {
			return err
		}
	}
	return ch.Shutdown(ctx)
}

// move moves the tracker to target, or back from there. When that fails, it goes on
// where it is.
func move(ctx context.Context, w io.Writer, ch *elastic.Channel[[]Detection, Track], target elastic.Target, frame int) {
	if ch.Where() != "" {
		target = nil
	}
	if err := ch.Move(ctx, target); err != nil {
		fmt.Fprintf(w, "frame %d: %v\n", frame, err)
	}
	fmt.Fprintf(w, "frame %d: the tracker is on %s\n", frame, cmp.Or(ch.Where(), "the UE"))
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
