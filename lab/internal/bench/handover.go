package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/bungee-xr/bungee/elastic"
)

// Handover configures the benchmark of moves: what the near endpoint sees of them,
// planned or not.
type Handover struct {
	Setup
	// Out is the folder for handover.png. Empty: none is drawn.
	Out string
}

// An ordeal is messages at a rate through one channel while things happen to it.
type ordeal struct {
	rate  float64 // messages a second; 0: as the channel takes them
	in    int     // bytes of a message
	pad   int     // bytes of the far endpoint's state
	conf  elastic.Config
	work  time.Duration // that the far endpoint has with a message
	busy  int           // processes beside it that compute without end
	pause time.Duration // between two events, at least; at most twice that

	events   int
	messages uint64 // events go on until this many messages were sent
	event    func(ctx context.Context, t *traffic, i int) (mark, error)
	harm     bool // an event is a fault of the first edge host, from its begin to its end
}

// An outcome is the result of an ordeal.
type outcome struct {
	name string
	ordeal
	check     checker
	delivered []delivery
	marks     []mark
	spans     []mark // of the events: marks with what follows a mark: the return of a host that had a fault
	start     time.Time
	switches  []time.Duration // how long senders waited in the planned moves
	fallbacks []fallback
}

// A fallback is a move that the channel made because it lost a host.
type fallback struct {
	from     string
	at       time.Time // of its begin: the host's loss is known
	replayed int
	why      error
}

// Run measures.
func (h Handover) Run(ctx context.Context) (figures []Figure, err error) {
	r, err := h.rig(ctx, "edge-a", "edge-b")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.end()) }()
	w := &wasmRig{setup: &h.Setup}
	defer func() { err = errors.Join(err, w.end()) }()
	var seen []*outcome
	figures, err = h.play(ctx, "handover", append(h.scenes(r, &seen), h.wasmScenes(w, &seen)...))
	if err == nil && h.Out != "" {
		err = drawGaps(h.Out, seen)
	}
	return figures, err
}

// silence is the deadline of messages whose edge host falls silent.
const silence = 50 * time.Millisecond

// scenes returns the cases. Their outcomes go to seen, too.
func (h Handover) scenes(r *rig, seen *[]*outcome) []scene {
	planned := ordeal{rate: 100, in: small, pause: 100 * time.Millisecond, events: h.pick(200, 16), event: r.planned}
	flat, large := planned, planned
	flat.rate = 0
	large.pad, large.events = 1<<20, h.pick(100, 12)
	path := ordeal{rate: 60, in: frame, pause: 200 * time.Millisecond, events: h.pick(60, 8), event: r.repathed}

	killed := ordeal{rate: 100, in: small, pause: 250 * time.Millisecond, events: h.pick(100, 6), event: r.killed, harm: true}
	killed.conf.Standby = []elastic.Target{r.target(1)}
	many, silent := killed, killed
	many.rate, many.messages, many.events = 1000, uint64(h.pick(100_000, 0)), h.pick(20, 6)
	silent.conf.Deadline, silent.event, silent.events = silence, r.silenced, h.pick(40, 5)

	on := func(o ordeal, judge func(*outcome) []Figure) trial { return r.trial(o, judge, seen) }
	return []scene{
		{"planned/100hz", on(planned, func(o *outcome) []Figure {
			return []Figure{o.switched(0.5).against("<=", 0.5), o.gap(0.5), o.gap(0.99).against("<=", ms(o.period()))}
		})},
		{"planned/flat out 1KB", on(flat, func(o *outcome) []Figure {
			return []Figure{o.overCalm(), o.gap(0.5), o.gap(0.99).against("<=", 10), o.switched(0.5), o.throughput()}
		})},
		{"planned/100hz/1MB state", on(large, func(o *outcome) []Figure {
			return []Figure{o.gap(0.5).against("<=", 5), o.gap(0.99), o.switched(0.5)}
		})},
		{"path change/100KB/60hz", on(path, func(o *outcome) []Figure {
			return []Figure{o.gap(0.5), o.gap(0.99).against("<=", ms(o.period()))}
		})},
		{"kill -9/100hz", on(killed, func(o *outcome) []Figure {
			return []Figure{o.gap(0.5).against("<=", 2), o.gap(0.99).against("<=", 25)}
		})},
		{"kill -9/1000hz", on(many, func(o *outcome) []Figure { return []Figure{o.gap(0.5), o.gap(0.99)} })},
		{"SIGSTOP/100hz/50ms deadline", on(silent, func(o *outcome) []Figure {
			return []Figure{o.gap(0.5), o.gap(0.99).against("<=", ms(silence)+5)}
		})},
	}
}

