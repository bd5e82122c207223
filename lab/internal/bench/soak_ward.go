package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/bungee-xr/bungee/elastic"
	"github.com/bungee-xr/bungee/internal/identity"
)

// A ward is the UE and the edge hosts of a soak.
type ward struct {
	*rig
	patients []*patient
	network  *network // nil: all are on the loopback
	noNet    error    // why it is nil although it was asked for
	issued   atomic.Int64
}

// A patient is an edge host that has faults.
type patient struct {
	name, metrics string         // the latter is a TCP address
	place         elastic.Target // set once it has an address

	treated      sync.Mutex   // one fault of the process at a time
	*edgeProcess              // its fields are treated's
	pid          atomic.Int64 // 0: it does not run

	mu     sync.Mutex
	faults int       // under way
	ailed  bool      // it has had one
	well   time.Time // since when it has none
}

// strangerName is the name of a host whose certificate is another authority's.
const strangerName = "stranger"

// ward starts the hosts. Their modules' folder is one.
func (s *Soak) ward(ctx context.Context, logs *soakLogs) (w *ward, err error) {
	w = &ward{}
	if s.with("net") {
		w.network, w.noNet = newNetwork(soakHosts)
	}
	if w.rig, err = s.rig(ctx); err == nil {
		err = w.admit(ctx, s, logs)
	}
	if err == nil {
		err = identity.Write(filepath.Join(w.certs, strangerName))
	}
	if err != nil {
		return nil, errors.Join(err, w.end())
	}
	return w, nil
}

// admit starts the hosts. The first one compiles the module, and the others find it.
func (w *ward) admit(ctx context.Context, s *Soak, logs *soakLogs) error {
	for i := range soakHosts {
		h := Host{Certs: w.certs, Name: fmt.Sprintf("edge-%c", 'a'+i), Cache: filepath.Join(w.certs, "modules")}
		if err := w.place(i, &h); err != nil {
			return err
		}
		p := &patient{name: h.Name, metrics: h.Metrics, edgeProcess: &edgeProcess{host: h, program: func(h Host) *exec.Cmd {
			cmd := s.Daemon(h)
			cmd.Stderr = logs.hosts
			return w.network.inside(i, cmd)
		}}}
		if err := p.start(); err != nil {
			return err
		}
		p.place = w.ue.Target(p.address)
		w.patients = append(w.patients, p)
		if err := ready(ctx, p.place); err != nil {
			return err
		}
	}
	return nil
}

// place chooses the addresses of the i-th host.
func (w *ward) place(i int, h *Host) error {
	if w.network != nil {
		h.Listen = net.JoinHostPort(w.network.host(i), "4433")
		h.Metrics = net.JoinHostPort(w.network.host(i), "9464")
		return nil
	}
	h.Listen = "127.0.0.1:0"
	var err error
	h.Metrics, err = freeAddress() // taken again by each of the host's lives
	return err
}

// ready waits until the host at t serves the module, which may have to be compiled.
func ready(ctx context.Context, t elastic.Target) error {
	ctx, cancel := context.WithTimeout(ctx, prepareTimeout)
	defer cancel()
	n, err := newNear(elastic.Config{}, 0, 0)
	if err != nil {
		return err
	}
	return errors.Join(n.ch.Move(ctx, t), n.ch.Close())
}

func (w *ward) targets() []elastic.Target {
	var all []elastic.Target
	for _, p := range w.patients {
		all = append(all, p.place)
	}
	return all
}

// ails says whether the host of that name has a fault, or had one a short time before
// since: a UE can find out late.
func (w *ward) ails(name string, since time.Time) bool {
	for _, p := range w.patients {
		if p.name == name {
			return p.ails(since)
		}
	}
	return true // an address: the UE has not been connected to it
}

// aftermath is how long after a fault a host may be left for it: a deadline, and what a
// UE needs to notice that a connection is gone.
const aftermath = 3 * time.Second

func (p *patient) ails(since time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.faults > 0 || p.ailed && since.Before(p.well.Add(aftermath))
}

// ail notes a fault while do runs.
func (p *patient) ail(do func() error) error {
	p.mu.Lock()
	p.faults++
	p.ailed = true
	p.mu.Unlock()
	err := do()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults--
	p.well = time.Now()
	return err
}

// start starts the process at its address, with the certificates in its folder.
func (p *patient) start() error {
	if err := p.edgeProcess.start(); err != nil {
		return err
	}
	p.pid.Store(int64(p.cmd.Process.Pid))
	return nil
}

func (p *patient) kill() {
	p.pid.Store(0)
	p.edgeProcess.kill()
}

// drainTimeout is how long a host that was told to end may take. It gives its channels
// 10 s.
const drainTimeout = 15 * time.Second

// drain tells the process to end and waits until it has.
func (p *patient) drain() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	late := false
	kill := time.AfterFunc(drainTimeout, func() { late = true; p.cmd.Process.Kill() })
	err := p.cmd.Wait()
	p.pid.Store(0)
	if !kill.Stop() && late {
		return fmt.Errorf("%s did not end within %v of SIGTERM", p.name, drainTimeout)
	}
	if err != nil {
		return fmt.Errorf("%s at SIGTERM: %w", p.name, err)
	}
	return nil
}

// renew gives the host new certificates of the UE's authority from its next life on.
func (w *ward) renew(p *patient) error {
	p.host.Certs = filepath.Join(w.certs, fmt.Sprintf("certs-%d", w.issued.Add(1)))
	return w.authority.Write(p.host.Certs)
}

// heal ends what a disturbance that was stopped may have left behind.
func (w *ward) heal() error {
	err := w.network.up()
	for _, p := range w.patients {
		if p.pid.Load() == 0 {
			err = errors.Join(err, p.start())
		}
	}
	return err
}

func (w *ward) end() error {
	var err error
	for _, p := range w.patients {
		err = errors.Join(err, p.end())
	}
	if w.rig != nil {
		err = errors.Join(w.rig.end(), err)
	}
	return errors.Join(err, w.network.end())
}
