package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/bungee-xr/bungee/capability"
	"github.com/bungee-xr/bungee/internal/cli"
	"github.com/bungee-xr/bungee/offload/cluster"
	"github.com/bungee-xr/bungee/offload/manager"
	"github.com/bungee-xr/bungee/offload/placement"
)

// managerFlags are the settings of "bungee manager": its flags, which are also the keys of its
// configuration file.
type managerFlags struct {
	config, listen, certs, store, socket, policy string
	hosts, metricsNames                          []string
	placement, audit, metrics                    string
	thetaNet, thetaInf                           time.Duration
	perTenant, sessions, asks                    int
	tcp, mdns, untilEOF, verbose                 bool
	logLevel, logFormat                          string

	set  *pflag.FlagSet
	from map[string]string
}

func managerCommand() *cobra.Command {
	var f managerFlags
	c := &cobra.Command{
		Use:   "manager",
		Short: "Decide which edge host each UE's sessions run on",
		Long: `manager is the offload manager. UEs and edge hosts dial it; it gives a UE a lease for the
host that serves it best, moves sessions when that changes, and enrols devices. No call
passes it: while it is gone, what it has decided goes on.

  bungee ca issue manager m1                       # its identity, in the folder of the authority
  bungee manager --certs FOLDER
  bungee manager code host edge-1                  # a code for a host, to enrol with
  bungee enroll --manager ADDRESS --code CODE      # on that host
  bungee host --manager ADDRESS
  bungee ls                                        # what runs where

SIGHUP has it read its configuration and policy again; certificates and the policy's file it
looks at by itself. docs/manager.md has the rest.

It prints "listening on ADDRESS" to stdout when it is ready.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c.Context()) },
	}
	f.add(c.Flags())
	c.AddCommand(codeCommand(), revokeCommand(), cordonCommand())
	return c
}

// add adds the flags to fl.
func (f *managerFlags) add(fl *pflag.FlagSet) {
	f.set = fl
	count := func(at *int, name, usage string) { fl.Var(number[int]{at, 1, most}, name, usage) }
	fl.StringVar(&f.config, "config", "", "file that has these settings, see docs/manager.md; a flag of the command line goes before it")
	fl.StringVar(&f.listen, "listen", ":4434", "UDP address to listen on; port 0 takes a free one")
	fl.StringVar(&f.certs, "certs", "", `folder that "bungee ca issue manager" has made (default: the user's own)`)
	fl.StringVar(&f.store, "store", "", "file for what outlasts a restart: keys, codes, what was issued and revoked (default: the user's own)")
	fl.StringVar(&f.socket, "socket", "", `Unix socket for "bungee ls" and the commands below (default: beside the store)`)
	fl.StringVar(&f.policy, "policy", "", "file that says what tenants may have, the one that hosts have (default: the built-in policy)")
	fl.StringArrayVar(&f.hosts, "host", nil, "name of a host that belongs to the cluster; may be repeated (default: each that has a host's certificate)")
	f.placement = "learned"
	fl.Var(choice{&f.placement, []string{"learned", "algorithm-1"}}, "placement", "how to decide: by what hosts are seen to take, or by Algorithm 1 of paper 000")
	f.thetaNet, f.thetaInf = 20*time.Millisecond, 50*time.Millisecond
	fl.Var(span{&f.thetaNet, time.Millisecond, time.Minute}, "theta-net", "round-trip time over which a host is too far")
	fl.Var(span{&f.thetaInf, time.Millisecond, time.Minute}, "theta-inf", "time of a probe over which a host is too slow; for algorithm-1")
	count(&f.sessions, "sessions", "sessions that there may be (default 10000)")
	count(&f.perTenant, "tenant-sessions", "sessions that a tenant may have (default 1000)")
	count(&f.asks, "asks", "times a second that a tenant may ask for a place (default 100)")
	fl.StringVar(&f.audit, "audit", "", "file that gets a line of JSON for each decision (default: none)")
	fl.StringVar(&f.metrics, "metrics", "", "TCP address to serve /metrics, for Prometheus, /healthz and /readyz at, see docs/metrics.md (default: none)")
	fl.StringArrayVar(&f.metricsNames, "metrics-name", nil, "name that the metrics are asked for by, as of bungee host; may be repeated")
	fl.BoolVar(&f.tcp, "tcp", true, "serve over TCP, too, on the port of the same number")
	fl.BoolVar(&f.mdns, "mdns", false, "announce the manager on the local links by multicast DNS, see docs/manager.md")
	fl.BoolVar(&f.untilEOF, "until-eof", false, "end when standard input does, for a parent process")
	f.logLevel, f.logFormat = "warn", "text"
	fl.Var(choice{&f.logLevel, logLevels}, "log-level", "what is logged: debug, info, warn or error")
	fl.Var(choice{&f.logFormat, []string{"text", "json"}}, "log-format", "form of the log: text, or json with one object a line")
	fl.BoolVarP(&f.verbose, "verbose", "v", false, "log more, as --log-level=info")
}

func newManagerFlags() *managerFlags {
	f := new(managerFlags)
	f.add(pflag.NewFlagSet("manager", pflag.ContinueOnError))
	return f
}

// settle returns the settings of the command line, and those of the file of --config where it has none.
func (f *managerFlags) settle() (*managerFlags, error) {
	all := newManagerFlags()
	copyFlags(f.set, all.set, func(*pflag.Flag) bool { return true })
	if f.config == "" {
		return all, nil
	}
	file := newManagerFlags()
	from, err := readConfig(file.set, f.config)
	copyFlags(file.set, all.set, func(flag *pflag.Flag) bool { return !f.set.Changed(flag.Name) })
	all.from = from
	return all, err
}

// managerPath returns path, by default a file of the user's own.
func managerPath(path, name string) (string, error) {
	if path != "" {
		return path, nil
	}
	dir, err := os.UserConfigDir()
	return filepath.Join(dir, "bungee", "manager", name), err
}

// socketPath returns the socket of a manager with a store.
func (f *managerFlags) socketPath() string {
	if f.socket != "" {
		return f.socket
	}
	return filepath.Join(filepath.Dir(f.store), "socket")
}

// readPolicy reads the policy, by default the built-in one.
func (f *managerFlags) readPolicy() (*capability.Policy, error) {
	if f.policy == "" {
		return capability.Default(), nil
	}
	return capability.LoadPolicy(f.policy)
}

// managerConfig returns what a manager with these settings is made of, but its logs.
func (f *managerFlags) managerConfig() (cfg manager.Config, err error) {
	if f.certs, _, err = certsDir(f.certs); err != nil {
		return cfg, err
	}
	if f.store, err = managerPath(f.store, "store"); err != nil {
		return cfg, err
	}
	policy, err := f.readPolicy()
	if err != nil {
		return cfg, err
	}
	cfg = manager.Config{
		Certs: f.certs, Store: f.store, Policy: policy, ThetaNet: f.thetaNet, SessionsPerTenant: f.perTenant, Sessions: f.sessions, AsksPerSecond: float64(f.asks),
	}
	if len(f.hosts) > 0 {
		cfg.Cluster = cluster.Static(f.hosts...)
	}
	if f.placement == "algorithm-1" {
		t := placement.Thresholds{Net: f.thetaNet, Inf: f.thetaInf}
		cfg.Decide, cfg.Candidates, cfg.ProbeAfresh = t.Decide, t.Candidates, true
	}
	return cfg, nil
}

// run serves with the settings of the command line f, and those of its file, until ctx ends.
func (f *managerFlags) run(ctx context.Context) error {
	all, err := f.settle()
	if err != nil {
		return err
	}
	hups, stop := hangups()
	defer stop()
	level := new(slog.LevelVar)
	level.Set(levelOf(all.set, all.from, all.verbose, all.logLevel))
	log := loggerOf(all.logFormat, os.Stderr, level)
	if all.untilEOF {
		ctx = cli.UntilEOF(ctx, os.Stdin)
	}
	cfg, err := all.managerConfig()
	if err != nil {
		return err
	}
	cfg.Logger = log
	if all.audit != "" {
		w, err := os.OpenFile(all.audit, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return fmt.Errorf("--audit: %w", err)
		}
		defer w.Close()
		cfg.Audit = slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{ReplaceAttr: asText}))
	}
	m, err := manager.New(cfg)
	if err != nil {
		return err
	}
	p := &policyWatch{line: f, m: m, log: log, level: level}
	defer p.begin(hups)()
	defer manager.LimitMemory()()
	return errors.Join(all.serveManager(ctx, m, p, log), m.Close())
}