// wasmScenes returns the cases whose hosts run Wasm.
func (h Handover) wasmScenes(w *wasmRig, seen *[]*outcome) []scene {
	killed := ordeal{rate: 100, in: small, work: 4 * time.Millisecond, pause: 500 * time.Millisecond, events: h.pick(100, 2), harm: true}
	loaded := killed
	loaded.in, loaded.work, loaded.busy, loaded.rate, loaded.events = frame, 0, busyLoops, loadRate, h.pick(40, 2)
	return []scene{
		{"kill -9/100hz/4ms work", w.trial(killed, func(o *outcome) []Figure {
			return append(o.overWork(), o.gap(0.5), o.gap(0.99))
		}, seen)},
		{"kill -9/100KB/100hz/busy loops", w.trial(loaded, func(o *outcome) []Figure {
			return []Figure{o.gap(0.5), o.gap(0.99).against("<=", 2000)}
		}, seen)},
	}
}

// A wasmRig is a rig whose hosts run Wasm. It is started when it is first used.
type wasmRig struct {
	setup *Setup
	*rig
}

// trial makes a trial of o, whose events kill the first host.
func (w *wasmRig) trial(o ordeal, judge func(*outcome) []Figure, seen *[]*outcome) trial {
	return func(ctx context.Context, name string) ([]Figure, error) {
		if err := w.start(ctx); err != nil {
			return nil, err
		}
		o.event, o.conf.Standby = w.killed, []elastic.Target{w.target(1)}
		return w.rig.trial(o, judge, seen)(ctx, name)
	}
}

// start starts the hosts, and waits until they have the module compiled.
func (w *wasmRig) start(ctx context.Context) (err error) {
	if w.rig != nil {
		return nil
	}
	s := *w.setup
	s.Edge = func(h Host) *exec.Cmd {
		h.Cache = filepath.Join(h.Certs, "modules")
		return w.setup.Edge(h)
	}
	if w.rig, err = s.rig(ctx, "edge-a", "edge-b"); err != nil {
		return err
	}
	for i := range w.edges { // one compiles, the other one finds it
		if err := ready(ctx, w.target(i)); err != nil {
			return err
		}
	}
	return nil
}

func (w *wasmRig) end() error {
	if w.rig == nil {
		return nil
	}
	return w.rig.end()
}

// trial makes a trial of o. judge gives the figures that o is for.
func (r *rig) trial(o ordeal, judge func(*outcome) []Figure, seen *[]*outcome) trial {
	return func(ctx context.Context, name string) ([]Figure, error) {
		got, err := o.run(ctx, r, name)
		if err != nil {
			return nil, err
		}
		*seen = append(*seen, got)
		return append(judge(got), got.counts()...), nil
	}
}

// run puts a channel on the first edge host of r through it.
func (o ordeal) run(ctx context.Context, r *rig, name string) (got *outcome, err error) {
	n, err := on(ctx, r.target(0), o.conf, o.in, small)
	if err != nil {
		return nil, err
	}
	n.query.Pad, n.query.Work = o.pad, o.work
	idle, err := spinners(ctx, o.busy)
	if err != nil {
		return nil, errors.Join(err, n.ch.Close())
	}
	defer idle()
	got = &outcome{name: name, ordeal: o}
	listening := make(chan struct{})
	events := n.ch.Events(ctx)
	go func() { // ends with the channel
		defer close(listening)
		for e := range events {
			switch e.Kind {
			case elastic.Moved:
				got.switches = append(got.switches, e.Switch)
			case elastic.FellBack:
				got.fallbacks = append(got.fallbacks, fallback{e.From, time.Now().Add(-e.Took), e.Replayed, e.Reason})
			}
		}
	}()
	t := newTraffic(n, o.rate)
	t.begin(ctx)
	err = o.drive(ctx, t, got)
	err = errors.Join(err, t.finish(context.WithoutCancel(ctx)))
	<-listening
	got.check, got.delivered, got.start = t.check, t.delivered, t.start
	return got, err
}

