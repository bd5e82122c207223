package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/handler/host"
	"github.com/bungee-xr/bungee/internal/cli"
	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/offload/manager"
	"github.com/bungee-xr/bungee/offload/placement"
)

// upFlags are those of "bungee up".
type upFlags struct {
	listen, certs, store, cache string
	hosts                       int
	mdns, untilEOF, verbose     bool
}

// mostUpHosts bounds the hosts of one process: each takes its part of the machine's memory.
const mostUpHosts = 16

func upCommand() *cobra.Command {
	var f upFlags
	c := &cobra.Command{
		Use:   "up",
		Short: "Run an offload manager and edge hosts on this machine, to develop with",
		Long: `up runs an offload manager and edge hosts, all in this process, with the certificates in the
user's own folder, which it makes when there are none. An application of the same user needs nothing but
the manager's address:

  bungee up
  go run ./examples/hello -manager 127.0.0.1:4434
  bungee ls

The hosts have the built-in policy, and a part of this machine's memory each. In the field a manager and
hosts are processes of their own: see "bungee manager" and "bungee host".

It prints "listening on ADDRESS", which is the manager's, and the addresses of the hosts when all of them have come
to it.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c.Context()) },
	}
	fl := c.Flags()
	fl.StringVar(&f.listen, "listen", "127.0.0.1:4434", "address of the manager, UDP and TCP; hosts take free ports of the same IP address")
	fl.Var(number[int]{&f.hosts, 1, mostUpHosts}, "hosts", "edge hosts to run (default 2)")
	fl.StringVar(&f.certs, "certs", "", "folder with the certificates of all roles (default: the user's own)")
	fl.StringVar(&f.store, "store", "", "file for what outlasts a restart of the manager (default: the user's own)")
	fl.StringVar(&f.cache, "cache", "", "folder for compiled modules (default: the user's cache)")
	fl.BoolVar(&f.mdns, "mdns", false, "announce the manager on the local links by multicast DNS; needs --listen :4434")
	fl.BoolVar(&f.untilEOF, "until-eof", false, "end when standard input does, for a parent process")
	fl.BoolVarP(&f.verbose, "verbose", "v", false, "log each session, lease and module")
	return c
}

// run serves until ctx ends.
func (f *upFlags) run(ctx context.Context) error {
	begin := time.Now()
	level := new(slog.LevelVar)
	if level.Set(slog.LevelWarn); f.verbose {
		level.Set(slog.LevelInfo)
	}
	log := loggerOf("text", os.Stderr, level)
	if f.untilEOF {
		ctx = cli.UntilEOF(ctx, os.Stdin)
	}
	var err error
	if f.certs, err = allRoles(f.certs, log); err != nil {
		return err
	}
	f.hosts = cmp.Or(f.hosts, 2)
	u, err := f.open(log)
	if err != nil {
		return err
	}
	return errors.Join(u.serve(ctx, begin), u.close())
}

// allRoles returns dir, by default the user's own folder. That one is filled where it has nothing for a manager.
func allRoles(dir string, log *slog.Logger) (string, error) {
	dir, own, err := certsDir(dir)
	if err != nil || !own {
		return dir, err
	}
	if _, err := hostIdentity("", log); err != nil {
		return "", err
	}
	_, err = identity.LoadSigner(dir)
	if errors.Is(err, os.ErrNotExist) { // what "bungee host" of before has made
		return dir, fill(dir, err, log)
	}
	return dir, err
}

// An up is a manager and edge hosts in one process.
type up struct {
	flags   *managerFlags
	log     *slog.Logger
	engine  executor.Engine
	signer  *identity.Authority
	manager *manager.Manager
	memory  int64 // of each host
	hosts   int

	serving sync.WaitGroup
	ended   chan error // of the manager and the hosts
}

// open makes all that can fail before anybody is served.
func (f *upFlags) open(log *slog.Logger) (*up, error) {
	u := &up{flags: newManagerFlags(), log: log, hosts: f.hosts, ended: make(chan error, 2+f.hosts)}
	u.flags.listen, u.flags.certs, u.flags.store, u.flags.mdns = f.listen, f.certs, f.store, f.mdns
	cfg, err := u.flags.managerConfig()
	if err != nil {
		return nil, err
	}
	if u.signer, err = identity.LoadSigner(cfg.Certs); err != nil {
		return nil, err
	}
	cache, err := cacheDir(f.cache)
	if err != nil {
		return nil, err
	}
	total := memoryTotal(0, log)
	limitHeap(total)
	u.memory = buffersOf(total) / int64(f.hosts)
	if u.engine, err = newEngine(cache, 0, log); err != nil {
		return nil, err
	}
	cfg.Logger = log
	if u.manager, err = manager.New(cfg); err != nil {
		return nil, errors.Join(err, u.engine.Close())
	}
	return u, nil
}

func (u *up) close() error { return errors.Join(u.manager.Close(), u.engine.Close()) }

// serve serves until ctx ends, or until the manager or a host does.
func (u *up) serve(ctx context.Context, begin time.Time) (err error) {
	stop, err := serveCommands(u.flags.socketPath(), u.manager)
	if err != nil {
		return err
	}
	defer stop()
	ctx, cancel := context.WithCancel(ctx)
	defer u.serving.Wait()
	defer cancel()
	begun := make(chan net.Addr, 1)
	u.serving.Go(func() {
		u.ended <- u.flags.servePeers(ctx, u.manager, u.log, func(at net.Addr) { begun <- at })
	})
	var at net.Addr
	select {
	case at = <-begun:
	case err := <-u.ended:
		return err
	}
	for i := range u.hosts {
		if err := u.host(ctx, fmt.Sprintf("edge-%d", i+1), at.(*net.UDPAddr)); err != nil {
			return err
		}
	}
	if err := u.await(ctx, at, begin); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-u.ended:
		return err
	}
}

// host begins a host beside the manager at at. It drains when ctx ends.
func (u *up) host(ctx context.Context, name string, at *net.UDPAddr) error {
	conf, err := u.signer.TLS(identity.Host, name)
	if err != nil {
		return err
	}
	f := newHostFlags()
	f.managers = []string{reachable(at)}
	pc, ln, err := f.sockets(&net.UDPAddr{IP: at.IP, Zone: at.Zone}, u.log)
	if err != nil {
		return err
	}
	h, err := host.New(host.Config{
		Name: name, Engine: u.engine, TLS: conf, Functions: functions(nil), Memory: u.memory,
		Manager: f.manager(), Logger: u.log.With("host", name),
	})
	if err != nil {
		if ln != nil {
			ln.Close()
		}
		return errors.Join(err, pc.Close())
	}
	if ln != nil {
		h.ServeTCP(ln)
	}
	served := make(chan error, 1)
	u.serving.Go(func() { served <- h.Serve(context.WithoutCancel(ctx), pc) })
	u.serving.Go(func() {
		select {
		case err = <-served:
			u.ended <- errors.Join(err, h.Close())
			return
		case <-ctx.Done():
		}
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), f.drain)
		defer cancel()
		u.ended <- errors.Join(h.Shutdown(end), <-served)
	})
	return nil
}

// reachable returns an address at which this machine reaches what listens at at.
func reachable(at *net.UDPAddr) string {
	if at.IP.IsUnspecified() {
		at = &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: at.Port}
	}
	return at.String()
}

// await waits until the manager knows all hosts, and prints where all are.
func (u *up) await(ctx context.Context, at net.Addr, begin time.Time) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		s, err := u.manager.State()
		if err != nil {
			return err
		}
		var ready []string
		for _, h := range s.Hosts {
			if h.State == placement.Ready.String() {
				ready = append(ready, fmt.Sprintf("%s at %s", h.Name, strings.Join(h.Addresses, ", ")))
			}
		}
		if len(ready) >= u.hosts {
			fmt.Printf("listening on %s\n%s\nready after %.2f s\n", at, strings.Join(ready, "\n"), time.Since(begin).Seconds())
			return nil
		}
		select {
		case <-tick.C:
		case err := <-u.ended:
			return err
		case <-ctx.Done():
			return nil
		}
	}
}
