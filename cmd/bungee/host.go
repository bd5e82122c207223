package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/bungee-xr/bungee/capability"
	"github.com/bungee-xr/bungee/handler/host"
	"github.com/bungee-xr/bungee/internal/cli"
	"github.com/bungee-xr/bungee/internal/identity"
)

// hostFlags are the flags of "bungee host".
type hostFlags struct {
	listen, certs, cache, name string
	policy, metrics            string
	metricsNames               []string
	nn                         nnOptions
	calls, channels, conns     int
	modules                    int
	memoryMiB, cacheMiB        int64
	totalMiB                   int64
	callLimit, drain           time.Duration
	tcp                        bool
	tcpAlso                    string
	untilEOF, verbose          bool
}

func hostCommand() *cobra.Command {
	var f hostFlags
	c := &cobra.Command{
		Use:   "host",
		Short: "Serve elastic functions on this machine",
		Long: `host is the edge host daemon. It serves the modules that UEs send it, runs their
calls and the messages of their channels in parallel up to its cores, and logs to
stderr. SIGTERM and SIGINT make it refuse new calls, end the running ones, send the
channels away, and exit; the log tells how far that is. SIGHUP is ignored.

Modules run in a sandbox. What else they may use, and how much of the machine their
tenant may hold, is the policy's to say (docs/policy.md); a tenant is the name in a UE's
certificate. With --verbose a line tells what each session cost.

The TCP port of the same number serves UEs whose network blocks UDP, and holds a
lifeline of each other UE, by which it knows at once when this process is gone.
Where it cannot be had, UEs find that out by deadlines.

It prints "listening on ADDRESS" to stdout when it is ready.

Without --certs it uses the certificates in the user's own folder and makes them
when there are none; a UE on the same machine finds them there. See "bungee certs".`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c.Context()) },
	}
	fl := c.Flags()
	fl.StringVar(&f.listen, "listen", ":4433", "UDP address to listen on; port 0 takes a free one")
	fl.StringVar(&f.certs, "certs", "", "folder with ca.pem, host.pem, host.key (default: the user's own)")
	fl.StringVar(&f.cache, "cache", "", "folder for compiled modules (default: the user's cache)")
	fl.StringVar(&f.name, "name", "", "name of this host in the UEs' logs (default: the machine's)")
	fl.StringVar(&f.policy, "policy", "", "file that says what modules of whom may use (default: the built-in policy, see docs/policy.md)")
	fl.StringVar(&f.metrics, "metrics", "", "TCP address to serve metrics at, for Prometheus, under /metrics (default: none)")
	fl.StringArrayVar(&f.metricsNames, "metrics-name", nil, "name that the metrics are asked for by, beside IP addresses, localhost, the machine's name and the one in --metrics; may be repeated")
	nnFlags(fl, &f.nn)
	fl.IntVar(&f.calls, "calls", 0, "calls that run at once (default: one a core)")
	fl.IntVar(&f.channels, "channels", 0, "channels that are served, each with an instance whose memory counts in its tenant's quota (default 2048)")
	fl.IntVar(&f.modules, "modules", 0, "modules that are kept loaded, of all tenants together; the one that has gone unused longest makes room (default 64)")
	fl.IntVar(&f.conns, "connections", 0, "connections that UEs may have (default 4096, or three quarters of the descriptors that this process may open)")
	fl.StringVar(&f.tcpAlso, "tcp-also", "", "further TCP address to serve UEs at, for networks that let only some ports pass (example: :443)")
	fl.BoolVar(&f.tcp, "tcp", true, "serve UEs over TCP, too, and hold their lifelines, on the port of the same number")
	fl.Int64Var(&f.memoryMiB, "memory", 0, "most MiB of memory of an instance (default: the limit in the policy, else 256)")
	fl.Int64Var(&f.totalMiB, "memory-total", 0, "MiB of memory that this process may take; half of it may be held for UEs beside their instances (default: seven eighths of the control group's or the machine's)")
	fl.Int64Var(&f.cacheMiB, "cache-size", 0, "MiB that compiled modules may take on disk (default 1024)")
	fl.DurationVar(&f.callLimit, "call-limit", 10*time.Second, "longest that a call may run")
	fl.DurationVar(&f.drain, "drain", 10*time.Second, "longest to wait for running calls at the end")
	fl.BoolVar(&f.untilEOF, "until-eof", false, "end when standard input does, for a parent process")
	fl.BoolVarP(&f.verbose, "verbose", "v", false, "log each session and module, not warnings only")
	return c
}

