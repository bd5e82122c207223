package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/bungee-xr/bungee/internal/identity"
)

// Control configures the benchmark of the control plane: how soon an offload manager decides, how much it is asked, and
// what it costs. The manager is a process of its own; hosts and UEs that only speak with it are a [crowd].
type Control struct {
	Setup
	// Manager makes the command of a process that runs a [Manager].
	Manager func(Manager) *exec.Cmd
	// Up makes the command of a "bungee up". Nil: that case is left out.
	Up Upper
	// Out is the folder for a CPU profile of the manager in each case. Empty: none is made.
	Out string
}

// Run measures.
func (c Control) Run(ctx context.Context) ([]Figure, error) {
	few, town := c.pick(16, 4), c.pick(1000, 8)
	scenes := []scene{
		{fmt.Sprintf("decision/%s hosts", thousands(c.pick(1000, 100))), c.decisions},
		{fmt.Sprintf("asks/%s hosts", thousands(few)), c.asks(few)},
		{fmt.Sprintf("asks/%s hosts", thousands(town)), c.asks(town)},
		{"ready/module cached", c.readiness},
		{"neighbour beside probes/of 20ms", c.neighbour(longProbes)},
		{"neighbour beside probes/of a Go module", c.neighbour(goProbes)},
		{"drained/100hz", c.moves(c.pick(12, 1))},
		{"kill -9/100hz", c.kills(c.pick(8, 1))},
		{"at rest/traffic", c.traffic},
		{fmt.Sprintf("at rest/%s hosts", thousands(town)), c.memory(town)},
	}
	if c.Up != nil {
		scenes = append(scenes, scene{"up/module cached", c.ups})
	}
	return c.play(ctx, "control", scenes)
}

// thousands writes n as people do.
func thousands(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%d,%03d", n/1000, n%1000)
}

// A realm is a manager and the crowd that speaks with it.
type realm struct {
	*crowd
	dir     string
	process *process
}

// realm starts a manager for a case, with a store of its own.
func (c Control) realm(name string) (r *realm, err error) {
	r = &realm{}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.end())
		}
	}()
	if r.dir, err = os.MkdirTemp("", "bungee-control-"); err != nil {
		return r, err
	}
	ca, err := identity.NewAuthority()
	if err != nil {
		return r, err
	}
	m := Manager{Certs: r.dir, Store: filepath.Join(r.dir, "manager.db"), Audit: filepath.Join(r.dir, "audit.jsonl")}
	if c.Out != "" {
		m.Profile = filepath.Join(c.Out, strings.NewReplacer("/", "-", " ", "-").Replace(name)+".pprof")
	}
	if err = ca.Write(r.dir); err != nil {
		return r, err
	}
	if r.process, err = start(c.Manager(m)); err != nil {
		return r, err
	}
	line, err := r.process.line()
	if err != nil {
		return r, err
	}
	addr, err := net.ResolveUDPAddr("udp", line)
	r.crowd = newCrowd(ca, addr)
	return r, err
}

// end ends the crowd, which says what has gone wrong in it, and the manager.
func (r *realm) end() (err error) {
	if r.crowd != nil {
		err = r.crowd.end()
	}
	if r.process != nil {
		err = errors.Join(err, r.process.end())
	}
	return errors.Join(err, os.RemoveAll(r.dir))
}

// pid is the manager's.
func (r *realm) pid() int { return r.process.cmd.Process.Pid }
