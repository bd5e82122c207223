package bench

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/bungee-xr/bungee/internal/cgroup"
	"github.com/bungee-xr/bungee/internal/identity"
)

// An Admission is the experiment of paper 000: ten UEs, three edge hosts, and who keeps his promise. Hosts and UEs are processes of their own, the
// manager is in this one.
type Admission struct {
	Setup
	// UE makes the command of a process that runs an [AdmissionUE].
	UE func(AdmissionUE) *exec.Cmd
	// Work is what the UEs have computed.
	Work Work
	// Out is the folder of results.ndjson, of compiled modules, and of the figures. It must be there. An experiment that finds results of its own there
	// goes on after them.
	Out string
	// Repeats is how many repeats of a case are run at most. Zero means as many as the experiment has.
	Repeats int
	// Speed is how many times time is compressed. Zero means not, or five times if Quick. What is compressed is not judged.
	Speed int
	// Unlimited hosts have no quota, as in a test without the rights for it. Nothing of that is judged.
	Unlimited bool
	// Say is told what happens. Nil is silent.
	Say io.Writer
}

// Run runs what has not been run, prints a table to w, draws the figures, and returns what was measured.
func (a Admission) Run(ctx context.Context, w io.Writer) (figures []Figure, err error) {
	if a.Say == nil {
		a.Say = io.Discard
	}
	if a.Speed == 0 {
		a.Speed = a.pick(1, quickSpeed)
	}
	r, err := openResults(filepath.Join(a.Out, a.pickName()))
	if err != nil {
		return nil, err
	}
	todo := a.todo(r)
	if len(todo) == 0 && r.sweep == nil {
		return nil, fmt.Errorf("no run has %q in its name", a.Only)
	}
	if err := a.runAll(ctx, r, todo); err != nil {
		return nil, err
	}
	figures = admissionFigures(r)
	if a.Quick || a.Unlimited || a.Speed != 1 {
		figures = unjudged(figures)
		fmt.Fprintf(w, "A quick run: time is compressed %d times, and nothing is judged.\n\n", a.Speed)
	}
	return figures, errors.Join(printAdmission(w, r), drawAdmission(a.Out, r))
}

// pickName is the name of the results' file: quick results are not mixed with others.
func (a *Admission) pickName() string {
	if a.Quick {
		return "quick.ndjson"
	}
	return "results.ndjson"
}

// todo returns the runs that are selected and have not been run.
func (a *Admission) todo(r *results) (all []runPlan) {
	for _, p := range plans(a.Quick) {
		if strings.Contains(p.String(), a.Only) && (a.Repeats == 0 || p.Repeat <= a.Repeats) && r.find(p) == nil {
			all = append(all, p)
		}
	}
	return all
}

// runAll sweeps the hosts, unless that was done, and runs.
func (a *Admission) runAll(ctx context.Context, r *results, todo []runPlan) (err error) {
	if len(todo) == 0 {
		return nil
	}
	if r.sweep != nil && r.sweep.Network != a.Work.Network {
		return fmt.Errorf("the results in %s are of %q, and this would go on with %q; name the one, another --out, or take the file away to begin anew", r.path, r.sweep.Network, a.Work.Network)
	}
	y, err := a.yard()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, y.end()) }()
	if err := y.warm(ctx); err != nil {
		return fmt.Errorf("bring the module: %w", err)
	}
	if r.sweep == nil {
		fmt.Fprintln(a.Say, "what the hosts can take is measured")
		s, err := y.sweep(ctx)
		if err == nil {
			err = r.add(line{Sweep: s})
		}
		if err != nil {
			return fmt.Errorf("sweep: %w", err)
		}
	}
	for i, p := range todo {
		if a.Progress != nil {
			a.Progress(p.String(), i, len(todo))
		}
		begin := time.Now()
		run, err := y.run(ctx, r.sweep, p)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err == nil {
			err = r.add(line{Run: run})
		}
		if err != nil {
			return fmt.Errorf("run %s: %w", p, err)
		}
		fmt.Fprintf(a.Say, "%d of %d: %s: %s, %.0f s\n", i+1, len(todo), p, summed(run), time.Since(begin).Seconds())
	}
	if a.Progress != nil {
		a.Progress("", len(todo), len(todo))
	}
	return nil
}

// A yard has what all runs of a process have in common.
type yard struct {
	*Admission
	ca  *identity.Authority
	dir string
}

// admissionTenant is whose UEs these are: a module that one of them brings is in the cache for all.
const admissionTenant = "paper000"

func (a *Admission) yard() (y *yard, err error) {
	y = &yard{Admission: a}
	if y.dir, err = os.MkdirTemp("", "bungee-admission-"); err != nil {
		return nil, err
	}
	if y.ca, err = identity.NewAuthority(); err == nil {
		err = y.ca.Write(y.dir)
	}
	for _, h := range shares {
		if err == nil {
			err = y.host(h.name)
		}
	}
	for i := range askTimes {
		if err == nil {
			err = y.headset(i)
		}
	}
	if err != nil {
		return nil, errors.Join(err, y.end())
	}
	return y, nil
}

