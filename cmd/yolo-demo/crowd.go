//go:build cgo && opencv

package main

import (
	"context"
	"errors"
	"flag"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/bungee-xr/bungee/handler/ue"
	"github.com/bungee-xr/bungee/handler/ue/policy"
)

// crowdCommand makes this program one session of another application: it has an edge host look at the frames of a video at a rate, and does
// nothing while the offload manager has no host for it. It serves to fill a host.
const crowdCommand = "crowd"

// crowdFrames is how many frames of the video it sends, again and again.
const crowdFrames = 16

// crowd is "yolo-demo crowd". It ends with its standard input.
func crowd(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet(crowdCommand, flag.ContinueOnError)
	certs := fs.String("certs", "", "")
	manager := fs.String("manager", "", "")
	label := fs.String("label", "", "")
	video := fs.String("video", "", "")
	in := Frame{}
	fs.StringVar(&in.Model, "model", "", "")
	fs.StringVar(&in.Head, "head", "", "")
	fs.IntVar(&in.Classes, "classes", 0, "")
	rate := fs.Float64("rate", 0, "")
	atOnce := fs.Int("in-flight", 1, "")
	if err := fs.Parse(args); err != nil {
		return errors.Join(errUsage, err)
	}
	if !(*rate > 0) || *atOnce < 1 {
		return errors.Join(errUsage, errors.New("want a rate above 0, and a call at once"))
	}
	frames, err := firstFrames(ctx, *video)
	if err != nil {
		return err
	}
	conf, err := ue.LoadTLS(*certs)
	if err != nil {
		return err
	}
	h, err := ue.Start(ctx, ue.Config{
		Name: "crowd", Managers: ue.Addresses{*manager}, TLS: conf, Policy: policy.Always(policy.OnEdge), Logger: slog.New(slog.DiscardHandler),
		Need: ue.Need{Rate: *rate, InFlight: *atOnce, Up: len(frames[0]), Labels: []string{*label}},
	})
	if err != nil {
		return err
	}
	defer h.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { // the parent's end is ours
		io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	callAtRate(ctx, in, frames, *rate, *atOnce)
	return nil
}

// callAtRate makes calls until ctx ends. Those that no host takes have no native network, so they cost nothing.
func callAtRate(ctx context.Context, in Frame, frames [][]byte, rate float64, atOnce int) {
	var calls sync.WaitGroup
	defer calls.Wait()
	turns := make(chan struct{}, atOnce)
	tick := time.NewTicker(time.Duration(float64(time.Second) / rate))
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		select {
		case turns <- struct{}{}:
		default:
			continue // as many calls as may be are under way: this frame is missed
		}
		in.Number++
		in.Image = frames[in.Number%uint64(len(frames))]
		calls.Go(func() {
			defer func() { <-turns }()
			_, _ = DetectObjects(ctx, in) // nobody wants the boxes
		})
	}
}

// firstFrames returns the first frames of a video as JPEG.
func firstFrames(ctx context.Context, path string) (all [][]byte, err error) {
	c, err := openCamera(ctx, path, true)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	for range crowdFrames {
		if err := c.next(ctx); err != nil {
			return nil, err
		}
		image, err := c.jpeg(75)
		if err != nil {
			return nil, err
		}
		all = append(all, image)
	}
	return all, nil
}
