package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/bungee-xr/bungee/handler/ue"
	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/offload/manager"
)

// An estate is edge hosts that a manager manages, and a UE which goes where it says. The hosts are processes of their own;
// the manager and the UE are in this one, so that what the manager knows can be seen.
type estate struct {
	dir     string
	ca      *identity.Authority
	manager *manager.Manager
	addr    *net.UDPAddr // the manager's
	served  sync.WaitGroup
	edges   []*edgeProcess
	ue      *ue.Handler
}

// estate starts a manager, hosts of these names, and a UE. With wasm the hosts run that, else package marked natively.
func (c Control) estate(ctx context.Context, wasm bool, names ...string) (e *estate, err error) {
	e = &estate{}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.end())
		}
	}()
	if e.dir, err = os.MkdirTemp("", "bungee-control-"); err != nil {
		return e, err
	}
	if e.ca, err = identity.NewAuthority(); err != nil {
		return e, err
	}
	if err = e.ca.Write(e.dir); err != nil {
		return e, err
	}
	if err = e.manage(); err != nil {
		return e, err
	}
	for _, name := range names {
		h := Host{Certs: filepath.Join(e.dir, name), Name: name, Manager: e.addr.String()}
		if wasm {
			h.Cache = filepath.Join(e.dir, "modules")
		}
		if err = e.issue(name, h.Certs); err != nil {
			return e, err
		}
		edge, err := startEdge(c.Edge, h)
		if err != nil {
			return e, err
		}
		e.edges = append(e.edges, edge)
	}
	if err = e.await(ctx, "all hosts serve", e.all("ready")); err != nil {
		return e, err
	}
	conf, err := ue.LoadTLS(e.dir)
	if err != nil {
		return e, err
	}
	e.ue, err = ue.Start(ctx, ue.Config{TLS: conf, Managers: ue.Addresses{e.addr.String()}, Need: ue.Need{Rate: 100}})
	return e, err
}

// issue writes a certificate of a host.
func (e *estate) issue(name, dir string) error {
	cert, err := e.ca.Issue(identity.Host, name)
	if err != nil {
		return err
	}
	return identity.WriteFolder(dir, cert, e.ca.Certificate())
}

// manage starts the manager. On a machine that is busy a host may seem far.
func (e *estate) manage() (err error) {
	e.manager, err = manager.New(manager.Config{Certs: e.dir, Store: filepath.Join(e.dir, "manager.db"), ThetaNet: time.Second})
	if err != nil {
		return err
	}
	pc, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return err
	}
	e.addr = pc.LocalAddr().(*net.UDPAddr)
	e.served.Go(func() { e.manager.Serve(context.Background(), pc) }) // ends with Close
	return nil
}

func (e *estate) end() (err error) {
	if e.ue != nil {
		err = e.ue.Close()
	}
	for _, edge := range e.edges {
		edge.kill() // one that drains waits for UEs that have gone
	}
	if e.manager != nil {
		err = errors.Join(err, e.manager.Close())
	}
	e.served.Wait()
	return errors.Join(err, os.RemoveAll(e.dir))
}

// edge returns the host of a name.
func (e *estate) edge(name string) (*edgeProcess, error) {
	i := slices.IndexFunc(e.edges, func(p *edgeProcess) bool { return p.host.Name == name })
	if i < 0 {
		return nil, fmt.Errorf("%q is none of the hosts", name)
	}
	return e.edges[i], nil
}

// estatePatience is how long a manager, hosts and a UE may take to come to what is awaited. A session whose standby has ended has
// none for a minute.
const estatePatience = 90 * time.Second

// await waits until the manager's state is as wanted.
func (e *estate) await(ctx context.Context, what string, want func(manager.State) bool) error {
	ctx, cancel := context.WithTimeout(ctx, estatePatience)
	defer cancel()
	for {
		s, err := e.manager.State()
		if err != nil || want(s) {
			return err
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("until %s: %w; hosts %+v, sessions %+v", what, context.Cause(ctx), s.Hosts, s.Sessions)
		}
	}
}

// all is a state in which each host is so.
func (e *estate) all(state string) func(manager.State) bool {
	return func(s manager.State) bool {
		return len(s.Hosts) == len(e.edges) && !slices.ContainsFunc(s.Hosts, func(h manager.Host) bool { return h.State != state })
	}
}

// every is a state in which there are sessions, each of them runs on a host, and is as wanted.
func every(want func(manager.Session) bool) func(manager.State) bool {
	return func(s manager.State) bool {
		return len(s.Sessions) > 0 && !slices.ContainsFunc(s.Sessions, func(x manager.Session) bool { return x.State != "running" || !want(x) })
	}
}

// off says that a session has neither its primary nor its standby on a host of this name; "": it has both.
func off(name string) func(manager.Session) bool {
	return func(x manager.Session) bool { return x.Primary != name && x.Standby != name }
}