func (y *yard) end() error { return os.RemoveAll(y.dir) }

// host writes the certificate of a host.
func (y *yard) host(name string) error {
	cert, err := y.ca.Issue(identity.Host, name)
	if err != nil {
		return err
	}
	return identity.WriteFolder(filepath.Join(y.dir, name), cert, y.ca.Certificate())
}

func ueName(i int) string { return fmt.Sprintf("headset-%d", i) }

// headset writes the certificate of the i-th UE.
func (y *yard) headset(i int) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	id := identity.ID{Authority: y.ca.Name(), Role: identity.UE, Tenant: admissionTenant, Name: ueName(i)}
	chain, err := y.ca.Sign(&key.PublicKey, identity.Request{ID: id})
	if err != nil {
		return err
	}
	leaf, err := x509.ParseCertificate(chain[0])
	if err != nil {
		return err
	}
	return identity.WriteFolder(filepath.Join(y.dir, ueName(i)), tls.Certificate{Certificate: chain, PrivateKey: key, Leaf: leaf}, y.ca.Certificate())
}

// quotaPeriod is the time over which a host has its quota: short beside a frame, so that a host is like a slower core.
const quotaPeriod = 10 * time.Millisecond

// An edgeQuota is an edge host under a quota.
type edgeQuota struct {
	*process
	share
	addr  string
	limit *cgroup.Group // nil: none
}

// edges starts the hosts; manager is the address of theirs, or empty.
func (y *yard) edges(manager string) (all []*edgeQuota, err error) {
	for _, h := range shares {
		e := &edgeQuota{share: h}
		all = append(all, e)
		cmd := y.Edge(Host{Certs: filepath.Join(y.dir, h.name), Name: h.name, Listen: "127.0.0.1:0", Cache: filepath.Join(y.Out, "modules"), Manager: manager})
		e.process, err = startGated(cmd, func(pid int) (err error) {
			if !y.Unlimited {
				e.limit, err = cgroup.Limit(h.cores, cgroup.Options{PID: pid, Period: quotaPeriod})
			}
			return err
		})
		if err != nil {
			break
		}
	}
	for _, e := range all {
		if err == nil {
			e.addr, err = e.line()
			e.addr = strings.TrimPrefix(e.addr, "listening on ")
		}
	}
	if err != nil {
		return nil, errors.Join(err, endEdges(all))
	}
	return all, nil
}

// endEdges ends hosts: nobody needs them to drain.
func endEdges(all []*edgeQuota) (err error) {
	for _, e := range all {
		if e.process != nil {
			e.kill()
		}
		if e.limit != nil {
			err = errors.Join(err, lift(e.limit))
		}
	}
	return err
}

// lift takes a limit away. The host's own children, which compile modules, end a little after it.
func lift(g *cgroup.Group) (err error) {
	for range 100 {
		if err = g.Close(); err == nil {
			return nil
		}
		wait(context.Background(), 50*time.Millisecond)
	}
	return err
}

// start starts a UE, and returns when it is ready to begin.
func (y *yard) start(u AdmissionUE) (*process, error) {
	u.Work = y.Work
	p, err := start(y.UE(u))
	if err != nil {
		return nil, err
	}
	if _, err := p.line(); err != nil {
		p.kill()
		return nil, err
	}
	return p, nil
}

// finish has a UE begin, and returns what it saw, when it has ended.
func finish(ctx context.Context, p *process) (r UEReport, err error) {
	defer context.AfterFunc(ctx, func() { p.in.Close() })()
	if _, err := p.in.Write([]byte("go\n")); err != nil {
		return r, err
	}
	text, err := p.line()
	if err == nil {
		err = json.Unmarshal([]byte(text), &r)
	}
	return r, errors.Join(err, p.end())
}

// warm has the module compiled, as one of the UEs' tenant brings it.
func (y *yard) warm(ctx context.Context) error {
	edges, err := y.edges("")
	if err != nil {
		return err
	}
	defer endEdges(edges)
	r, err := y.alone(ctx, AdmissionUE{Edge: edges[0].addr, Loops: 1, Frames: 1}, 0)
	if err == nil && r.Outcome != outcomeServed {
		err = fmt.Errorf("the UE is %s: %s", r.Outcome, r.Why)
	}
	return err
}

// alone runs a UE with the i-th certificate.
func (y *yard) alone(ctx context.Context, u AdmissionUE, i int) (UEReport, error) {
	u.Certs = filepath.Join(y.dir, ueName(i))
	p, err := y.start(u)
	if err != nil {
		return UEReport{}, err
	}
	return finish(ctx, p)
}
