package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/bungee-xr/bungee/handler/host"
)

// hostFlags are the settings of "bungee host": its flags, which are also the keys of its configuration
// file.
type hostFlags struct {
	config                     string
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
	managers, advertise        []string
	ports                      string
	labels, accelerators       []string
	price                      string
	untilEOF, verbose          bool
	logLevel, logFormat        string

	set  *pflag.FlagSet    // the flags that fill this in
	from map[string]string // where the file has those that are from there, "edge.toml:3:1"
}

// most bounds what counts things: far more than any host has.
const most = 1 << 24

// mostMiB bounds what counts MiB: 16 TiB.
const mostMiB = 16 << 20

// add adds the flags to fl. This list is all that there is: the configuration file has what it has.
func (f *hostFlags) add(fl *pflag.FlagSet) {
	f.set = fl
	count := func(at *int, name, usage string) { fl.Var(number[int]{at, 1, most}, name, usage) }
	mib := func(at *int64, least int64, name, usage string) {
		fl.Var(number[int64]{at, least, mostMiB}, name, usage)
	}
	fl.StringVar(&f.config, "config", "", "file that has these settings, see docs/configuration.md; a flag of the command line goes before it")
	fl.StringVar(&f.listen, "listen", ":4433", "UDP address to listen on; port 0 takes a free one")
	fl.StringVar(&f.certs, "certs", "", "folder with ca.pem, host.pem, host.key and, if there is one, revoked.pem (default: the user's own)")
	fl.StringVar(&f.cache, "cache", "", "folder for compiled modules (default: the user's cache)")
	fl.StringVar(&f.name, "name", "", "name of this host in the UEs' logs (default: the machine's)")
	fl.StringVar(&f.policy, "policy", "", "file that says what modules of whom may use (default: the built-in policy, see docs/policy.md)")
	fl.StringVar(&f.metrics, "metrics", "", "TCP address to serve /metrics, for Prometheus, /healthz and /readyz at, see docs/metrics.md (default: none)")
	fl.StringArrayVar(&f.metricsNames, "metrics-name", nil, "name that the metrics are asked for by, beside IP addresses, localhost, the machine's name and the one in --metrics; may be repeated")
	nnFlags(fl, &f.nn)
	count(&f.calls, "calls", "calls that run at once (default: one a core)")
	count(&f.channels, "channels", "channels that are served, each with an instance whose memory counts in its tenant's quota (default 2048)")
	count(&f.modules, "modules", "modules that are kept loaded, of all tenants together; the one that has gone unused longest makes room (default 256)")
	count(&f.conns, "connections", "connections that UEs may have (default 4096, or three quarters of the descriptors that this process may open)")
	fl.StringVar(&f.tcpAlso, "tcp-also", "", "further TCP address to serve UEs at, for networks that let only some ports pass (example: :443)")
	fl.BoolVar(&f.tcp, "tcp", true, "serve UEs over TCP, too, and hold their lifelines, on the port of the same number")
	fl.StringArrayVar(&f.managers, "manager", nil, "address of the offload manager, which sends the UEs: this host takes no others then; may be repeated, see docs/manager.md (default: none)")
	fl.StringArrayVar(&f.advertise, "advertise", nil, "address at which the manager's UEs reach this host; may be repeated (default: the one of --listen, or the machine's)")
	fl.Var(checked{&f.ports, goodPorts}, "ports", `UDP ports, "20000-20999", of which each lease that the manager has prepared gets one of its own, at most 1024 (default: all come by --listen)`)
	fl.StringArrayVar(&f.labels, "label", nil, `"key=value", of which UEs may ask the manager for some; may be repeated`)
	fl.StringArrayVar(&f.accelerators, "accelerator", nil, "what the manager is told that this machine has, such as gpu; may be repeated")
	fl.Var(checked{&f.price, goodPrice}, "price", "what an hour of this host costs, in any unit that is the same for all hosts (default 0)")
	mib(&f.memoryMiB, 1, "memory", "most MiB of memory of an instance (default: the limit in the policy, else 256)")
	mib(&f.totalMiB, leastTotal>>20, "memory-total", "MiB of memory that this process may take; half of it may be held for UEs beside their instances (default: seven eighths of the control group's or the machine's)")
	mib(&f.cacheMiB, 1, "cache-size", "MiB that compiled modules may take on disk (default 1024)")
	f.callLimit, f.drain = 10*time.Second, 10*time.Second
	fl.Var(span{&f.callLimit, time.Millisecond, 24 * time.Hour}, "call-limit", "longest that a call may run")
	fl.Var(span{&f.drain, 0, 24 * time.Hour}, "drain", "longest to wait for running calls at the end")
	fl.BoolVar(&f.untilEOF, "until-eof", false, "end when standard input does, for a parent process")
	f.logLevel, f.logFormat = "warn", "text"
	fl.Var(choice{&f.logLevel, logLevels}, "log-level", "what is logged: debug, info (each session and module), warn or error")
	fl.Var(choice{&f.logFormat, []string{"text", "json"}}, "log-format", "form of the log: text, or json with one object a line, see docs/metrics.md")
	fl.BoolVarP(&f.verbose, "verbose", "v", false, "log each session and module, as --log-level=info")
}

