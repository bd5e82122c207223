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
	"os/signal"
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
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := start(ctx, *edge, *manager, *frames); err != nil {
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
	if manager != "" {
		if err := ready(ctx, log.Print, func(ctx context.Context) error { return h.Prepare(ctx, &trackerEndpoint.Desc) }); err != nil {
			return fmt.Errorf("the offload manager at %s has no host ready: %w", manager, err)
		}
		return run(ctx, os.Stdout, elastic.Config{}, follow(h), frames)
	}
	target := h.Target(edge)
	var place elastic.Host
	err = ready(ctx, log.Print, func(ctx context.Context) (err error) {
		place, err = target.Prepare(ctx, &trackerEndpoint.Desc)
		return err
	})
	if err != nil {
		return fmt.Errorf("edge host %s is not ready: %w", edge, err)
	}
	defer place.Release()
	return run(ctx, os.Stdout, elastic.Config{}, toAndFro(target), frames)
}

// tellEvery is how often ready says what it waits for.
const tellEvery = 3 * time.Second

// errWaiting marks what prepare lacked when it was time to say so.
var errWaiting = errors.New("still waiting; Ctrl-C ends")

// ready calls prepare until a host is ready, or ctx ends, and says meanwhile what is missing: a host
// that compiles the module for the first time may take long, and one that is not there may come yet.
// A host that refuses the module ends the wait.
func ready(ctx context.Context, say func(...any), prepare func(context.Context) error) error {
	for {
		wait, cancel := context.WithTimeoutCause(ctx, tellEvery, errWaiting)
		err := prepare(wait)
		cancel()
		if !errors.Is(err, errWaiting) || ctx.Err() != nil {
			return err
		}
		say(err)
	}
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
