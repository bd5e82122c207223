package bench

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/bungee-xr/bungee/elastic"
	"github.com/bungee-xr/bungee/handler/ue"
	"github.com/bungee-xr/bungee/internal/identity"
)

// Setup is what the benchmarks of channels need.
type Setup struct {
	// Edge makes the command of an edge host's process.
	Edge Program
	// Yardstick is the program of that name. If it is empty, comparisons with it are
	// missing, and targets that need it count as missed, unless Quick.
	Yardstick string
	// Quick measures less, so that the benchmark ends within 40 s.
	Quick bool
	// Only selects the cases whose names contain it. Empty selects all.
	Only string
	// Progress hears which case begins, and how many have ended. Nil is silent.
	Progress func(name string, done, total int)
}

// pick returns quick if the benchmark is a quick one, else full.
func (s *Setup) pick(full, quick int) int {
	if s.Quick {
		return quick
	}
	return full
}

// A trial measures a case, whose name it is given.
type trial func(ctx context.Context, name string) ([]Figure, error)

// A scene is a trial with its name.
type scene struct {
	name string
	run  trial
}

// play runs the scenes one by one. One that fails gives a figure that says so.
func (s *Setup) play(ctx context.Context, bench string, scenes []scene) ([]Figure, error) {
	var all []Figure
	scenes = slices.DeleteFunc(scenes, func(sc scene) bool { return !strings.Contains(sc.name, s.Only) })
	if len(scenes) == 0 {
		return nil, fmt.Errorf("no case has %q in its name", s.Only)
	}
	for i, sc := range scenes {
		if s.Progress != nil {
			s.Progress(sc.name, i, len(scenes))
		}
		figures, err := sc.run(ctx, sc.name)
		if ctx.Err() != nil {
			return all, context.Cause(ctx)
		}
		if err != nil {
			figures = append(figures, Figure{Case: sc.name, Metric: "completed", Unit: "runs", Note: err.Error()}.against(">=", 1))
		}
		for _, f := range figures {
			f.Bench = bench
			f.OK = f.OK || f.Target == nil
			all = append(all, f)
		}
	}
	if s.Progress != nil {
		s.Progress("", len(scenes), len(scenes))
	}
	return all, nil
}

// A rig is the processes of a benchmark: edge hosts, the yardstick's two, and in
// this one the UE.
type rig struct {
	authority *identity.Authority
	certs     string // folder of its certificates
	edges     []*edgeProcess
	yard      *yardstick // nil: not built
	transport ue.Transport
	ue        *ue.Handler
}

// overTCP returns r with a UE of its own, which reaches the edge hosts over TCP. Close that
// before r ends.
func (r *rig) overTCP(ctx context.Context) (*rig, error) {
	t := *r
	t.transport = ue.TCP
	var err error
	t.ue, err = t.handler(ctx, ue.Config{})
	return &t, err
}

// rig starts edge hosts of these names, and the rest.
func (s *Setup) rig(ctx context.Context, names ...string) (*rig, error) {
	r := &rig{transport: ue.QUIC} // what is measured; a busy machine would otherwise take TCP in silence
	err := r.start(ctx, s, names)
	if err != nil {
		return nil, errors.Join(err, r.end())
	}
	return r, nil
}

func (r *rig) start(ctx context.Context, s *Setup, names []string) (err error) {
	if r.certs, err = os.MkdirTemp("", "bungee-bench-"); err != nil {
		return err
	}
	if r.authority, err = identity.NewAuthority(); err != nil {
		return err
	}
	if err := r.authority.Write(r.certs); err != nil {
		return err
	}
	for _, name := range names {
		e, err := startEdge(s.Edge, Host{Certs: r.certs, Name: name})
		if err != nil {
			return err
		}
		r.edges = append(r.edges, e)
	}
	if r.yard, err = startYardstick(s.Yardstick, r.certs); err != nil {
		return err
	}
	r.ue, err = r.handler(ctx, ue.Config{})
	return err
}

// sessions is what UEs resume connections from. Nil: each keeps its own.
var sessions tls.ClientSessionCache

// handler starts a UE offload handler with the rig's certificates.
func (r *rig) handler(ctx context.Context, conf ue.Config) (h *ue.Handler, err error) {
	if conf.TLS, err = ue.LoadTLS(r.certs); err != nil {
		return nil, err
	}
	conf.TLS.ClientSessionCache, conf.Transport = sessions, r.transport
	return ue.Start(ctx, conf)
}

// target is the i-th edge host as a place for far endpoints.
func (r *rig) target(i int) elastic.Target { return r.ue.Target(r.edges[i].address) }

func (r *rig) end() error {
	var err error
	if r.ue != nil {
		err = r.ue.Close()
	}
	for _, e := range r.edges {
		err = errors.Join(err, e.end())
	}
	return errors.Join(err, r.yard.end(), os.RemoveAll(r.certs))
}

// moveTimeout bounds a move to an edge host that may have to be connected first.
const moveTimeout = 10 * time.Second

// move moves the far endpoint of n to t.
func move(ctx context.Context, n *near, t elastic.Target) error {
	ctx, cancel := context.WithTimeout(ctx, moveTimeout)
	defer cancel()
	if err := n.ch.Move(ctx, t); err != nil {
		return fmt.Errorf("move to %s: %w", t.Name(), err)
	}
	return nil
}

// back moves the far endpoint of n to t as soon as t, whose host has restarted or changed
// its path, takes it again.
func back(ctx context.Context, n *near, t elastic.Target) error {
	ctx, cancel := context.WithTimeout(ctx, moveTimeout)
	defer cancel()
	for {
		err := n.ch.Move(ctx, t)
		if err == nil || errors.Is(err, elastic.ErrClosed) {
			return err
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("move back to %s: %w", t.Name(), err)
		}
	}
}

// on opens a channel as newNear does and moves it to t.
func on(ctx context.Context, t elastic.Target, conf elastic.Config, in, out int) (*near, error) {
	n, err := newNear(conf, in, out)
	if err != nil {
		return nil, err
	}
	if err := move(ctx, n, t); err != nil {
		return nil, errors.Join(err, n.ch.Close())
	}
	return n, nil
}
