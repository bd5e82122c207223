package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/bungee-xr/bungee/handler/ue"
	"github.com/bungee-xr/bungee/lab/internal/bench/marked"
)

// A Daemon makes the command of a "bungee host" that listens on a port of its own, caches
// modules in that folder, and ends with its standard input.
type Daemon func(certs, cache string) (*exec.Cmd, error)

// A callee is an edge host that serves the marked functions, and the handler whose calls
// go there.
type callee struct {
	host  *process
	ue    *ue.Handler
	calls uint64
}

// prepareTimeout bounds the time until a module is sent and compiled.
const prepareTimeout = time.Minute

// callee starts d and waits until the marked functions are ready on it.
func (r *rig) callee(ctx context.Context, d Daemon) (c *callee, err error) {
	c = &callee{}
	if err := c.start(ctx, r, d); err != nil {
		return nil, errors.Join(err, c.end())
	}
	return c, nil
}

func (c *callee) start(ctx context.Context, r *rig, d Daemon) (err error) {
	cmd, err := d(r.certs, filepath.Join(r.certs, "modules")) // compiled once for all cases
	if err != nil {
		return err
	}
	if c.host, err = start(cmd); err != nil {
		return err
	}
	line, err := c.host.line()
	if err != nil {
		return err
	}
	address := strings.TrimPrefix(line, "listening on ") // as bungee host says it
	if c.ue, err = r.handler(ctx, ue.Config{Edge: address}); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, prepareTimeout)
	defer cancel()
	return c.ue.Prepare(ctx, marked.ExchangeDesc)
}

// end ends the handler and the host.
func (c *callee) end() error {
	var err error
	if c.ue != nil {
		err = c.ue.Close()
	}
	if c.host != nil {
		err = errors.Join(err, c.host.end())
	}
	return err
}

// run runs b as calls of [marked.Exchange], one after the other. All must be answered by
// the host.
func (c *callee) run(ctx context.Context, b batch) (measured, error) {
	request := make([]byte, b.In)
	for i := range request {
		request[i] = byte(i)
	}
	sum := marked.Sum(request)
	m, err := metered(ctx, b, oneByOne(func(ctx context.Context) error {
		c.calls++
		reply, err := marked.Exchange(ctx, request)
		if err == nil && (len(reply) != b.Out || binary.LittleEndian.Uint64(reply) != sum) {
			err = fmt.Errorf("call %d: %d bytes of sum %d; want %d of %d", c.calls, len(reply), binary.LittleEndian.Uint64(reply), b.Out, sum)
		}
		return err
	}))
	if s := c.ue.Stats(); err == nil && s.Edge != c.calls {
		err = fmt.Errorf("of %d calls the host answered %d: %v", c.calls, s.Edge, s.Reasons)
	}
	return m, err
}

// oneByOne makes an exchange of call: each is made when the one before has been answered.
func oneByOne(call func(context.Context) error) func(context.Context, batch, *measured) error {
	return func(ctx context.Context, b batch, m *measured) error {
		p := newPacer(b.Rate)
		for range b.Requests {
			due := p.next()
			if err := call(ctx); err != nil {
				return err
			}
			m.took(time.Since(due))
		}
		return nil
	}
}

// A goal is the target of a figure's ratio to gRPC: at most this.
type goal struct {
	metric string
	value  func(*measured) float64
	most   float64
}

// native makes the command of an edge host that runs the marked functions natively.
func (c Channel) native(certs, _ string) (*exec.Cmd, error) {
	return c.Edge(Host{Certs: certs, Name: "edge"}), nil
}

// elasticCalls measures b as calls of a generated function to a host that d makes, beside
// gRPC.
func (c Channel) elasticCalls(r *rig, d Daemon, b batch, goals ...goal) trial {
	return func(ctx context.Context, name string) (figures []Figure, err error) {
		host, err := r.callee(ctx, d)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, host.end()) }()
		k := &contest{name: name, transports: []string{"grpc"}}
		if err := k.play(ctx, r.yard, b, host.run); err != nil {
			return nil, err
		}
		return append(c.met(k, goals), k.figure("allocs", "objects", allocs)), nil
	}
}

// met makes the figures of k that have these goals, of times.
func (c Channel) met(k *contest, goals []goal) (figures []Figure) {
	for _, g := range goals {
		figures = append(figures, k.figure(g.metric, "ms", g.value), c.aim(k.overGRPC(g.metric, "ms", g.value), "<=", g.most))
	}
	return figures
}

// localCall measures an elastic call that runs on the UE, over the plain call of the same
// function. The rig's handler is the router, and has no edge host.
func (c Channel) localCall(ctx context.Context, name string) ([]Figure, error) {
	const batches = 15
	per := c.pick(1_000_000, 200_000)
	var plain, elastic []float64
	n := 0
	timed := func(took *[]float64, call func(context.Context, int) (int, error)) func() error {
		return func() (err error) {
			begin := time.Now()
			for range per {
				if n, err = call(ctx, n); err != nil {
					return err
				}
			}
			*took = append(*took, float64(time.Since(begin).Nanoseconds())/float64(per))
			return nil
		}
	}
	before := mallocs()
	if err := interleave(batches, timed(&plain, marked.Plain), timed(&elastic, marked.Next)); err != nil {
		return nil, err
	}
	made := float64(mallocs()-before) / float64(batches*per)
	if n != 2*batches*per {
		return nil, fmt.Errorf("%d calls were made, want %d", n, 2*batches*per)
	}
	f := Figure{Case: name, N: batches * per}
	f.Metric, f.Unit, f.Value = "over_plain_p50", "ns", quantile(elastic, 0.5)-quantile(plain, 0.5)
	f.Beside = map[string]float64{"plain_ns": quantile(plain, 0.5), "elastic_ns": quantile(elastic, 0.5)}
	g := Figure{Case: name, N: batches * per}
	// A hundredth of an object is the runtime's own, not a call's.
	g.Metric, g.Unit, g.Value = "allocs", "objects", math.Round(made*100)/100
	return []Figure{f.against("<=", 45), g.against("<=", 0)}, nil
}
