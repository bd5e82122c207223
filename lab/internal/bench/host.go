package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/bungee-xr/bungee/capability"
	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/native"
	"github.com/bungee-xr/bungee/handler/host"
	egress "github.com/bungee-xr/bungee/hostfunc/egress/host"
	scratch "github.com/bungee-xr/bungee/hostfunc/scratch/host"
	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/lab/internal/bench/marked"
)

// A Host is an edge host of the benchmarks, in a process of its own: the host
// offload handler over an engine that runs native code, or Wasm.
type Host struct {
	Certs  string // folder that identity.Write wrote
	Listen string // UDP address; "": any port of the loopback
	Name   string

	Cache   string // folder for compiled modules; "": package marked runs natively
	Metrics string // TCP address of metrics, where the process has them; "": none
	Policy  string // file that says what modules may use; "": the built-in policy
	Profile string // file for a CPU profile; "": none
	Manager string // address of the offload manager that sends UEs; "": it serves all
}

// Run serves until ctx ends, with engine where there is a Cache. It prints its address to
// out when it is ready.
func (h Host) Run(ctx context.Context, engine func(cache string) (executor.Engine, error), out io.Writer) (err error) {
	stop, err := cpuProfile(h.Profile)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	conf, err := identity.Load(h.Certs, identity.Host)
	if err != nil {
		return err
	}
	var runs executor.Engine = functions
	if h.Cache != "" {
		if runs, err = engine(h.Cache); err != nil {
			return err
		}
		defer runs.Close()
	}
	var policy *capability.Policy // nil: the built-in one
	if h.Policy != "" {
		if policy, err = capability.LoadPolicy(h.Policy); err != nil {
			return err
		}
	}
	pc, streams, err := listenBoth(cmp.Or(h.Listen, "127.0.0.1:0"))
	if err != nil {
		return err
	}
	cfg := host.Config{Name: h.Name, Engine: runs, TLS: conf, Channels: 2 * idleChannels, Policy: policy, Functions: hostFunctions()}
	if h.Manager != "" {
		cfg.Manager = &host.Manager{Addresses: []string{h.Manager}, Advertise: []string{pc.LocalAddr().String()}}
	}
	handler, err := host.New(cfg)
	if err != nil {
		return errors.Join(err, pc.Close(), streams.Close())
	}
	handler.ServeTCP(streams)
	fmt.Fprintln(out, pc.LocalAddr())
	served := make(chan error, 1)
	go func() { served <- handler.Serve(context.Background(), pc) }()
	select {
	case err = <-served:
		return cmp.Or(err, handler.Close())
	case <-ctx.Done():
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), hostDrain)
	defer cancel()
	return cmp.Or(handler.Shutdown(end), <-served)
}

// freePorts is how many free UDP ports are tried until one's TCP port is free, too: other programs have some.
const freePorts = 8

// listenBoth listens at an address by UDP, and at the same port by TCP.
func listenBoth(at string) (pc *net.UDPConn, streams net.Listener, err error) {
	addr, err := net.ResolveUDPAddr("udp", at)
	if err != nil {
		return nil, nil, err
	}
	for try := 1; ; try++ {
		if pc, err = net.ListenUDP("udp", addr); err != nil {
			return nil, nil, err
		}
		if streams, err = net.Listen("tcp", pc.LocalAddr().String()); err == nil {
			return pc, streams, nil
		}
		if err = errors.Join(err, pc.Close()); addr.Port != 0 || try == freePorts {
			return nil, nil, err
		}
	}
}

// hostDrain is how long the far endpoints of a host that ends may take to leave.
const hostDrain = 10 * time.Second

// functions is an engine whose one module is package marked's.
var functions = native.Engine{Functions: func() []native.Func { return native.Served(append(marked.Functions(), blurFunc.Serve)...) }}

// blurIndex is the number of blurFunc among the functions of a native host.
const blurIndex = 5

// hostFunctions are those that guests of the benchmarks may be granted.
func hostFunctions() []host.Provider {
	return []host.Provider{
		{Name: scratch.Name, Functions: func(capability.Grant) executor.HostFuncs { return scratch.Functions() }},
		{Name: egress.Name, Functions: func(g capability.Grant) executor.HostFuncs { return egress.Functions(g, egress.Config{}) }},
	}
}
