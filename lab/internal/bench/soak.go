package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bungee-xr/bungee/elastic"
)

// Soak configures the long run of a channel under disturbances: whether anything is
// lost, and whether anything grows.
type Soak struct {
	Setup
	// Daemon makes the command of an edge host's process that runs Wasm.
	Daemon Program
	// Duration is how long messages are sent, at least.
	Duration time.Duration
	// Messages is how many are answered by edge hosts, at least.
	Messages uint64
	// Rate is messages a second. Zero means as the channel takes them.
	Rate float64
	// MoveEvery is the time between two moves, and KillEvery between two kills. As often
	// as a host is killed one of the other faults is made.
	MoveEvery, KillEvery time.Duration
	// With names the disturbances, of [Disturbances].
	With []string
	// Out is the folder for soak.png, soak.jsonl with a line a second, and the logs of
	// the channels and hosts. Empty: they are lost.
	Out string
}

// Disturbances are all that a soak can be with.
//
//	move   the far endpoint moves among the hosts and the UE
//	kill   a host is killed and comes back
//	stop   a host stands still, and goes on as an owner that was left
//	drain  each host in its turn is told to end, and comes back
//	certs  a host's address is a stranger's for a second, then the host's with new certificates
//	net    the UE's interface is down for 1, 5 and 30 s: needs Linux, root and iproute2
//	load   a third of the time, messages of 100 KB beside four busy loops
var Disturbances = []string{"move", "kill", "stop", "drain", "certs", "net", "load"}

// soakHosts is how many edge hosts there are: one can be killed and another one stopped
// while the third one is well.
const soakHosts = 3

// Run soaks.
func (s Soak) Run(ctx context.Context) (figures []Figure, err error) {
	logs, err := s.logs()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, logs.end()) }()
	w, err := s.ward(ctx, logs)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.end()) }()
	var seen []*soaking
	var scenes []scene
	for _, c := range s.chapters() {
		scenes = append(scenes, scene{c.name, func(ctx context.Context, _ string) ([]Figure, error) {
			got, err := s.soak(ctx, c, w, logs)
			if got == nil {
				return nil, err
			}
			seen = append(seen, got)
			return got.figures(), err
		}})
	}
	quiet := s.Setup
	quiet.Progress = nil // the chapters tell it by the second
	figures, err = quiet.play(ctx, "soak", scenes)
	if w.noNet != nil {
		figures = append(figures, Figure{Bench: "soak", Case: "net", Metric: "left_out", Unit: "runs", Value: 1, OK: true, Note: w.noNet.Error()})
	}
	if err == nil && s.Out != "" {
		err = drawSoak(s.Out, seen)
	}
	return figures, err
}

func (s *Soak) with(name string) bool { return slices.Contains(s.With, name) }

// A chapter is a part of a soak, with a channel of its own.
type chapter struct {
	name     string
	size     int     // bytes of a message
	rate     float64 // messages a second; 0: as the channel takes them
	busy     int     // processes beside it that compute without end
	duration time.Duration
	messages uint64
}

// loadRate is the messages of 100 KB a second beside the busy loops: more than cores that
// are not their own can take is no soak, but a queue.
const loadRate = 100

// busyLoops compute beside UE and hosts.
const busyLoops = 4

func (s *Soak) chapters() []chapter {
	all := []chapter{{name: "1KB", size: small, rate: s.Rate, duration: s.Duration, messages: s.Messages}}
	if s.with("load") {
		all[0].duration = s.Duration * 2 / 3
		all = append(all, chapter{name: "100KB beside busy loops", size: frame, rate: loadRate, busy: busyLoops, duration: s.Duration / 3})
	}
	return all
}

// A soaking is a chapter under way, and then its result.
type soaking struct {
	chapter
	*Soak
	ward *ward
	log  *slog.Logger // of the channel, too
	*traffic
	gauge  *gauge
	far    atomic.Uint64 // results from hosts
	strays int           // results from a host whose certificate is another authority's
	final  elastic.Stats

	mu        sync.Mutex
	made      map[string]int             // disturbances of each kind
	gaps      map[string][]time.Duration // around those of them that the channel felt
	abandoned []error                    // why hosts were left that were well
	unmoved   []error                    // why moves between places that were well have failed
	stuck     []error                    // how hosts ended that were told to
	broken    error                      // why disturbances ended early
}