// serveManager serves peers, commands and metrics until ctx ends.
func (f *managerFlags) serveManager(ctx context.Context, m *manager.Manager, p *policyWatch, log *slog.Logger) error {
	stop, err := serveCommands(f.socketPath(), m)
	if err != nil {
		return err
	}
	defer stop()
	if f.metrics != "" {
		url, stop, err := serveMetrics(f.metrics, f.metricsNames, managerPages(m, p))
		if err != nil {
			return fmt.Errorf("--metrics: %w", err)
		}
		defer stop()
		log.Info("metrics", "at", url)
	}
	defer tell("STOPPING=1", log)
	return f.servePeers(ctx, m, log, func(at net.Addr) {
		fmt.Println("listening on", at)
		tell("READY=1", log)
	})
}

// servePeers serves UEs and hosts until ctx ends. It calls begun with its address when they can come.
func (f *managerFlags) servePeers(ctx context.Context, m *manager.Manager, log *slog.Logger, begun func(net.Addr)) error {
	addr, err := net.ResolveUDPAddr("udp", f.listen)
	if err != nil {
		return fmt.Errorf("%w: --listen: %w", cli.ErrUsage, err)
	}
	if f.mdns && addr.IP.IsLoopback() {
		return fmt.Errorf("%w: --mdns announces a manager to other machines, and none reaches %s: set --listen :4434, or leave --mdns out", cli.ErrUsage, addr)
	}
	pc, ln, err := (&hostFlags{tcp: f.tcp}).sockets(addr, log)
	if err != nil {
		return err
	}
	begun(pc.LocalAddr())
	serving, cancel := context.WithCancelCause(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	if ln != nil {
		wg.Go(func() { cancel(m.ServeTCP(serving, ln)) })
	}
	if f.mdns {
		wg.Go(func() { announce(serving, m, pc.LocalAddr(), log) })
	}
	err = m.Serve(serving, pc)
	cancel(err)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// A policyWatch gives a manager its policy again when the file has changed, or on SIGHUP. A file with a fault changes
// nothing, and the log says where it is.
type policyWatch struct {
	line  *managerFlags
	m     *manager.Manager
	log   *slog.Logger
	level *slog.LevelVar

	mu   sync.Mutex
	good bool
	last time.Time
}

// policyEvery is how often the policy's file is looked at.
const policyEvery = time.Second

// begin watches until stop is called.
func (p *policyWatch) begin(hups <-chan os.Signal) (stop func()) {
	p.good, p.last = true, time.Now()
	quit := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(policyEvery)
		defer tick.Stop()
		seen := p.stat()
		for {
			select { // a hangup, a look at the file, the end
			case <-hups:
				seen = p.stat()
				p.reload()
			case <-tick.C:
				if now := p.stat(); now != seen {
					seen = now
					p.reload()
				}
			case <-quit:
				return
			}
		}
	})
	return func() { close(quit); wg.Wait() }
}

// stat says which file the policy is.
func (p *policyWatch) stat() (is struct {
	size int64
	at   time.Time
}) {
	if all, err := p.line.settle(); err == nil && all.policy != "" {
		if info, err := os.Stat(all.policy); err == nil {
			is.size, is.at = info.Size(), info.ModTime()
		}
	}
	return is
}

func (p *policyWatch) reload() {
	all, err := p.line.settle()
	var policy *capability.Policy
	if err == nil {
		policy, err = all.readPolicy()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.good = err == nil; err != nil {
		for _, fault := range faults(err) {
			p.log.Error("nothing is reloaded", "why", fault)
		}
		return
	}
	p.last = time.Now()
	p.level.Set(levelOf(all.set, all.from, all.verbose, all.logLevel))
	p.m.SetPolicy(policy)
	p.log.Warn("reloaded")
}

// state says whether the last reload was good, and when one was.
func (p *policyWatch) state() (good bool, last time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.good, p.last
}
