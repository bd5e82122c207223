package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"time"

	"github.com/bungee-xr/bungee/elastic"
	"github.com/bungee-xr/bungee/handler/ue"
)

// Channel configures the benchmark of elastic channels and calls at rest: what a message
// or a call costs, beside gRPC and a bare stream.
type Channel struct {
	Setup
	// Host makes the command of an edge host that runs Wasm, for calls. Calls of native
	// code go to one of Edge: what stands beside them, gRPC's handler, is native, too.
	Host Daemon
}

// Sizes of messages.
const (
	small = 1 << 10
	image = 50 << 10 // a frame of video as JPEG
	frame = 100 << 10
)

// Run measures.
func (c Channel) Run(ctx context.Context) (figures []Figure, err error) {
	r, err := c.rig(ctx, "edge")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.end()) }()
	t, err := r.overTCP(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, t.ue.Close()) }()
	return c.play(ctx, "channel", []scene{
		{"local", c.local},
		{"1KB/one in flight", c.pingPong(r, 0.65)},
		{"local/call", c.localCall},
		{"call/1KB/native", c.elasticCalls(r, c.native, batch{Requests: c.pick(30000, 3000), In: small, Out: small}, goal{"p50", p50, 0.80})},
		{"call/1KB/wasm", c.elasticCalls(r, c.Host, batch{Requests: c.pick(30000, 3000), In: small, Out: small}, goal{"p50", p50, 0.80})},
		{"call/50KB/30hz/native", c.elasticCalls(r, c.native, batch{Requests: 30 * c.pick(50, 2), In: image, Out: small, Rate: 30}, goal{"p50", p50, 0.95}, goal{"p99", p99, 0.95})},
		{"call/50KB/30hz/wasm", c.elasticCalls(r, c.Host, batch{Requests: 30 * c.pick(50, 2), In: image, Out: small, Rate: 30}, goal{"p50", p50, 0.95}, goal{"p99", p99, 0.95})},
		{"100KB in, 1KB out/30hz", c.paced(r, 30, goal{"p50", p50, 0.95})},
		{"100KB in, 1KB out/90hz", c.paced(r, 90, goal{"p50", p50, 1.03}, goal{"p99", p99, 0.85})},
		{"100KB both ways/16 in flight", c.throughput(r, 0.87)},
		{"over TCP/1KB/one in flight", c.pingPong(t, 0.5)},
		{"over TCP/call/1KB/native", c.elasticCalls(t, c.native, batch{Requests: c.pick(30000, 3000), In: small, Out: small}, goal{"p50", p50, 0.60})},
		{"over TCP/100KB in, 1KB out/90hz", c.paced(t, 90, goal{"p50", p50, 0.65}, goal{"p99", p99, 0.6})},
		{"over TCP/100KB both ways/16 in flight", c.throughput(t, 1.5)},
		{"20KB/60hz/5ms RTT", c.age(r)},
		{"100KB/30hz/60Mbit/10ms RTT/1% loss", c.loss(r)},
		{"idle", c.idle(r)},
	})
}

// A contest is a batch run on our channel, or as our calls, and on the yardsticks.
type contest struct {
	name       string
	transports []string // that stand beside

	ours  series
	yards map[string]*series // by transport; nil: the yardsticks are not built
}

// A series is what the rounds of one side came to.
type series struct {
	all    measured
	rounds []measured
}

func (s *series) add(m measured) {
	s.all.add(m)
	s.rounds = append(s.rounds, m)
}

// rounds is how often the transports take turns in a contest.
const rounds = 5

// transports are all that the yardstick has.
var transports = []string{"grpc", "grpcraw", "tcp"}

// contest runs b on a channel of its own and on the yardsticks, in turn.
func (r *rig) contest(ctx context.Context, name string, b batch) (*contest, error) {
	n, err := on(ctx, r.target(0), elastic.Config{}, b.In, b.Out)
	if err != nil {
		return nil, err
	}
	defer n.ch.Close()
	return r.against(ctx, name, b, n.run)
}

// against runs b with ours and on the yardsticks, in turn.
func (r *rig) against(ctx context.Context, name string, b batch, ours exchanger) (*contest, error) {
	c := &contest{name: name, transports: transports}
	return c, c.play(ctx, r.yard, b, ours)
}