func (o *ordeal) drive(ctx context.Context, t *traffic, got *outcome) error {
	dice := rand.New(rand.NewPCG(1, 2)) // events fall anywhere in the messages' period
	for i := 0; i < o.events || t.sent.Load() < o.messages; i++ {
		select {
		case <-time.After(o.pause + time.Duration(dice.Int64N(int64(o.pause)))):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		m, err := o.event(ctx, t, i)
		if err != nil {
			return fmt.Errorf("event %d: %w", i+1, err)
		}
		got.marks = append(got.marks, m)
		got.spans = append(got.spans, mark{m.from, t.now()})
	}
	select {
	case <-time.After(o.pause):
	case <-ctx.Done():
	}
	return nil
}

// planned moves the far endpoint to the other edge host.
func (r *rig) planned(ctx context.Context, t *traffic, i int) (m mark, err error) {
	m.from = t.now()
	err = move(ctx, t.near, r.target((i+1)%2))
	m.to = t.now()
	return m, err
}

// killed kills the process of the first edge host, which has the far endpoint.
// When it is back, so is the far endpoint.
func (r *rig) killed(ctx context.Context, t *traffic, _ int) (m mark, err error) {
	m.from = t.now()
	r.edges[0].kill()
	if m.to, err = t.gone(ctx, r.edges[0].host.Name); err != nil {
		return m, err
	}
	if err := r.edges[0].start(); err != nil {
		return m, err
	}
	return m, back(ctx, t.near, r.target(0))
}

// silenced stops the process of the first edge host, which is then alive and
// says nothing.
func (r *rig) silenced(ctx context.Context, t *traffic, _ int) (m mark, err error) {
	m.from = t.now()
	if err := r.edges[0].freeze(); err != nil {
		return m, err
	}
	m.to, err = t.gone(ctx, r.edges[0].host.Name)
	if err := errors.Join(err, r.edges[0].thaw()); err != nil {
		return m, err
	}
	return m, back(ctx, t.near, r.target(0))
}

// gone waits until results come from elsewhere than from.
func (t *traffic) gone(ctx context.Context, from string) (at time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, moveTimeout)
	defer cancel()
	err = t.leave(ctx, from)
	return t.now(), err
}

// repathed changes the UE's address, from one of two paths to the other one.
func (r *rig) repathed(ctx context.Context, t *traffic, i int) (m mark, err error) {
	ctx, cancel := context.WithTimeout(ctx, moveTimeout)
	defer cancel()
	m.from = t.now()
	err = r.ue.SwitchPath(ctx, func() (net.PacketConn, error) {
		return net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, byte(2+i%2))})
	})
	m.to = t.now()
	return m, err
}

func (o *outcome) period() time.Duration {
	if o.rate == 0 {
		return 0
	}
	return time.Duration(float64(time.Second) / o.rate)
}

// gap makes the figure of the deliveries' gaps around the events, beyond the
// period. Beside it stand those where nothing happened.
func (o *outcome) gap(p float64) Figure {
	f := Figure{
		Case: o.name, Metric: fmt.Sprintf("gap_p%g", 100*p), Unit: "ms", N: len(o.marks),
		Value: ms(quantile(gaps(o.delivered, o.marks, o.period()), p)),
	}
	f.Beside = map[string]float64{"no_event": ms(quantile(gaps(o.delivered, calm(o.marks), o.period()), p))}
	return f
}

