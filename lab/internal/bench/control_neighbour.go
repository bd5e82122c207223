package bench

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/bungee-xr/bungee/capability"
	"github.com/bungee-xr/bungee/internal/control"
	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/lab/internal/bench/marked"
	"github.com/bungee-xr/bungee/lab/internal/siege"
	"github.com/bungee-xr/bungee/offload/pack"
)

// neighbour measures the calls of a tenant while the host is ordered to probe the module of another one, each order as soon as the
// answer to the one before allows it, over those without. A real manager probes a module once a minute, unless its host was busy.
func (c Control) neighbour(module func(rate float64) ([]byte, error)) trial {
	return func(ctx context.Context, name string) (figures []Figure, err error) {
		s, err := c.street(ctx, module)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, s.end()) }()
		var rounds []nextDoor
		for range c.pick(7, 1) {
			var r nextDoor
			long := time.Duration(c.pick(3000, 300)) * time.Millisecond
			if r.without, err = s.call(ctx, long, nil); err != nil {
				return nil, err
			}
			if r.with, err = s.call(ctx, long, &r.probes); err != nil {
				return nil, err
			}
			rounds = append(rounds, r)
		}
		return neighbourFigures(name, rounds), nil
	}
}

// A nextDoor is a round: what calls took without probes and with them.
type nextDoor struct {
	without, with []time.Duration
	probes        probeCount
}

// A probeCount counts orders to probe, those of them that were refused, as calls wanted the core, and runs that came to their end.
type probeCount struct{ orders, refused, runs int }

// neighbourFigures are the median of the rounds' ratios, and how much was probed.
func neighbourFigures(name string, rounds []nextDoor) []Figure {
	f := Figure{Case: name, Metric: "probed_p99_over_without", Unit: "x", Beside: map[string]float64{}}
	var sum probeCount
	for _, p := range []float64{0.5, 0.99} {
		var ratio, with, without []float64
		for _, r := range rounds {
			a, b := ms(quantile(r.without, p)), ms(quantile(r.with, p))
			without, with, ratio = append(without, a), append(with, b), append(ratio, over(b, a))
		}
		text := fmt.Sprintf("p%g", 100*p)
		f.Beside["with_"+text+"_ms"], f.Beside["without_"+text+"_ms"] = quantile(with, 0.5), quantile(without, 0.5)
		f.Value = quantile(ratio, 0.5)
		if p == 0.5 {
			f.Beside["probed_p50_over_without"] = f.Value
		}
	}
	for _, r := range rounds {
		f.N += len(r.with)
		sum.orders, sum.refused, sum.runs = sum.orders+r.probes.orders, sum.refused+r.probes.refused, sum.runs+r.probes.runs
	}
	f.Note = fmt.Sprintf("one caller, whose calls compute for %v; the median of %d rounds", neighbourWork, len(rounds))
	runs := Figure{Case: name, Metric: "probe_runs", Unit: "runs", Value: float64(sum.runs), N: sum.orders}
	runs.Note = fmt.Sprintf("%d of %d orders were refused, as calls wanted the core", sum.refused, sum.orders)
	return []Figure{f.against("<=", 1.1), runs}
}

// What the neighbour does.
const (
	neighbourWork = 2 * time.Millisecond // of a call
	neighbourRest = 3 * time.Millisecond // the mean of the random times between calls
)

// A street is a host of one manager, which a caller and the owner of another module have leases of.
type street struct {
	dir      string
	overseer *overseer
	edge     *edgeProcess
	ues      []*siege.UE // the caller, and the owner of the module that is probed
	stream   link.Stream // for the caller's calls
	rounds   int         // of the guest, of a call
	probed   [32]byte    // the module that is probed
}

// street starts the host, and brings the modules to it.
func (c Control) street(ctx context.Context, module func(rate float64) ([]byte, error)) (s *street, err error) {
	s = &street{}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.end())
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, estatePatience)
	defer cancel()
	ca, err := identity.NewAuthority()
	if err != nil {
		return s, err
	}
	if s.dir, err = os.MkdirTemp("", "bungee-control-"); err != nil {
		return s, err
	}
	if s.overseer, err = newOverseer(ca); err != nil {
		return s, err
	}
	h := Host{Certs: filepath.Join(s.dir, "edge-a"), Name: "edge-a", Manager: s.overseer.at.String(), Cache: filepath.Join(s.dir, "modules")}
	cert, err := ca.Issue(identity.Host, h.Name)
	if err != nil {
		return s, err
	}
	if err = identity.WriteFolder(h.Certs, cert, ca.Certificate()); err != nil {
		return s, err
	}
	if s.edge, err = startEdge(c.Edge, h); err != nil {
		return s, err
	}
	if err = s.overseer.await(ctx); err != nil {
		return s, err
	}
	if err = s.enter(ctx, "neighbour", siege.Guest); err != nil {
		return s, err
	}
	if s.stream, err = s.ues[0].Open(ctx); err != nil {
		return s, err
	}
	rate, err := s.calibrate()
	if err != nil {
		return s, err
	}
	s.rounds = int(rate * neighbourWork.Seconds())
	wasm, err := module(rate)
	if err != nil {
		return s, err
	}
	s.probed = sha256.Sum256(wasm)
	return s, s.enter(ctx, "probed", wasm)
}