// An exchanger runs a batch of ours.
type exchanger func(context.Context, batch) (measured, error)

// play runs a part of b with ours and on the yardsticks, once a round.
func (c *contest) play(ctx context.Context, y *yardstick, b batch, ours exchanger) error {
	b.Requests = max(1, b.Requests/rounds)
	for range rounds {
		m, err := ours(ctx, b)
		if err != nil {
			return err
		}
		c.ours.add(m)
		if err := c.besides(y, b, 0); err != nil {
			return err
		}
	}
	return nil
}

// besides runs b on the yardsticks, over links of that delay.
func (c *contest) besides(y *yardstick, b batch, oneWay time.Duration) error {
	if y == nil {
		return nil
	}
	if c.yards == nil {
		c.yards = map[string]*series{}
		for _, transport := range c.transports {
			c.yards[transport] = &series{}
		}
	}
	for _, b.Transport = range c.transports {
		b.Address = y.at.GRPC
		if b.Transport == "tcp" {
			b.Address = y.at.TCP
		}
		m, err := y.over(b, oneWay)
		if err != nil {
			return err
		}
		c.yards[b.Transport].add(m)
	}
	return nil
}

// figure makes a figure of the value that value takes from each side's measurements. Its
// ratio is to gRPC as applications use it, with protobuf.
func (c *contest) figure(metric, unit string, value func(*measured) float64) Figure {
	f := Figure{Case: c.name, Metric: metric, Unit: unit, Value: value(&c.ours.all), N: len(c.ours.all.Micros), Note: notBuilt}
	if c.yards == nil {
		return f
	}
	f.Beside = map[string]float64{}
	for transport, m := range c.yards {
		f.Beside[transport] = value(&m.all)
	}
	f.Ratio = over(f.Value, f.Beside["grpc"])
	f.Note = "grpc: bytes in protobuf, grpcraw: without; TCP congestion control " + c.yards["grpc"].all.Congestion
	return f
}

// overGRPC makes the figure of value's ratio to gRPC's: the median of the ratios of all
// rounds, since the machine's other work disturbs both sides of a round alike.
func (c *contest) overGRPC(metric, unit string, value func(*measured) float64) Figure {
	f := Figure{Case: c.name, Metric: metric + "_over_grpc", Unit: "x", N: len(c.ours.rounds), Note: notBuilt}
	theirs := c.yards["grpc"]
	if theirs == nil {
		return f
	}
	ratios, raw := c.ratios("grpc", value), c.ratios("grpcraw", value)
	f.Value = quantile(ratios, 0.5)
	f.Beside = map[string]float64{"ours_" + unit: value(&c.ours.all), "grpc_" + unit: value(&theirs.all), "least": slices.Min(ratios), "most": slices.Max(ratios)}
	if raw != nil {
		f.Beside["over_grpcraw"] = quantile(raw, 0.5)
	}
	f.Note = "median of the rounds; TCP congestion control " + theirs.all.Congestion
	return f
}

// ratios are those of each round to a transport, nil where it does not take part.
func (c *contest) ratios(transport string, value func(*measured) float64) (all []float64) {
	theirs := c.yards[transport]
	if theirs == nil {
		return nil
	}
	for i := range c.ours.rounds {
		all = append(all, over(value(&c.ours.rounds[i]), value(&theirs.rounds[i])))
	}
	return all
}

// aim gives f, a ratio to a yardstick, its target.
func (s *Setup) aim(f Figure, op string, target float64) Figure {
	switch {
	case f.Beside != nil:
		return f.against(op, target)
	case !s.Quick:
		f.Op, f.Target = op, &target // missed: nobody knows
	}
	return f
}

func p50(m *measured) float64 { return m.quantile(0.5) }
func p99(m *measured) float64 { return m.quantile(0.99) }

func allocs(m *measured) float64 { return m.Allocs }

func (c Channel) pingPong(r *rig, most float64) trial {
	return func(ctx context.Context, name string) ([]Figure, error) {
		k, err := r.contest(ctx, name, batch{Requests: c.pick(30000, 3000), In: small, Out: small})
		if err != nil {
			return nil, err
		}
		return []Figure{
			k.figure("p50", "ms", p50), c.aim(k.overGRPC("p50", "ms", p50), "<=", most), k.figure("p99", "ms", p99),
			k.figure("allocs", "objects", allocs), c.aim(k.overGRPC("allocs", "objects", allocs), "<=", 0.15),
		}, nil
	}
}

