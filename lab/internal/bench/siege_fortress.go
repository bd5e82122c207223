package bench

import (
	"cmp"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/bungee-xr/bungee/internal/cgroup"
	"github.com/bungee-xr/bungee/internal/identity"
)

// A fortress is an edge host in a process of its own, and the quiet tenants in it.
type fortress struct {
	ground    *ground
	name      string
	edge      *process
	addr      string
	limit     *cgroup.Group // nil: none
	quiet     *quietCrowd
	watch     *memoryWatch
	log       logCounter
	acts      map[string]uint64 // of attackers that have left
	shutOut   string            // attacks that began with fewer connections than they want, in the last round where one did
	deployers int               // tenants that have deployed
	begun     time.Time
}

// fortress starts a host for a case of this name, and brings the quiet tenants in.
func (g *ground) fortress(ctx context.Context, name string) (b *fortress, err error) {
	b = &fortress{ground: g, name: name, acts: map[string]uint64{}, begun: time.Now()}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.end())
		}
	}()
	cmd := g.Edge(Host{Certs: g.dir, Name: "edge", Listen: "127.0.0.1:0", Cache: filepath.Join(g.dir, "modules")})
	b.log.to = g.log
	cmd.Stderr = &b.log
	if b.edge, err = startGated(cmd, b.confine); err != nil {
		return b, err
	}
	b.watch = watchMemory(b.edge.cmd.Process.Pid, 2*g.Total)
	line, err := b.edge.line()
	if err != nil {
		return b, err
	}
	b.addr = strings.TrimPrefix(line, "listening on ")
	b.quiet, err = newQuietCrowd(ctx, g.ca, b.addr, g.Quiet)
	return b, err
}

// confine gives the host, which has not begun, its core and its quota of it.
func (b *fortress) confine(pid int) (err error) {
	if err := pin(pid, hostCore); err != nil {
		return err
	}
	if b.ground.Quota > 0 {
		b.limit, err = cgroup.Limit(b.ground.Quota, cgroup.Options{PID: pid})
	}
	return err
}

// fallen says whether the host's process has ended.
func (b *fortress) fallen() bool { return b.watch.dead.Load() }

// end ends the host and all that is around it. It is no error that the host had to be killed, or was.
func (b *fortress) end() error {
	if b.quiet != nil {
		b.quiet.close()
	}
	if b.edge == nil {
		return nil
	}
	var err error
	if b.watch != nil {
		b.watch.end()
		b.ground.curves = append(b.ground.curves, siegeCurve{b.name, b.watch.points})
	}
	end := b.edge.end()
	var exit *exec.ExitError
	if !errors.As(end, &exit) {
		err = end
	}
	if b.limit != nil {
		err = errors.Join(err, b.limit.Close())
	}
	return err
}

// A logCounter counts what a host logs, and passes it on.
type logCounter struct {
	to *os.File // nil: nowhere
	n  atomic.Int64
}

func (l *logCounter) Write(b []byte) (int, error) {
	l.n.Add(int64(len(b)))
	if l.to == nil {
		return len(b), nil
	}
	return l.to.Write(b)
}

// countActs ends a process of attackers and counts what they did.
func (b *fortress) countActs(p *process) error {
	p.in.Close()
	late := time.AfterFunc(time.Minute, func() { p.cmd.Process.Kill() })
	line, err := p.line()
	late.Stop()
	if err == nil {
		var done map[string]uint64
		err = json.Unmarshal([]byte(line), &done)
		for name, n := range done {
			b.acts[name] += n
		}
	}
	return errors.Join(err, p.end())
}

// actsText says how often each attack did what it does, the least first: one that did little is not
// what the figures are of.
func (b *fortress) actsText() string {
	names := slices.SortedFunc(maps.Keys(b.acts), func(x, y string) int {
		return cmp.Or(cmp.Compare(b.acts[x], b.acts[y]), strings.Compare(x, y))
	})
	var parts []string
	for _, name := range names {
		parts = append(parts, fmt.Sprint(name, " ", b.acts[name]))
	}
	return strings.Join(parts, ", ")
}

// memoryFigure is the most that the host had over what it may have.
func (b *fortress) memoryFigure(name string) Figure {
	peak := float64(b.watch.peak())
	f := Figure{Case: name, Metric: "peak_memory_over_total", Unit: "x", Value: peak / float64(b.ground.Total), N: len(b.watch.points)}
	f.Beside = map[string]float64{"mb": peak / 1e6, "total_mb": float64(b.ground.Total) / 1e6}
	return f.against("<=", 1.1)
}

// plainFigures are those without a target.
func (b *fortress) plainFigures(name string, sum tally) []Figure {
	long := time.Since(b.begun).Seconds()
	return []Figure{
		{Case: name, Metric: "modules_sent_again", Unit: "calls", Value: float64(sum.redeployed), N: sum.made},
		{Case: name, Metric: "logged", Unit: "KB_per_s", Value: float64(b.log.n.Load()) / 1e3 / long, N: 1},
		{Case: name, Metric: "acts", Unit: "acts", Value: float64(b.allActs()), N: len(b.acts), Note: b.actsText()},
		b.idleFigure(name),
	}
}

// idleFigure says which attacks came to no act: the host has not withstood those.
func (b *fortress) idleFigure(name string) Figure {
	var idle []string
	for _, attack := range slices.Sorted(maps.Keys(b.acts)) {
		if b.acts[attack] == 0 {
			idle = append(idle, attack)
		}
	}
	note := strings.Join(idle, ", ")
	if b.shutOut != "" {
		note += " (begun without all of their connections: " + b.shutOut + ")"
	}
	f := Figure{Case: name, Metric: "attacks_idle", Unit: "attacks", Value: float64(len(idle)), N: len(b.acts), Note: strings.TrimSpace(note)}
	return f.against("<=", 0)
}

func (b *fortress) allActs() (sum uint64) {
	for _, n := range b.acts {
		sum += n
	}
	return sum
}

// startGated starts cmd when before, which gets its process id, has returned.
func startGated(cmd *exec.Cmd, before func(pid int) error) (*process, error) {
	args := append([]string{"-c", `read -r go && exec "$@"`, "sh", cmd.Path}, cmd.Args[1:]...)
	gated := exec.Command("sh", args...)
	gated.Env, gated.Dir, gated.Stderr = cmd.Env, cmd.Dir, cmd.Stderr
	p, err := start(gated)
	if err != nil {
		return nil, err
	}
	if err = before(p.cmd.Process.Pid); err == nil {
		_, err = p.in.Write([]byte("go\n"))
	}
	if err != nil {
		p.kill()
		return nil, err
	}
	return p, nil
}

// writeCertificate writes a UE's certificate of that name into a folder of its own, with the
// authority's, as identity.Load reads them.
func writeCertificate(ca *identity.Authority, dir, name, authority string) error {
	cert, err := ca.Issue(identity.UE, name)
	if err != nil {
		return err
	}
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		return err
	}
	root, err := os.ReadFile(authority)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for file, text := range map[string][]byte{
		"ca.pem": root,
		"ue.pem": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]}),
		"ue.key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}),
	} {
		if err := os.WriteFile(filepath.Join(dir, file), text, 0o600); err != nil {
			return err
		}
	}
	return nil
}