// soak runs a chapter.
func (s *Soak) soak(ctx context.Context, c chapter, w *ward, logs *soakLogs) (k *soaking, err error) {
	log := slog.New(slog.NewTextHandler(logs.channel, nil))
	conf := elastic.Config{Standby: w.targets(), Logger: log}
	n, err := newNear(conf, c.size, small)
	if err != nil {
		return nil, err
	}
	k = &soaking{chapter: c, Soak: s, ward: w, log: log, made: map[string]int{}, gaps: map[string][]time.Duration{}}
	k.gauge = newGauge(n.ch, w)
	idle, err := spinners(ctx, c.busy)
	if err != nil {
		return nil, errors.Join(err, n.ch.Close())
	}
	defer idle()
	events := n.ch.Events(ctx)
	k.traffic = newTraffic(n, c.rate)
	k.traffic.each = k.note
	k.traffic.begin(ctx)
	var watching sync.WaitGroup
	watching.Go(func() { // ends with the channel
		for e := range events {
			k.hear(e)
		}
	})
	err = k.disturb(ctx, logs.seconds)
	k.final = n.ch.Stats()
	err = errors.Join(err, k.traffic.finish(context.WithoutCancel(ctx)))
	watching.Wait()
	return k, errors.Join(err, w.heal())
}

// note takes note of a result.
func (k *soaking) note(d delivery, host string) {
	k.gauge.delivered(d)
	if d.far {
		k.far.Add(1)
	}
	if host == strangerName {
		k.strays++
	}
}

// hear takes note of an event. A host that is left has to have a fault.
func (k *soaking) hear(e elastic.Event) {
	if e.Kind != elastic.FellBack || k.ward.ails(e.From, time.Now().Add(-e.Took)) {
		return
	}
	k.log.Warn("a host was left that was well", "host", e.From, "why", e.Reason)
	k.find(&k.abandoned, fmt.Errorf("%s: %w", e.From, e.Reason))
}

// count counts a disturbance of host, or of all.
func (k *soaking) count(kind, host string) {
	k.log.Info("disturbance", "kind", kind, "host", host)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.made[kind]++
}

func (k *soaking) find(list *[]error, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	*list = append(*list, err)
}

// disturb disturbs the channel until its time is over and its messages are answered, and writes
// what it measures each second to out.
func (k *soaking) disturb(ctx context.Context, out io.Writer) error {
	ctx, stop := context.WithCancel(ctx)
	var all sync.WaitGroup
	for _, d := range k.disturbances() {
		all.Go(func() { k.repeat(ctx, d) })
	}
	err := k.wait(ctx, out)
	stop()
	all.Wait()
	return errors.Join(k.broken, err)
}

// wait measures once a second until the chapter is over, or its traffic is.
func (k *soaking) wait(ctx context.Context, out io.Writer) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for now := time.Duration(0); now < k.duration || k.far.Load() < k.messages; now = k.now() {
		select {
		case <-tick.C:
		case <-k.traffic.ended:
			return nil // finish says why
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if err := k.gauge.second(ctx, out, k.chapter.name); err != nil {
			return err
		}
		if k.Progress != nil {
			k.Progress(k.chapter.name, int(k.now().Seconds()), max(int(k.duration.Seconds()), int(k.now().Seconds())))
		}
	}
	return nil
}

// repeat makes d, a random time after the one before.
func (k *soaking) repeat(ctx context.Context, d disturbance) {
	dice := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	for {
		rest := time.Duration((0.75 + dice.Float64()/2) * float64(d.every))
		select {
		case <-time.After(rest):
		case <-ctx.Done():
			return
		}
		if err := d.make(ctx, dice); err != nil && ctx.Err() == nil {
			k.mu.Lock()
			k.broken = errors.Join(k.broken, fmt.Errorf("%s: %w", d.name, err))
			k.mu.Unlock()
			return
		}
	}
}

// around notes the longest gap while do runs and a little longer.
func (k *soaking) around(ctx context.Context, kind string, do func() error) error {
	g := k.gauge.watch()
	err := do()
	select {
	case <-time.After(settle):
	case <-ctx.Done():
	}
	gap := max(0, k.gauge.unwatch(g)-k.period())
	k.mu.Lock()
	defer k.mu.Unlock()
	k.gaps[kind] = append(k.gaps[kind], gap)
	return err
}

func (c *chapter) period() time.Duration {
	if c.rate == 0 {
		return 0
	}
	return time.Duration(float64(time.Second) / c.rate)
}