func (c Channel) paced(r *rig, rate int, goals ...goal) trial {
	return func(ctx context.Context, name string) ([]Figure, error) {
		b := batch{Requests: rate * c.pick(20, 2), In: frame, Out: small, Rate: float64(rate)}
		k, err := r.contest(ctx, name, b)
		if err != nil {
			return nil, err
		}
		return c.met(k, goals), nil
	}
}

func (c Channel) throughput(r *rig, least float64) trial {
	return func(ctx context.Context, name string) ([]Figure, error) {
		k, err := r.contest(ctx, name, batch{Requests: c.pick(12000, 1500), In: frame, Out: frame, InFlight: 16})
		if err != nil {
			return nil, err
		}
		perSecond := func(m *measured) float64 { return m.PerSecond }
		return []Figure{
			k.figure("throughput", "per_s", perSecond), c.aim(k.overGRPC("throughput", "per_s", perSecond), ">=", least),
			k.figure("p50", "ms", p50), k.figure("p99", "ms", p99),
		}, nil
	}
}

// local measures a message to a far endpoint on the UE: Send and Recv.
func (c Channel) local(ctx context.Context, name string) ([]Figure, error) {
	n, err := newNear(elastic.Config{}, 0, 0)
	if err != nil {
		return nil, err
	}
	defer n.ch.Close()
	const batches = 10
	per := c.pick(200_000, 50_000)
	var took []float64
	before := mallocs()
	for range batches {
		begin := time.Now()
		for range per {
			n.query.Seq++
			if err := n.ch.Send(ctx, n.query); err != nil {
				return nil, err
			}
			if err := n.drop(ctx); err != nil {
				return nil, err
			}
		}
		took = append(took, float64(time.Since(begin).Nanoseconds())/float64(per))
	}
	each := float64(mallocs()-before) / float64(batches*per)
	f := Figure{Case: name, N: batches * per}
	f.Metric, f.Unit, f.Value = "time_p50", "ns", quantile(took, 0.5)
	g := f
	// A hundredth of an object is the runtime's own, not a message's.
	g.Metric, g.Unit, g.Value = "allocs", "objects", math.Round(each*100)/100
	return []Figure{f.against("<=", 200), g.against("<=", 0)}, n.check.err()
}

// idleChannels is how many channels idle has.
const idleChannels = 1000

// idle measures the cost of idle channels whose far endpoints are on an edge host.
func (c Channel) idle(r *rig) trial {
	return func(ctx context.Context, name string) (figures []Figure, err error) {
		h, err := r.handler(ctx, ue.Config{})
		if err != nil {
			return nil, err
		}
		defer h.Close()
		t := h.Target(r.edges[0].address)
		first, err := on(ctx, t, elastic.Config{}, 0, 0) // the session is not the channels'
		if err != nil {
			return nil, err
		}
		defer first.ch.Close()
		bytes, goroutines := footprint()
		for i := range idleChannels {
			n, err := on(ctx, t, elastic.Config{}, 0, 0)
			if err != nil {
				return nil, fmt.Errorf("channel %d: %w", i+1, err)
			}
			defer n.ch.Close()
		}
		moreBytes, moreGoroutines := footprint()
		f := Figure{Case: name, N: idleChannels, Note: "on the UE, heap and stacks"}
		f.Metric, f.Unit, f.Value = "memory_per_channel", "KB", (moreBytes-bytes)/idleChannels/1e3
		g := f
		g.Metric, g.Unit, g.Value = "goroutines_per_channel", "goroutines", (moreGoroutines-goroutines)/idleChannels
		return []Figure{f.against("<=", 30), g.against("<=", 2)}, nil
	}
}

// footprint returns the bytes of live objects and stacks, and the goroutines.
func footprint() (bytes, goroutines float64) {
	runtime.GC()
	runtime.GC() // what the first one's finalizers let go
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc + m.StackInuse), float64(runtime.NumGoroutine())
}
