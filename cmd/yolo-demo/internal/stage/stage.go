// Package stage runs the edge that the demo brings along: an offload manager and two edge hosts, each a process of its own, with certificates
// that nobody else has. Things can be done to the hosts while somebody looks: one is killed, drained, or filled by the sessions of another
// application.
//
//	s, err := stage.Start(ctx, stage.Config{Bungee: "bungee", Host: []string{"bungee", "host", "--model", "yolo"}})
//	...
//	defer s.Close()
//	h, err := ue.Start(ctx, ue.Config{Managers: ue.Addresses{s.Manager()}, TLS: s.TLS()})
//
// Nothing of it is a simulation: the manager is "bungee manager", hosts are "bungee host", a host that is killed gets SIGKILL, and the
// other application's sessions ask the same manager and make calls.
//
// # Concurrency
//
// A Stage may be used by many goroutines.
package stage

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/offload/placement"
)

// UE is the name, and the tenant, of the demo's own UE in its certificate.
const UE = "yolo-demo"

// HostNames are the edge hosts of a stage.
func HostNames() []string { return []string{"edge-1", "edge-2"} }

// KilledFor is how long a host that was killed stays dead, unless Config says otherwise. A demo that nobody attends to recovers by itself.
const KilledFor = 15 * time.Second

// A Config says what a Stage runs. Bungee and Host must be set.
type Config struct {
	// Bungee is the program whose command "manager" is the offload manager.
	Bungee string
	// Host is the command line of an edge host, but for its certificates, name, label, manager and address.
	Host []string
	// Crowd is the command line of a session of another application, but for its certificates, manager, label, rate and calls at once. Empty means
	// that hosts cannot be filled.
	Crowd []string
	// KilledFor is how long a host that was killed stays dead. Zero means the constant of this name.
	KilledFor time.Duration
	// Log receives what happens to the processes. Nil is silent.
	Log *slog.Logger
}

// A Stage is an offload manager and edge hosts that run.
type Stage struct {
	cfg     Config
	dir     string // of certificates, the store and the audit
	ca      *identity.Authority
	tls     *tls.Config
	manager *child
	hosts   map[string]*child
	socket  *socket

	stop     func()
	children sync.WaitGroup

	mu     sync.Mutex // leaf
	out    func(pid int) error
	crowds map[string]*crowd // by host
}

