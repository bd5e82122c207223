package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/bungee-xr/bungee/hostfunc/nn/catalog"
	"github.com/bungee-xr/bungee/internal/cli"
	"github.com/bungee-xr/bungee/internal/identity"
)

func checkCommand() *cobra.Command {
	var f hostFlags
	c := &cobra.Command{
		Use:   "check",
		Short: "Say what is wrong with the settings and files of an edge host",
		Long: `check looks at what "bungee host" with the same flags and the same file would use: the
configuration, the policy, the certificates, the addresses, the folder for compiled
modules and the networks. It prints a line for each that begins with "ok", "note" or
"wrong", and exits with 1 if one is wrong. It changes nothing, and may run while the host
does, for example before SIGHUP. Run it as the user that the host runs as.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if k := (&check{w: c.OutOrStdout()}); !k.all(c.Context(), &f) {
				return cli.Status(1)
			}
			return nil
		},
	}
	f.add(c.Flags())
	return c
}

// A check prints what it finds.
type check struct {
	w     io.Writer
	wrong bool
}

func (k *check) ok(what, format string, args ...any) {
	fmt.Fprintf(k.w, "ok     %s: %s\n", what, fmt.Sprintf(format, args...))
}

func (k *check) note(what, format string, args ...any) {
	fmt.Fprintf(k.w, "note   %s: %s\n", what, fmt.Sprintf(format, args...))
}

// fail prints each fault of err.
func (k *check) fail(what string, err error) {
	k.wrong = true
	for _, fault := range faults(err) {
		fmt.Fprintf(k.w, "wrong  %s: %v\n", what, fault)
	}
}

// all checks everything for the command line f, and says whether nothing is wrong.
func (k *check) all(ctx context.Context, f *hostFlags) bool {
	all, err := f.settle()
	switch {
	case err != nil:
		k.fail("config", err)
	case f.config != "":
		k.ok("config", "%s, which has %d settings", f.config, len(all.from))
	}
	k.policy(all)
	k.certificates(all)
	k.addresses(all)
	k.cache(all)
	k.networks(ctx, all)
	return !k.wrong
}

func (k *check) policy(f *hostFlags) {
	if _, err := f.readPolicy(); err != nil {
		k.fail("policy", err)
	} else if f.policy == "" {
		k.ok("policy", "the built-in one")
	} else {
		k.ok("policy", "%s", f.policy)
	}
}

func (k *check) certificates(f *hostFlags) {
	const what = "certificates"
	dir, own, err := certsDir(f.certs)
	if err != nil {
		k.fail(what, err)
		return
	}
	who, err := identity.Open(dir, identity.Host, slog.New(slog.DiscardHandler))
	if why := useless(dir, err); own && why != nil {
		k.note(what, "those in %s cannot be used, and the host will make others: %v", dir, why)
		return
	}
	if err != nil {
		k.fail(what, err)
		return
	}
	conf := who.TLS()
	leaf := identity.Leaf(conf)
	now := time.Now()
	err = identity.CheckDates(conf, now)
	switch {
	case err != nil && (now.After(leaf.NotAfter) || now.Before(leaf.NotBefore)):
		k.fail(what, err)
	case err != nil:
		k.note(what, "%v", err)
	default:
		k.ok(what, "%s, until %s", dir, leaf.NotAfter.UTC().Format("2006-01-02"))
	}
}

// addresses tries each address as the host would listen on it.
func (k *check) addresses(f *hostFlags) {
	k.address(f.named("listen"), f.listen, func() (io.Closer, error) { return net.ListenPacket("udp", f.listen) })
	if f.tcp {
		k.address(f.named("listen")+" over TCP", f.listen, func() (io.Closer, error) { return net.Listen("tcp", f.listen) })
	}
	for _, a := range []struct{ flag, addr string }{{"tcp-also", f.tcpAlso}, {"metrics", f.metrics}} {
		if a.addr != "" {
			k.address(f.named(a.flag), a.addr, func() (io.Closer, error) { return net.Listen("tcp", a.addr) })
		}
	}
}

func (k *check) address(what, addr string, listen func() (io.Closer, error)) {
	c, err := listen()
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		k.note(what, "%s is in use: by this host, if it runs", addr)
	case err != nil:
		k.fail(what, err)
	default:
		c.Close()
		k.ok(what, "%s", addr)
	}
}

// cache opens the engine with the folder for compiled modules, if that is there: a folder that check made
// might be of the wrong user.
func (k *check) cache(f *hostFlags) {
	const what = "cache"
	dir, err := cachePath(f.cache)
	if err != nil {
		k.fail(what, err)
		return
	}
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := canMake(dir); err != nil {
			k.note(what, "%s is not there, and this user cannot make it (%v); systemd makes it for the service, without that: install -d -m 0700 -o USER %[1]s", dir, err)
			return
		}
		k.note(what, "%s is not there; the host will make it", dir)
		return
	case err == nil && !info.IsDir():
		err = fmt.Errorf("%s is no folder", dir)
	}
	if err == nil {
		engine, e := newEngine(dir, f.cacheMiB<<20, slog.New(slog.DiscardHandler))
		if err = e; err == nil {
			err = engine.Close()
		}
	}
	if err != nil {
		k.fail(what, err)
		return
	}
	k.ok(what, "%s", dir)
}

// canMake says why dir cannot be made. It leaves nothing behind.
func canMake(dir string) error {
	parent := filepath.Dir(dir)
	for {
		if _, err := os.Stat(parent); !errors.Is(err, fs.ErrNotExist) || parent == filepath.Dir(parent) {
			break
		}
		parent = filepath.Dir(parent)
	}
	try, err := os.MkdirTemp(parent, ".bungee-check-")
	if err != nil {
		return err
	}
	return os.Remove(try)
}

// networks looks for the networks without fetching any.
func (k *check) networks(ctx context.Context, f *hostFlags) {
	for _, name := range f.nn.models {
		found, err := catalog.Resolve(ctx, name, catalog.Options{Head: f.nn.head, InputSize: f.nn.input, Offline: true})
		switch {
		case errors.Is(err, catalog.ErrNotFound):
			k.note(f.named("model"), "%s is not on this machine; the host will fetch it, or not start", name)
		case err != nil:
			k.fail(f.named("model"), err)
		default:
			k.ok(f.named("model"), "%s: %s", found.Model.Name, found.Why)
		}
	}
}
