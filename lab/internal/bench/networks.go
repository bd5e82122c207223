package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/bungee-xr/bungee/internal/identity"
)

// Networks configures the benchmark of what lies between a UE and its edge host: how soon
// calls run on the host, and how soon again after the path has changed under them. A UE and a
// host are processes in network namespaces, with a router between them.
type Networks struct {
	Setup
	// UE makes the command of a process that runs a [Caller].
	UE func(Caller) *exec.Cmd
	// Flood and Sink make the commands of processes that run them.
	Flood func(Flood) *exec.Cmd
	Sink  func(Sink) *exec.Cmd
}

// Run measures. It needs Linux, root, iproute2 and nftables.
func (n Networks) Run(ctx context.Context) (figures []Figure, err error) {
	certs, err := os.MkdirTemp("", "bungee-bench-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(certs)) }()
	authority, err := identity.NewAuthority()
	if err == nil {
		err = authority.Write(certs)
	}
	if err != nil {
		return nil, err
	}
	here := n.at(certs)
	return n.play(ctx, "networks", []scene{
		{"start/UDP and TCP", here.begins(nothing, 0)},
		{"start/UDP is dropped", here.begins(dropUDP, 600)},
		{"start/UDP is refused", here.begins(refuseUDP, 300)},
		{"start again/UDP is dropped", here.beginsAgain(dropUDP)},
		{"start/MTU 1280, IPv4", here.narrow(4)},
		{"start/MTU 1280, IPv6", here.narrow(6)},
		{"change/MTU 1280", here.changes(mtu1280)},
		{"change/MTU 1280, and no word of it", here.changes(silently(mtu1280))},
		{"change/large packets are dropped", here.changes(dropLarge)},
		{"change/UDP is dropped", here.changes(dropUDP)},
		{"change/UDP is refused", here.changes(refuseUDP)},
		{"change/the UE has another address", here.changes(readdress)},
		{"change/the NAT has another address", here.changes(rebind)},
		{"change/the interface is down for 2 s", here.changes(unplug)},
		{"flood/10,000 Initials a second from 1,000 ports", here.floods(Flood{Ports: 1000, Rate: 10_000, For: time.Duration(n.pick(10, 2)) * time.Second})},
	})
}

// A locale is where the cases of Networks are measured.
type locale struct {
	Networks
	certs string
}

func (n Networks) at(certs string) *locale { return &locale{n, certs} }

// A change is what happens to a network. It returns when it has.
type change func(ctx context.Context, r *router) error

func nothing(context.Context, *router) error { return nil }

func dropUDP(_ context.Context, r *router) error { return r.filter("meta l4proto udp drop") }

func refuseUDP(_ context.Context, r *router) error { return r.filter("meta l4proto udp reject") }

func dropLarge(_ context.Context, r *router) error {
	return r.filter("meta l4proto udp meta length > 1300 drop")
}

func mtu1280(_ context.Context, r *router) error { return r.mtu(1280) }

// silently makes the router drop what is too large and tell nobody.
func silently(c change) change {
	return func(ctx context.Context, r *router) error {
		return errors.Join(r.mute(), c(ctx, r))
	}
}

func readdress(_ context.Context, r *router) error { return r.readdress() }

func rebind(_ context.Context, r *router) error { return r.rebind() }

func unplug(ctx context.Context, r *router) error {
	if err := r.plug(false); err != nil {
		return err
	}
	select {
	case <-time.After(2 * time.Second):
	case <-ctx.Done():
	}
	return r.plug(true)
}

// A visit is a UE that calls through a router to an edge host, which has the module.
type visit struct {
	router *router
	edge   *edgeProcess
	ue     *process
}

// visit makes a network and a host, to which another UE brings the module; and then the UE, on
// the network as before has changed it.
func (l *locale) visit(ctx context.Context, family int, before change, c Caller) (v *visit, err error) {
	v = &visit{}
	defer func() {
		if err != nil {
			err = errors.Join(err, v.end())
		}
	}()
	if v.router, err = newRouter(); err != nil {
		return v, err
	}
	inside := func(h Host) *exec.Cmd { return v.router.host(l.Edge(h)) }
	conf := Host{Certs: l.certs, Name: "edge", Listen: v.router.address(family), Cache: l.certs + "/modules"}
	if v.edge, err = startEdge(inside, conf); err != nil {
		return v, err
	}
	c.Certs, c.Edge = l.certs, v.edge.address
	if v.ue, err = start(v.router.ue(l.UE(c))); err != nil {
		return v, err
	}
	if _, err = v.firstAnswer(); err != nil {
		return v, err
	}
	if err = errors.Join(v.ue.end(), before(ctx, v.router)); err != nil {
		return v, err
	}
	v.ue, err = start(v.router.ue(l.UE(c)))
	return v, err
}

// end ends both ends and the network.
func (v *visit) end() error {
	var err error
	if v.ue != nil {
		err = v.ue.end()
	}
	if v.edge != nil && v.edge.process != nil {
		err = errors.Join(err, v.edge.end())
	}
	return errors.Join(err, v.router.end())
}

// patience is how long a UE may take to reach its host before a case has failed.
const patience = 30 * time.Second

// begins measures the time from a UE's start to its first answer of the edge host.
func (l *locale) begins(c change, most float64) trial {
	return func(ctx context.Context, name string) ([]Figure, error) {
		took, said, err := l.starts(ctx, c, 1)
		if err != nil {
			return nil, err
		}
		f := Figure{Case: name, Metric: "first_answer_p50", Unit: "ms", Value: quantile(took, 0.5), N: len(took), Note: said}
		if most > 0 {
			f = f.against("<=", most)
		}
		return []Figure{f}, nil
	}
}

// beginsAgain measures the second start of a UE in a network where UDP does not work, over the
// first start of one where it does.
func (l *locale) beginsAgain(c change) trial {
	return func(ctx context.Context, name string) ([]Figure, error) {
		plain, _, err := l.starts(ctx, nothing, 1)
		if err != nil {
			return nil, err
		}
		took, said, err := l.starts(ctx, c, 2)
		if err != nil {
			return nil, err
		}
		f := Figure{Case: name, Metric: "first_answer_p50", Unit: "ms", Value: quantile(took, 0.5), N: len(took), Note: said}
		f.Beside = map[string]float64{"ms_with_udp": quantile(plain, 0.5)}
		return []Figure{f.against("<=", quantile(plain, 0.5)+50)}, nil
	}
}

// starts starts UEs one after the other, and returns how long the nth start in each took.
func (l *locale) starts(ctx context.Context, c change, nth int) (took []float64, said string, err error) {
	for range l.pick(7, 1) {
		v, err := l.visit(ctx, 4, c, Caller{Size: small, Every: 20 * time.Millisecond, Starts: nth})
		if err != nil {
			return nil, "", err
		}
		var first call
		for range nth {
			if first, err = v.firstAnswer(); err != nil {
				return nil, "", errors.Join(err, v.end())
			}
		}
		took, said = append(took, first.Since), first.Transport
		if err := v.end(); err != nil {
			return nil, "", err
		}
	}
	return took, said, nil
}

// narrow measures calls of 100 KB over a path of MTU 1280, over the same with 1500.
func (l *locale) narrow(family int) trial {
	return func(ctx context.Context, name string) ([]Figure, error) {
		times := map[bool][]float64{}
		for range l.pick(5, 1) {
			for _, narrow := range []bool{false, true} {
				c := change(nothing)
				if narrow {
					c = mtu1280
				}
				got, err := l.callTimes(ctx, family, c, l.pick(300, 30))
				if err != nil {
					return nil, err
				}
				times[narrow] = append(times[narrow], quantile(got, 0.5))
			}
		}
		var ratios []float64
		for i, wide := range times[false] {
			ratios = append(ratios, times[true][i]/wide)
		}
		f := Figure{Case: name, Metric: "100KB_over_mtu_1500_p50", Unit: "x", Value: quantile(ratios, 0.5), N: len(ratios)}
		f.Beside = map[string]float64{"ms": quantile(times[true], 0.5), "ms_1500": quantile(times[false], 0.5)}
		return []Figure{f.against("<=", 1.25)}, nil
	}
}

// callTimes returns how long n calls of 100 KB took that the edge host answered.
func (l *locale) callTimes(ctx context.Context, family int, c change, n int) (took []float64, err error) {
	v, err := l.visit(ctx, family, c, Caller{Size: frame, Every: 10 * time.Millisecond})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, v.end()) }()
	if _, err := v.firstAnswer(); err != nil {
		return nil, err
	}
	for len(took) < n {
		got, err := v.next()
		if err != nil {
			return nil, err
		}
		if got.Edge {
			took = append(took, got.Took)
		}
	}
	return took[n/5:], nil // discovery of the MTU and the congestion window's beginning are not asked for
}