// spinners starts n processes that compute without end, until idle is called.
func spinners(ctx context.Context, n int) (idle func(), err error) {
	ctx, stop := context.WithCancel(ctx)
	var all []*exec.Cmd
	idle = func() {
		stop()
		for _, cmd := range all {
			cmd.Wait() // says that it was killed
		}
	}
	for range n {
		cmd := exec.CommandContext(ctx, "sh", "-c", "while :; do :; done")
		if err := cmd.Start(); err != nil {
			idle()
			return nil, err
		}
		all = append(all, cmd)
	}
	return idle, nil
}

// soakLogs are where a soak writes.
type soakLogs struct {
	channel, hosts, seconds io.Writer
	files                   []*os.File
}

// logs opens the logs in Out.
func (s *Soak) logs() (*soakLogs, error) {
	l := &soakLogs{channel: io.Discard, hosts: os.Stderr, seconds: io.Discard}
	if s.Out == "" {
		return l, nil
	}
	for name, w := range map[string]*io.Writer{"channel.log": &l.channel, "hosts.log": &l.hosts, "soak.jsonl": &l.seconds} {
		f, err := os.Create(filepath.Join(s.Out, name))
		if err != nil {
			return nil, errors.Join(err, l.end())
		}
		*w = f
		l.files = append(l.files, f)
	}
	return l, nil
}

func (l *soakLogs) end() error {
	var err error
	for _, f := range l.files {
		err = errors.Join(err, f.Close())
	}
	return err
}

// figures are the chapter's.
func (k *soaking) figures() []Figure {
	all := k.checks()
	for _, kind := range slices.Sorted(maps.Keys(k.gaps)) {
		all = append(all, k.gapFigures(kind)...)
	}
	return append(all, k.growth()...)
}

// checks are the figures that must be zero, and the counts.
func (k *soaking) checks() []Figure {
	all := countFigures(k.chapter.name, &k.check)
	f := Figure{Case: k.chapter.name, N: int(k.check.last)}
	zero := func(metric, unit string, n int, why []error) {
		f := f
		f.Metric, f.Unit, f.Value, f.Note = metric, unit, float64(n), firstOf(why)
		all = append(all, f.against("<=", 0))
	}
	zero("healthy_hosts_left", "hosts", len(k.abandoned), k.abandoned)
	if k.with("drain") {
		zero("drains_failed", "hosts", len(k.stuck), k.stuck)
	}
	if k.with("certs") {
		zero("results_of_a_stranger", "messages", k.strays, nil)
	}
	plain := func(metric, unit string, v float64) {
		f := f
		f.Metric, f.Unit, f.Value = metric, unit, v
		all = append(all, f)
	}
	for _, kind := range slices.Sorted(maps.Keys(k.made)) {
		plain(kind+"_made", "times", float64(k.made[kind]))
	}
	long := k.now().Seconds()
	plain("results_of_hosts", "messages", float64(k.far.Load()))
	f.Note = firstOf(k.unmoved)
	plain("moves_failed_between_healthy_places", "moves", float64(len(k.unmoved)))
	f.Note = ""
	plain("throughput", "per_s", over(float64(k.check.last), long))
	plain("checkpoints", "per_s", over(float64(k.final.Checkpoints), long))
	plain("fallbacks", "moves", float64(k.final.Fallbacks))
	plain("replayed", "messages", float64(k.final.Replayed))
	plain("replay_length_most", "messages", k.gauge.most(func(s second) float64 { return float64(s.Buffered) }))
	plain("lateness_most", "ms", k.gauge.most(func(s second) float64 { return s.Lateness }))
	return all
}

// gapFigures are those of the gaps around a kind of disturbance. Beside them stands the gap
// in seconds without any.
func (k *soaking) gapFigures(kind string) []Figure {
	beside := map[string]float64{"calm_p99": ms(quantile(k.gauge.calm, 0.99))}
	f := func(p float64) Figure {
		return Figure{
			Case: k.chapter.name, Metric: fmt.Sprintf("%s_gap_p%g", kind, 100*p), Unit: "ms", N: len(k.gaps[kind]),
			Value: ms(quantile(k.gaps[kind], p)), Beside: beside,
		}
	}
	tail := f(0.99)
	if k.busy > 0 && kind == "kill" {
		tail = tail.against("<=", 2000)
	}
	return []Figure{f(0.5), tail}
}

// firstOf says the first of errs, bounded, and how many there are.
func firstOf(errs []error) string {
	if len(errs) == 0 {
		return ""
	}
	return fmt.Sprintf("the first of %d: %.200v", len(errs), errs[0])
}
