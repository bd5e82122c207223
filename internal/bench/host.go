package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/handler/host"
	"github.com/bungee-xr/bungee/internal/identity"
)

// A Host is an edge host of the benchmarks, in a process of its own: the host
// offload handler over an engine that runs native code.
type Host struct {
	Certs  string // folder that identity.Write wrote
	Listen string // UDP address; "": any port of the loopback
	Name   string
}

// Run serves until ctx ends. It prints its address to out when it is ready.
func (h Host) Run(ctx context.Context, out io.Writer) error {
	conf, err := identity.Load(h.Certs, identity.Host)
	if err != nil {
		return err
	}
	handler, err := host.New(host.Config{Name: h.Name, Engine: native{}, TLS: conf, Channels: 2 * idleChannels})
	if err != nil {
		return err
	}
	addr, err := net.ResolveUDPAddr("udp", cmp.Or(h.Listen, "127.0.0.1:0"))
	if err != nil {
		return err
	}
	pc, err := net.ListenUDP("udp", addr)
	if err != nil {
		return err
	}
	lifelines, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return errors.Join(err, pc.Close())
	}
	handler.KeepLifelines(lifelines)
	fmt.Fprintln(out, pc.LocalAddr())
	served := make(chan error, 1)
	go func() { served <- handler.Serve(context.Background(), pc) }()
	select {
	case err = <-served:
	case <-ctx.Done():
	}
	return cmp.Or(err, handler.Close())
}

// native is an engine whose one module is the benchmarks' endpoint.
type native struct{}

func (native) Load(context.Context, []byte) (executor.Module, error) { return native{}, nil }

func (native) Instantiate(context.Context, executor.InstanceConfig) (executor.Instance, error) {
	s := endpoint.Serve()
	return &nativeInstance{functions: []function{s.Handle, s.Save, s.Restore}}, nil
}

func (native) Close() error { return nil }

// A function is a guest function in native code: it appends its reply to dst.
type function = func(ctx context.Context, request, dst []byte) []byte

type nativeInstance struct {
	functions []function
	reply     []byte
}

func (in *nativeInstance) Call(ctx context.Context, fn uint32, request []byte) (executor.Reply, error) {
	if int(fn) >= len(in.functions) {
		return executor.Reply{}, fmt.Errorf("%w: no function %d", executor.ErrNotStarted, fn)
	}
	in.reply = in.functions[fn](ctx, request, in.reply[:0])
	return executor.Reply{Status: executor.Status(in.reply[0]), Payload: in.reply[1:]}, nil
}

func (in *nativeInstance) Close() error { return nil }
