package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime/pprof"

	"github.com/bungee-xr/bungee/offload/manager"
)

// A Manager is an offload manager of the benchmarks, in a process of its own. It bounds nobody's asks.
type Manager struct {
	Certs   string // folder that identity.Write wrote
	Store   string // file of its store
	Audit   string // file for a line a decision; "": none is written
	Profile string // file for a CPU profile, and with ".heap" for one of its memory; "": none
}

// Run serves until ctx ends. It prints its address to out when it is ready.
func (m Manager) Run(ctx context.Context, out io.Writer) (err error) {
	stop, err := cpuProfile(m.Profile)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	conf := manager.Config{
		Certs: m.Certs, Store: m.Store, AsksPerSecond: 1e6, Sessions: 20_000,
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
	if m.Audit != "" {
		f, err := os.Create(m.Audit)
		if err != nil {
			return err
		}
		defer f.Close()
		conf.Audit = slog.New(slog.NewJSONHandler(f, nil))
	}
	mg, err := manager.New(conf)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, mg.Close()) }()
	pc, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return err
	}
	defer manager.LimitMemory()()
	fmt.Fprintln(out, pc.LocalAddr())
	if err := mg.Serve(ctx, pc); ctx.Err() == nil {
		return cmp.Or(err, errors.New("the manager has ended by itself"))
	}
	return m.heap()
}

// heap writes a profile of what the manager held when its garbage was last collected, beside that of its time.
func (m Manager) heap() error {
	if m.Profile == "" {
		return nil
	}
	f, err := os.Create(m.Profile + ".heap")
	if err != nil {
		return err
	}
	return errors.Join(pprof.WriteHeapProfile(f), f.Close())
}
