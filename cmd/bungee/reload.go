package main

import (
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/pflag"

	"github.com/bungee-xr/bungee/handler/host"
)

// reloaded are the settings that a host which runs obeys anew. The others need another start.
var reloaded = []string{"config", "policy", "log-level", "verbose"}

// A reloader has a running host obey its files as they are.
type reloader struct {
	line    *hostFlags // of the command line
	started *hostFlags // what the host runs with
	level   *slog.LevelVar
	who     interface{ Reload() error }
	h       *host.Handler
	log     *slog.Logger

	good atomic.Bool  // the last reload, or the start, succeeded
	last atomic.Int64 // when one did, Unix seconds
}

// reload reads the configuration, the policy and the certificates again. If one of them has a fault, all
// stays as it is.
func (r *reloader) reload() error {
	next, err := r.line.settle()
	if err != nil {
		return err
	}
	policy, err := next.readPolicy()
	if err != nil {
		return err
	}
	if err := r.who.Reload(); err != nil {
		return err
	}
	r.h.SetPolicy(policy)
	r.level.Set(next.level())
	if fixed := r.started.differs(next); len(fixed) > 0 {
		r.log.Warn("settings have changed that a running host keeps: they count from its next start on", "settings", fixed)
	}
	return nil
}

// differs returns the settings, of those that a running host keeps, in which o is not f.
func (f *hostFlags) differs(o *hostFlags) (names []string) {
	f.set.VisitAll(func(flag *pflag.Flag) {
		if !slices.Contains(reloaded, flag.Name) && flag.Value.String() != o.set.Lookup(flag.Name).Value.String() {
			names = append(names, flag.Name)
		}
	})
	return names
}

// reloadAndTell reloads and logs how that went.
func (r *reloader) reloadAndTell() {
	err := r.reload()
	r.good.Store(err == nil)
	if err != nil {
		for _, fault := range faults(err) {
			r.log.Error("nothing is reloaded", "why", fault)
		}
		return
	}
	r.last.Store(time.Now().Unix())
	r.log.Warn("reloaded", "log_level", r.level.Level())
}

// faults returns the errors that err was joined of, else err.
func faults(err error) (all []error) {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	for _, e := range joined.Unwrap() {
		all = append(all, faults(e)...)
	}
	return all
}

// hangups receives SIGHUP from now on, so that it does not end the process. The channel has room for the
// one that came before it is looked at: several are one.
func hangups() (c chan os.Signal, stop func()) {
	c = make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGHUP)
	return c, func() { signal.Stop(c) }
}

// onHangups reloads at each SIGHUP until stop is called, which returns when the last reload is over.
func (r *reloader) onHangups(c <-chan os.Signal) (stop func()) {
	r.good.Store(true)
	r.last.Store(time.Now().Unix())
	quit := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-c:
				r.reloadAndTell()
			case <-quit:
				return
			}
		}
	})
	return func() {
		close(quit)
		wg.Wait()
	}
}