func (f *hostFlags) run(ctx context.Context) error {
	log := f.logger()
	defer ignoreHangups(log)()
	if f.untilEOF {
		ctx = cli.UntilEOF(ctx, os.Stdin)
	}
	conf, err := hostTLS(f.certs)
	if err != nil {
		return err
	}
	if f.cache, err = cacheDir(f.cache); err != nil {
		return err
	}
	policy, err := readPolicy(f.policy)
	if err != nil {
		return err
	}
	return f.runAs(ctx, conf, policy, log)
}

// runAs serves with an identity and a policy until ctx ends.
func (f *hostFlags) runAs(ctx context.Context, conf *tls.Config, policy *capability.Policy, log *slog.Logger) error {
	total, err := memoryTotal(f.totalMiB, log)
	if err != nil {
		return err
	}
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
		Name: cmp.Or(f.name, machineName()), Engine: engine, TLS: conf, Functions: functions(networks), Policy: policy,
		Calls: f.calls, Channels: f.channels, Modules: f.modules, Connections: cmp.Or(f.conns, connectionsFor(descriptors())), Memory: buffersOf(total), MemoryLimit: f.memoryMiB << 20, CallLimit: f.callLimit, Logger: log,
	})
	if err != nil {
		return err
	}
	if f.metrics != "" {
		url, stop, err := serveMetrics(f.metrics, f.metricsNames, h)
		if err != nil {
			return errors.Join(fmt.Errorf("--metrics: %w", err), h.Close())
		}
		defer stop()
		log.Info("metrics", "at", url)
	}
	return f.serve(ctx, h, log)
}

// ignoreHangups has SIGHUP, which many daemons read their files again for, be logged and not end the
// process, until the function that it returns is called.
func ignoreHangups(log *slog.Logger) (stop func()) {
	c, done := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(c, syscall.SIGHUP)
	go func() {
		defer close(done)
		for range c {
			log.Warn("SIGHUP is ignored: no file is read again while the host runs; SIGTERM drains and ends it")
		}
	}()
	return func() {
		signal.Stop(c)
		close(c)
		<-done
	}
}

// readPolicy reads the policy in file, by default the built-in one.
func readPolicy(file string) (*capability.Policy, error) {
	if file == "" {
		return capability.Default(), nil
	}
	return capability.LoadPolicy(file)
}

func (f *hostFlags) logger() *slog.Logger {
	level := slog.LevelWarn
	if f.verbose {
		level = slog.LevelInfo
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
}

// serve serves until ctx ends, and then drains.
func (f *hostFlags) serve(ctx context.Context, h *host.Handler, log *slog.Logger) error {
	addr, err := net.ResolveUDPAddr("udp", f.listen)
	if err != nil {
		return fmt.Errorf("%w: --listen: %w", cli.ErrUsage, err)
	}
	pc, ln, err := f.sockets(addr, log)
	if err != nil {
		return err
	}
	if ln != nil {
		h.ServeTCP(ln)
	}
	if f.tcpAlso != "" {
		ln, err := net.Listen("tcp", f.tcpAlso)
		if err != nil {
			return errors.Join(fmt.Errorf("--tcp-also: %w", err), pc.Close(), h.Close())
		}
		h.ServeTCP(ln)
	}
	fmt.Println("listening on", pc.LocalAddr())
	served := make(chan error, 1)
	go func() { served <- h.Serve(context.WithoutCancel(ctx), pc) }()
	select {
	case err := <-served:
		return errors.Join(err, h.Close())
	case <-ctx.Done():
	}
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

// hostTLS loads the host's certificates. If the user's own folder has none, it makes them
// there.
func hostTLS(dir string) (conf *tls.Config, err error) {
	own := dir == ""
	if dir, err = certsDir([]string{dir}); err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(dir, "ca.pem")); own && errors.Is(err, fs.ErrNotExist) {
		if err := identity.Write(dir); err != nil {
			return nil, err
		}
	}
	return identity.Load(dir, identity.Host)
}

// cacheDir returns dir, by default one in the user's cache, and makes it.
func cacheDir(dir string) (string, error) {
	if dir == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("%w; name a folder with --cache", err)
		}
		dir = filepath.Join(user, "bungee", "modules")
	}
	return dir, os.MkdirAll(dir, 0o700)
}

func machineName() string {
	name, err := os.Hostname()
	if err != nil {
		return "edge"
	}
	return name
}