// goodPrice says what is wrong with a price.
func goodPrice(s string) error {
	if v, err := strconv.ParseFloat(s, 64); err != nil || !(v >= 0 && v <= 1e12) {
		return errors.New("want a number from 0 to 1e12, such as 0.5")
	}
	return nil
}

// goodPorts says what is wrong with ports.
func goodPorts(s string) error {
	_, err := host.ParsePorts(s)
	return err
}

// manager returns what the host tells its manager, nil if it has none.
func (f *hostFlags) manager() *host.Manager {
	if len(f.managers) == 0 {
		return nil
	}
	price, _ := strconv.ParseFloat(f.price, 64)
	ports, _ := host.ParsePorts(f.ports)
	version, _, _ := strings.Cut(version(), "\n")
	return &host.Manager{Addresses: f.managers, Advertise: f.advertise, Ports: ports, Labels: f.labels, Accelerators: f.accelerators, Price: price, Version: version}
}

// named says where a setting is from, for errors about it: "--listen", or "edge.toml:3:1: listen".
func (f *hostFlags) named(flag string) string {
	if at := f.from[flag]; at != "" {
		return at + ": " + flag
	}
	return "--" + flag
}

// settle returns the settings of the command line, and those of the file of --config where it has
// none. Its error has all faults of the file, and of what does not go together; what is not wrong is set nevertheless.
func (f *hostFlags) settle() (*hostFlags, error) {
	all := newHostFlags()
	f.copyTo(all, func(*pflag.Flag) bool { return true })
	if f.config == "" {
		return all, all.agree()
	}
	file := newHostFlags()
	from, err := readConfig(file.set, f.config)
	file.copyTo(all, func(flag *pflag.Flag) bool { return !f.set.Changed(flag.Name) })
	all.from = from
	for name := range from {
		if f.set.Changed(name) {
			delete(from, name)
		}
	}
	return all, errors.Join(err, all.agree())
}

// agree says which settings do nothing because of others.
func (f *hostFlags) agree() error {
	if f.ports != "" && len(f.managers) == 0 {
		return fmt.Errorf("%s: only leases have ports, and a host without a manager has none: name one with --manager, or leave the ports out", f.named("ports"))
	}
	return nil
}

// newHostFlags returns the settings of an empty command line.
func newHostFlags() *hostFlags {
	f := new(hostFlags)
	f.add(pflag.NewFlagSet("host", pflag.ContinueOnError))
	return f
}

// copyTo sets those settings of to that are set in f and that which names.
func (f *hostFlags) copyTo(to *hostFlags, which func(*pflag.Flag) bool) {
	copyFlags(f.set, to.set, which)
}

// copyFlags sets those flags of to that are set in from and that which names.
func copyFlags(from, to *pflag.FlagSet, which func(*pflag.Flag) bool) {
	from.VisitAll(func(flag *pflag.Flag) {
		if o := to.Lookup(flag.Name); flag.Changed && o != nil && which(flag) {
			copyValue(flag.Value, o.Value)
			o.Changed = true
		}
	})
}

// copyValue copies the value of a flag. It was valid where it is from.
func copyValue(from, to pflag.Value) {
	if list, ok := from.(pflag.SliceValue); ok {
		to.(pflag.SliceValue).Replace(list.GetSlice())
		return
	}
	text := from.String()
	if from.Type() == "stringToString" {
		text = text[1 : len(text)-1] // it is in brackets
	}
	to.Set(text)
}
