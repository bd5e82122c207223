package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/bungee-xr/bungee/capability"
	"github.com/bungee-xr/bungee/handler/host"
	"github.com/bungee-xr/bungee/internal/cli"
	"github.com/bungee-xr/bungee/internal/cores"
)

func hostCommand() *cobra.Command {
	var f hostFlags
	c := &cobra.Command{
		Use:   "host",
		Short: "Serve elastic functions on this machine",
		Long: `host is the edge host daemon. It serves the modules that UEs send it, runs their
calls and the messages of their channels in parallel up to its cores, and logs to
stderr. SIGTERM and SIGINT make it refuse new calls, end the running ones, send the
channels away, and exit; the log tells how far that is.

SIGHUP has it read its configuration, policy, certificates and the list of revoked ones
again; the last two it reads by itself, too, when they change. If there is a fault in one
of them, the log says where, and all stays as it is. What cannot change while it
runs is told. "bungee host check" says what is wrong before.

Modules run in a sandbox. What else they may use, and how much of the machine their
tenant may hold, is the policy's to say (docs/policy.md); a tenant stands in the ID of a UE's
certificate. With --verbose a line tells what each session cost.

With --manager it serves whom that offload manager sends, and nobody else.

The TCP port of the same number serves UEs whose network blocks UDP, and holds a
lifeline of each other UE, by which it knows at once when this process is gone.
Where it cannot be had, UEs find that out by deadlines.

It prints "listening on ADDRESS" to stdout when it is ready.

Without --certs it uses the certificates in the user's own folder and makes them
when there are none; a UE on the same machine finds them there. See "bungee ca".`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c.Context()) },
	}
	f.add(c.Flags())
	c.AddCommand(checkCommand())
	return c
}

// run serves with the settings of the command line f, and those of its file, until ctx ends.
func (f *hostFlags) run(ctx context.Context) error {
	all, err := f.settle()
	if err != nil {
		return err
	}
	hups, stop := hangups()
	defer stop()
	level := new(slog.LevelVar)
	level.Set(all.level())
	r := &reloader{line: f, started: all, level: level, log: all.logger(os.Stderr, level)}
	if all.untilEOF {
		ctx = cli.UntilEOF(ctx, os.Stdin)
	}
	return all.runAs(ctx, r, hups)
}

// runAs serves until ctx ends, and reloads with r at each of hups.
func (f *hostFlags) runAs(ctx context.Context, r *reloader, hups <-chan os.Signal) error {
	log := r.log
	if err := cores.Interleave(); err != nil {
		log.Debug("guests hold up the network longer", "why", err)
	}
	who, err := hostIdentity(f.certs, log)
	if err != nil {
		return err
	}
	if f.cache, err = cacheDir(f.cache); err != nil {
		return err
	}
	policy, err := f.readPolicy()
	if err != nil {
		return err
	}
	total := memoryTotal(f.totalMiB, log)
	limitHeap(total)
	engine, err := newEngine(f.cache, f.cacheMiB<<20, log)
	if err != nil {
		return err
	}
	defer engine.Close()
	networks, closeNN, err := nnBackend(ctx, f, log)
	if err != nil {
		return err
	}
	defer closeNN()
	h, err := host.New(host.Config{
		Name: cmp.Or(f.name, machineName()), Engine: engine, TLS: who.TLS(), Functions: functions(networks), Policy: policy,
		Calls: f.calls, Channels: f.channels, Modules: f.modules, Connections: cmp.Or(f.conns, connectionsFor(descriptors())), Memory: buffersOf(total), MemoryLimit: f.memoryMiB << 20, CallLimit: f.callLimit, Manager: f.manager(), Logger: log,
	})
	if err != nil {
		return err
	}
	r.who, r.h = who, h
	defer r.onHangups(hups)()
	if f.metrics != "" {
		url, stop, err := serveMetrics(f.metrics, f.metricsNames, monitored{h, who, r}.pages())
		if err != nil {
			return errors.Join(fmt.Errorf("%s: %w", f.named("metrics"), err), h.Close())
		}
		defer stop()
		log.Info("metrics", "at", url)
	}
	return f.serve(ctx, h, log)
}

// readPolicy reads the policy, by default the built-in one.
func (f *hostFlags) readPolicy() (*capability.Policy, error) {
	if f.policy == "" {
		return capability.Default(), nil
	}
	return capability.LoadPolicy(f.policy)
}

// serve serves until ctx ends, and then drains.
func (f *hostFlags) serve(ctx context.Context, h *host.Handler, log *slog.Logger) error {
	addr, err := net.ResolveUDPAddr("udp", f.listen)
	if err != nil {
		return errors.Join(fmt.Errorf("%w: %s: %w", cli.ErrUsage, f.named("listen"), err), h.Close())
	}
	pc, ln, err := f.sockets(addr, log)
	if err != nil {
		return errors.Join(err, h.Close())
	}
	if ln != nil {
		h.ServeTCP(ln)
	}
	if f.tcpAlso != "" {
		ln, err := net.Listen("tcp", f.tcpAlso)
		if err != nil {
			return errors.Join(fmt.Errorf("%s: %w", f.named("tcp-also"), err), pc.Close(), h.Close())
		}
		h.ServeTCP(ln)
	}
	fmt.Println("listening on", pc.LocalAddr())
	tell("READY=1", log)
	served := make(chan error, 1)
	go func() { served <- h.Serve(context.WithoutCancel(ctx), pc) }()
	select {
	case err := <-served:
		return errors.Join(err, h.Close())
	case <-ctx.Done():
	}
	tell("STOPPING=1", log)
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), f.drain)
	defer cancel()
	return errors.Join(h.Shutdown(end), <-served)
}

// freePorts is how many free UDP ports are tried until one's TCP port is free, too.
const freePorts = 8

// sockets returns the socket to serve on, and the TCP listener of the same port. The listener is nil
// if TCP is off or the port is taken.
func (f *hostFlags) sockets(addr *net.UDPAddr, log *slog.Logger) (*net.UDPConn, net.Listener, error) {
	for try := 1; ; try++ {
		pc, err := net.ListenUDP("udp", addr)
		if err != nil || !f.tcp {
			return pc, nil, err
		}
		ln, err := net.Listen("tcp", pc.LocalAddr().String())
		if err == nil {
			return pc, ln, nil
		}
		if addr.Port != 0 || try == freePorts {
			log.Warn("no TCP: UEs whose network blocks UDP cannot come, and others find out by deadlines when this process is gone", "why", err)
			return pc, nil, nil
		}
		pc.Close()
	}
}

// cacheDir returns dir, by default one in the user's cache, and makes it.
func cacheDir(dir string) (string, error) {
	dir, err := cachePath(dir)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("folder for compiled modules: %w; make it for this user (install -d -m 0700 -o USER %s), or name another one with --cache", err, dir)
	}
	return dir, nil
}

// cachePath returns dir, by default one in the user's cache.
func cachePath(dir string) (string, error) {
	if dir != "" {
		return dir, nil
	}
	user, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("%w; name a folder with --cache", err)
	}
	return filepath.Join(user, "bungee", "modules"), nil
}

func machineName() string {
	name, err := os.Hostname()
	if err != nil {
		return "edge"
	}
	return name
}