// changes measures the time from a change that breaks the traffic to calls on the edge again.
func (l *locale) changes(c change) trial {
	return func(ctx context.Context, name string) ([]Figure, error) {
		var took []float64
		fell, said := 0, ""
		for range l.pick(3, 1) {
			o, err := l.change(ctx, c)
			if err != nil {
				return nil, err
			}
			took, fell, said = append(took, o.again), fell+o.fell, o.transport
		}
		f := Figure{Case: name, Metric: "on_edge_again_max", Unit: "s", Value: quantile(took, 1), N: len(took), Note: said}
		f.Beside = map[string]float64{"calls_on_the_ue": float64(fell)}
		return []Figure{f.against("<=", 5)}, nil
	}
}

// An outage is what a change did to calls.
type outage struct {
	again     float64 // seconds until calls ran on the edge host again
	fell      int     // calls that ran on the UE
	transport string  // afterwards
}

// settled is how many calls in a row show that the edge host is back, and before a change that
// it is there. They are a second.
const settledCalls = 20

func (l *locale) change(ctx context.Context, c change) (o outage, err error) {
	v, err := l.visit(ctx, 4, nothing, Caller{Size: 20 << 10, Every: 50 * time.Millisecond})
	if err != nil {
		return o, err
	}
	defer func() { err = errors.Join(err, v.end()) }()
	if _, err := v.calmCalls(); err != nil {
		return o, err
	}
	begin := time.Now()
	if err := c(ctx, v.router); err != nil {
		return o, err
	}
	return v.outage(begin)
}

