package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/bungee-xr/bungee/offload/manager"
)

// run runs a plan: a manager and hosts that have just begun, and ten UEs that come one after the other.
func (y *yard) run(ctx context.Context, s *sweep, p runPlan) (r *ranRun, err error) {
	w := newWitness()
	t, err := y.town(ctx, p.Arm, s.theta(), w)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, t.end()) }()
	u, at := y.planned(s, p)
	u.Manager = t.addr
	var processes []*process
	for i := range at {
		u.Certs = y.certs(i)
		process, err := y.start(u)
		if err != nil {
			killAll(processes)
			return nil, err
		}
		processes = append(processes, process)
	}
	got, err := finishAll(ctx, processes, at)
	if err != nil {
		return nil, err
	}
	stats, err := t.manager.Stats()
	if err != nil {
		return nil, err
	}
	r = &ranRun{runPlan: p, Quick: y.Quick, Rate: u.Rate, Probes: stats.Probes}
	for i, b := range got {
		x := ranUE{Name: ueName(i), At: ms(at[i]), UEReport: b.UEReport}
		w.testify(&x)
		r.UEs, r.Late = append(r.UEs, x), append(r.Late, tenth(b.late))
	}
	return r, nil
}

// planned returns what the UEs of a plan do, and when they ask.
func (y *yard) planned(s *sweep, p runPlan) (u AdmissionUE, at []time.Duration) {
	u.Frames = (AdmissionFrames + y.Speed - 1) / y.Speed
	for _, l := range loads {
		if l.name == p.Load {
			u.Rate = s.rate(l)
		}
	}
	switch p.Mode {
	case modeClosed:
		u.Rate, u.Loops, u.Sends = 0, 1, closedMost
	case modeSlots:
		u.Hold = slotTime / time.Duration(y.Speed)
	}
	for _, t := range askTimes {
		at = append(at, t/time.Duration(y.Speed))
	}
	return u, at
}

func (y *yard) certs(i int) string { return filepath.Join(y.dir, ueName(i%len(askTimes))) }

// A townhall is a manager and the hosts that it has.
type townhall struct {
	manager *manager.Manager
	addr    string
	served  sync.WaitGroup
	edges   []*edgeQuota
	store   string
}

// town starts a manager that decides as an arm does, and its hosts, and returns when they are ready.
func (y *yard) town(ctx context.Context, arm string, theta time.Duration, w *witness) (t *townhall, err error) {
	t = &townhall{}
	defer func() {
		if err != nil {
			err = errors.Join(err, t.end())
		}
	}()
	if t.store, err = os.MkdirTemp(y.dir, "manager-"); err != nil {
		return t, err
	}
	c := manager.Config{Certs: y.dir, Store: filepath.Join(t.store, "manager.db"), ThetaNet: time.Second} // a host of a busy machine may seem far
	configure(&c, arm, theta, w)
	if t.manager, err = manager.New(c); err != nil {
		return t, err
	}
	pc, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return t, err
	}
	t.addr = pc.LocalAddr().String()
	t.served.Go(func() { t.manager.Serve(context.Background(), pc) }) // ends with Close
	if t.edges, err = y.edges(t.addr); err != nil {
		return t, err
	}
	return t, t.ready(ctx)
}

// ready waits until all hosts are.
func (t *townhall) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, estatePatience)
	defer cancel()
	for {
		s, err := t.manager.State()
		if err != nil {
			return err
		}
		n := 0
		for _, h := range s.Hosts {
			if h.State == "ready" {
				n++
			}
		}
		if n == len(t.edges) {
			return nil
		}
		if wait(ctx, 5*time.Millisecond); ctx.Err() != nil {
			return fmt.Errorf("%d of %d hosts are ready: %w", n, len(t.edges), context.Cause(ctx))
		}
	}
}

func (t *townhall) end() (err error) {
	err = endEdges(t.edges)
	if t.manager != nil {
		err = errors.Join(err, t.manager.Close())
	}
	t.served.Wait()
	return errors.Join(err, os.RemoveAll(t.store))
}