// overCalm makes the figure of the gap around an event over the one in a calm time of equal
// length before it. A gap that nobody sees is good, however calm that time is.
func (o *outcome) overCalm() Figure {
	const unseen = 2 // ms
	stirred, still := gaps(o.delivered, o.marks[1:], o.period()), gaps(o.delivered, calm(o.marks), o.period())
	var ratios []float64
	for i := range stirred {
		ratios = append(ratios, over(ms(stirred[i]), ms(still[i])))
	}
	f := Figure{
		Case: o.name, Metric: "gap_over_calm_p50", Unit: "x", N: len(ratios), Value: quantile(ratios, 0.5),
		Beside: map[string]float64{"gap_p50_ms": ms(quantile(stirred, 0.5)), "calm_p50_ms": ms(quantile(still, 0.5))},
		Note:   fmt.Sprintf("a gap_p50 of %d ms is met, too", unseen),
	}
	f = f.against("<=", 2)
	f.OK = f.OK || f.Beside["gap_p50_ms"] <= unseen
	return f
}

// overWork makes the figures of the gap around a kill over what explains it: the time until
// the channel knows, and 1.2 times the work since the last checkpoint, which is done again.
func (o *outcome) overWork() []Figure {
	all := gaps(o.delivered, o.marks, o.period())
	var ratios []float64
	var detections, works []time.Duration
	for i, m := range o.marks {
		for _, f := range o.fallbacks {
			if at := f.at.Sub(o.start); at >= m.from && at <= o.spans[i].to {
				detection, work := at-m.from, time.Duration(f.replayed)*o.work
				detections, works = append(detections, detection), append(works, work)
				ratios = append(ratios, over(ms(all[i]), ms(detection+work*6/5)))
				break
			}
		}
	}
	f := Figure{Case: o.name, N: len(ratios)}
	figure := func(metric, unit string, v float64) Figure {
		f := f
		f.Metric, f.Unit, f.Value = metric, unit, v
		return f
	}
	return []Figure{
		figure("gap_over_detection_and_work_p99", "x", quantile(ratios, 0.99)).against("<=", 1),
		figure("detection_p50", "ms", ms(quantile(detections, 0.5))), figure("detection_p99", "ms", ms(quantile(detections, 0.99))),
		figure("work_since_checkpoint_p50", "ms", ms(quantile(works, 0.5))), figure("work_since_checkpoint_p99", "ms", ms(quantile(works, 0.99))),
	}
}

// healthyLeft makes the figure of the hosts that were left though they had no fault.
func (o *outcome) healthyLeft() Figure {
	var why []error
	for _, f := range o.fallbacks {
		at := f.at.Sub(o.start)
		if !o.harm || !slices.ContainsFunc(o.spans, func(m mark) bool { return m.from <= at && at <= m.to }) {
			why = append(why, fmt.Errorf("%s: %w", f.from, f.why))
		}
	}
	f := Figure{Case: o.name, Metric: "healthy_hosts_left", Unit: "hosts", N: int(o.check.last), Value: float64(len(why)), Note: firstOf(why)}
	return f.against("<=", 0)
}

func (o *outcome) switched(p float64) Figure {
	return Figure{
		Case: o.name, Metric: fmt.Sprintf("switch_p%g", 100*p), Unit: "ms", N: len(o.switches),
		Value: ms(quantile(o.switches, p)), Note: "how long a move kept senders waiting",
	}
}

func (o *outcome) throughput() Figure {
	n := len(o.delivered)
	return Figure{
		Case: o.name, Metric: "throughput", Unit: "per_s", N: n,
		Value: over(float64(n), o.delivered[n-1].at.Seconds()),
	}
}

// counts makes the figures of what the checker found.
func (o *outcome) counts() []Figure { return append(countFigures(o.name, &o.check), o.healthyLeft()) }

// countFigures makes the figures of what c found.
func countFigures(name string, c *checker) []Figure {
	f := Figure{Case: name, Unit: "messages", N: int(c.last)}
	var all []Figure
	for _, count := range []struct {
		metric string
		n      int
	}{{"lost", c.lost}, {"doubled", c.doubled}, {"wrong_state", c.wrong}, {"failed", c.failed}} {
		f.Metric, f.Value = count.metric, float64(count.n)
		all = append(all, f.against("<=", 0))
	}
	if c.why != nil {
		all[len(all)-1].Note = fmt.Sprintf("the first one: %.200v", c.why)
	}
	return all
}