func (s *street) end() error {
	for _, u := range s.ues {
		u.Close("")
	}
	if s.edge != nil && s.edge.process != nil {
		s.edge.kill() // one that drains waits for UEs that have gone
	}
	if s.overseer != nil {
		s.overseer.close()
	}
	return os.RemoveAll(s.dir)
}

// enter connects a UE that is a tenant of its own, with a lease for wasm, and brings that.
func (s *street) enter(ctx context.Context, name string, wasm []byte) error {
	token, err := s.overseer.lease(name, s.edge.host.Name, sha256.Sum256(wasm))
	if err != nil {
		return err
	}
	conf, err := s.overseer.ca.TLS(identity.UE, name)
	if err != nil {
		return err
	}
	addr, err := net.ResolveUDPAddr("udp", s.edge.address)
	if err != nil {
		return err
	}
	pc, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return err
	}
	conn, err := link.Dial(ctx, pc, addr, conf)
	if err != nil {
		return err
	}
	u := &siege.UE{Conn: conn}
	s.ues = append(s.ues, u)
	st, err := conn.Open(ctx)
	if err == nil {
		u.Welcome, err = control.Hello(ctx, st, wire.Hello{Name: name, Session: 1, Extensions: wire.Extensions{}.Append(wire.ExtensionLease, token)})
	}
	if err == nil {
		err = u.Deploy(ctx, wasm)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// calibrate returns how many rounds the guest makes a second on an idle host.
func (s *street) calibrate() (float64, error) {
	const some = 200_000
	var runs []time.Duration
	for range 50 {
		run, err := s.once(some)
		if err != nil {
			return 0, fmt.Errorf("calibrate: %w", err)
		}
		runs = append(runs, run)
	}
	return some / least(runs).Seconds(), nil
}

// once makes a call of so many rounds, and returns how long it was in the guest.
func (s *street) once(rounds int) (time.Duration, error) {
	body := []byte("next door")
	res, reply, err := siege.Exchange(s.stream, wire.Call{Module: guestDigest, Deadline: quietLimit}, siege.Answer(rounds, body))
	if err == nil && (res.Status != 0 || !bytes.Equal(reply, body)) {
		err = fmt.Errorf("a call is answered with %q, status %v", reply, res.Status)
	}
	return res.Run, err
}

// call has the neighbour make calls for some time, after random rests, and returns what they took. Unless probes is nil the module of the
// other tenant is probed all the time.
func (s *street) call(ctx context.Context, long time.Duration, probes *probeCount) (took []time.Duration, err error) {
	calls, cancel := context.WithTimeout(ctx, long)
	defer cancel()
	var prober sync.WaitGroup
	var failed error
	if probes != nil {
		prober.Go(func() { failed = s.probe(ctx, calls, probes) })
	}
	for err == nil && pause(calls, neighbourRest) {
		begin := time.Now()
		_, err = s.once(s.rounds)
		took = append(took, time.Since(begin))
	}
	prober.Wait()
	return took, errors.Join(err, failed)
}

// probe has the host probe until calls ends, as often as the host lets it.
func (s *street) probe(ctx, calls context.Context, count *probeCount) error {
	const most = 16 // runs; a manager orders as many at most
	for calls.Err() == nil {
		did, err := s.overseer.order(ctx, wire.Order{Kind: wire.OrderProbe, Module: s.probed, N: most})
		switch {
		case err != nil:
			return err
		case did.Failed && !strings.Contains(did.Why, "ask again later"):
			return fmt.Errorf("a probe fails: %s: %s", did.Code, did.Why)
		case did.Failed:
			count.refused++
		}
		count.orders++
		count.runs += len(did.Samples)
		wait(calls, did.RetryAfter)
	}
	return nil
}

// longProbes returns a small module whose probes compute for 20 ms each: all of them are longer than the neighbour rests.
func longProbes(rate float64) ([]byte, error) {
	const work = 0.02
	return capability.AppendProbes(siege.Guest, []capability.Probe{{Request: siege.Answer(int(rate*work), []byte("probe"))}})
}

// goProbes returns the module of package marked, as offloadgen made it, with probes that read and write some memory.
func goProbes(float64) ([]byte, error) {
	wasm, err := marked.ExchangeDesc.Module.Wasm()
	if err != nil {
		return nil, err
	}
	request := pack.AppendBytes(nil, make([]byte, 256<<10))
	return capability.AppendProbes(wasm, []capability.Probe{{Fn: uint32(marked.ExchangeDesc.Index), Request: request}})
}