// Start starts the manager and the hosts. It returns when the manager listens and its hosts have begun; see Ready.
func Start(ctx context.Context, cfg Config) (*Stage, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	cfg.KilledFor = cmp.Or(cfg.KilledFor, KilledFor)
	dir, err := os.MkdirTemp("", "bungee-demo-")
	if err != nil {
		return nil, err
	}
	s := &Stage{cfg: cfg, dir: dir, hosts: map[string]*child{}, crowds: map[string]*crowd{}, stop: func() {}}
	if err := s.begin(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// begin starts the processes.
func (s *Stage) begin(ctx context.Context) error {
	if err := s.certify(); err != nil {
		return err
	}
	var life context.Context
	life, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	s.manager = s.child("offload manager", s.cfg.Bungee, "manager", "--certs", s.path("certs"), "--store", s.path("store"), "--socket", s.path("socket"), "--audit", s.path("audit"),
		"--theta-net", farthest, "--log-level", "error")
	s.manager.begin(ctx, life)
	if err := s.manager.await(ctx); err != nil {
		return err
	}
	s.socket = newSocket(s.path("socket"))
	for _, name := range HostNames() {
		h := s.child(name, append(s.cfg.Host[:len(s.cfg.Host):len(s.cfg.Host)],
			"--certs", s.path(name), "--name", name, "--label", label(name), "--manager", s.Manager())...)
		s.hosts[name] = h
		h.begin(ctx, life)
	}
	return nil
}

// farthest is the round trip over which a host is too far. All are on this machine, but a UE that may use a quarter of a core waits for that
// quarter in each of its round trips.
const farthest = "1s"

// label returns the label by which a session asks for one host.
func label(host string) string { return "name=" + host }

func (s *Stage) path(name string) string { return filepath.Join(s.dir, name) }

// certify makes the authority, and certificates for the manager, the UE and each host.
func (s *Stage) certify() (err error) {
	if s.ca, err = identity.NewAuthority(); err != nil {
		return err
	}
	if err := s.ca.Write(s.path("certs")); err != nil {
		return err
	}
	for _, name := range HostNames() {
		if err := s.issue(identity.Host, name); err != nil {
			return err
		}
	}
	s.tls, err = s.ca.TLS(identity.UE, UE)
	return err
}

// issue makes the folder of a device.
func (s *Stage) issue(role identity.Role, name string) error {
	cert, err := s.ca.Issue(role, name)
	if err != nil {
		return err
	}
	return identity.WriteFolder(s.path(name), cert, s.ca.Certificate())
}

// Ready waits until the manager can place sessions on the hosts. One that cannot begin is done without; where none can, the error says why.
func (s *Stage) Ready(ctx context.Context) error {
	began := 0
	var err error
	for _, name := range HostNames() {
		if why := s.hosts[name].await(ctx); why != nil {
			err = errors.Join(err, why)
			continue
		}
		began++
	}
	if began == 0 {
		return err
	}
	if err != nil {
		s.cfg.Log.Warn("the demo does without a host", "why", err)
	}
	return s.registered(ctx, began)
}

// registered waits until that many hosts have come to the manager.
func (s *Stage) registered(ctx context.Context, hosts int) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTime, errors.New("the edge hosts do not come to the offload manager"))
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		st, err := s.State(ctx)
		if err != nil {
			return cmp.Or(context.Cause(ctx), err)
		}
		ready := 0
		for _, h := range st.Hosts {
			if h.State == placement.Ready.String() {
				ready++
			}
		}
		if ready >= hosts {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Manager returns the address of the offload manager.
func (s *Stage) Manager() string { return s.manager.address() }

// TLS returns what identifies the demo's UE.
func (s *Stage) TLS() *tls.Config { return s.tls }

// MoveOut calls out for each process, and for each later one: it takes them out of the UE's limits.
func (s *Stage) MoveOut(out func(pid int) error) error {
	s.mu.Lock()
	s.out = out
	s.mu.Unlock()
	err := s.manager.moveOut()
	for _, h := range s.hosts {
		err = errors.Join(err, h.moveOut())
	}
	return err
}

// PID returns the process ID of a host, 0 while it is dead.
func (s *Stage) PID(host string) int {
	h := s.hosts[host]
	if h == nil {
		return 0
	}
	return h.pid()
}

// Kill kills a host's process. It is started again after Config.KilledFor.
func (s *Stage) Kill(host string) error {
	h := s.hosts[host]
	if h == nil {
		return unknown(host)
	}
	return h.kill(s.cfg.KilledFor)
}

// Dead returns for how long a host that was killed stays dead. 0 means that it runs, or begins to.
func (s *Stage) Dead(host string) time.Duration {
	h := s.hosts[host]
	if h == nil {
		return 0
	}
	return h.deadFor()
}

// drainBy is how long sessions may stay at a host that drains and that find no other.
const drainBy = 5 * time.Second

// Drain has the manager let go of a host's sessions.
func (s *Stage) Drain(ctx context.Context, host string) error {
	return s.socket.want(ctx, host, "drain", drainBy)
}

// Serve has the manager use a host that was drained.
func (s *Stage) Serve(ctx context.Context, host string) error {
	return s.socket.want(ctx, host, "serve", 0)
}

func unknown(host string) error { return fmt.Errorf("there is no host %.40q", host) }

// Close ends all processes and removes what they wrote.
func (s *Stage) Close() error {
	s.mu.Lock()
	crowds := s.crowds
	s.crowds = nil
	s.mu.Unlock()
	for _, c := range crowds {
		c.end()
	}
	s.stop()
	s.children.Wait()
	if s.socket != nil {
		s.socket.close()
	}
	return os.RemoveAll(s.dir)
}
