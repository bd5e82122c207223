package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"time"

	"github.com/bungee-xr/bungee/elastic"
)

// Profile configures the run that profiles both ends of the data path: calls and messages
// of ours, each sent when the one before has been answered.
type Profile struct {
	Setup
	// Out is the folder for LOAD-ue.pprof and LOAD-host.pprof of each load. It is made.
	Out string
	// For is how long each load is profiled.
	For time.Duration
}

// Run makes the profiles.
func (p Profile) Run(ctx context.Context) error {
	if err := os.MkdirAll(p.Out, 0o755); err != nil {
		return err
	}
	loads := []struct {
		name string
		run  func(context.Context, string, batch) error
		in   int
	}{{"call-1KB", p.calls, small}, {"call-50KB", p.calls, image}, {"message-1KB", p.messages, small}}
	for i, l := range loads {
		if !strings.Contains(l.name, p.Only) {
			continue
		}
		if p.Progress != nil {
			p.Progress(l.name, i, len(loads))
		}
		if err := l.run(ctx, l.name, batch{Requests: 100, In: l.in, Out: small}); err != nil {
			return fmt.Errorf("%s: %w", l.name, err)
		}
	}
	return nil
}

// file is where the profile of a load goes, of the UE or of its host.
func (p Profile) file(load, side string) string {
	return filepath.Join(p.Out, load+"-"+side+".pprof")
}

// calls profiles elastic calls.
func (p Profile) calls(ctx context.Context, name string, b batch) (err error) {
	r, err := p.rig(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.end()) }()
	host, err := r.callee(ctx, func(certs, cache string) (*exec.Cmd, error) {
		return p.Edge(Host{Certs: certs, Name: "edge", Cache: cache, Profile: p.file(name, "host")}), nil
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, host.end()) }()
	return p.repeat(ctx, name, host.run, b)
}

// messages profiles the messages of a channel.
func (p Profile) messages(ctx context.Context, name string, b batch) (err error) {
	edge := p.Edge
	p.Edge = func(h Host) *exec.Cmd {
		h.Profile = p.file(name, "host")
		return edge(h)
	}
	r, err := p.rig(ctx, "edge")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.end()) }()
	n, err := on(ctx, r.target(0), elastic.Config{}, b.In, b.Out)
	if err != nil {
		return err
	}
	defer n.ch.Close()
	return p.repeat(ctx, name, n.run, b)
}

// repeat runs b until the time is over, under the UE's profile.
func (p Profile) repeat(ctx context.Context, name string, run exchanger, b batch) error {
	stop, err := cpuProfile(p.file(name, "ue"))
	if err != nil {
		return err
	}
	for begin := time.Now(); err == nil && time.Since(begin) < p.For; {
		_, err = run(ctx, b)
	}
	return errors.Join(err, stop())
}

// cpuProfile begins a CPU profile into file, and stop ends it. With no file there is none.
func cpuProfile(file string) (stop func() error, err error) {
	if file == "" {
		return func() error { return nil }, nil
	}
	f, err := os.Create(file)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		return f.Close()
	}, nil
}