// outage reads calls until the edge host has answered enough in a row, of those that were
// made after begin.
func (v *visit) outage(begin time.Time) (o outage, err error) {
	last := begin // the last call that ran on the UE
	for {
		got, err := v.next()
		switch {
		case err != nil:
			return o, err
		case got.At.Before(begin):
		case !got.Edge:
			o.fell++
			last = got.At.Add(time.Duration(got.Took * float64(time.Millisecond)))
		case got.At.Sub(last) > settledCalls*50*time.Millisecond:
			o.transport = got.Transport
			if o.fell > 0 {
				o.again = last.Sub(begin).Seconds()
			}
			return o, nil
		}
		if got.At.Sub(begin) > patience {
			return o, fmt.Errorf("%d calls ran on the UE, and none on the edge host again within %v", o.fell, patience)
		}
	}
}

// firstAnswer reads calls until the edge host has answered the first one of a start.
func (v *visit) firstAnswer() (call, error) {
	for {
		got, err := v.next()
		if err != nil || got.First {
			return got, err
		}
		if got.Since > patience.Seconds()*1e3 {
			return got, fmt.Errorf("the edge host did not answer within %v: %s", patience, got.Why)
		}
	}
}

// calmCalls reads calls until the edge host has answered enough in a row.
func (v *visit) calmCalls() (got call, err error) {
	for calm := 0; calm < settledCalls; calm++ {
		if got, err = v.next(); err != nil {
			return got, err
		}
		if !got.Edge {
			calm = 0
		}
		if got.Since > patience.Seconds()*1e3 {
			return got, fmt.Errorf("calls did not stay on the edge host within %v: %s", patience, got.Why)
		}
	}
	return got, nil
}
