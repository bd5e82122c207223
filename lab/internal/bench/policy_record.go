package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/bungee-xr/bungee/handler/ue"
	"github.com/bungee-xr/bungee/handler/ue/policy"
	"github.com/bungee-xr/bungee/lab/internal/replay"
	"github.com/bungee-xr/bungee/offload"
	"github.com/bungee-xr/bungee/offload/codegen"
	"github.com/bungee-xr/bungee/offload/pack"
)

const (
	// blurWide, blurHigh and blurTimes make a function of some 20 to 40 ms on a request of 37.5 KiB.
	blurWide, blurHigh, blurTimes = 240, 160, 400

	recordRate     = 8.0 // calls a second
	recordDeadline = 100 * time.Millisecond
	// spellTime is how long each spell takes, and slowPeriod how often a slow host stands still.
	spellTime, slowPeriod = 20 * time.Second, 50 * time.Millisecond
)

// blur returns the mean of a picture that was blurred many times: work that takes its time, and no memory to speak of.
func blur(_ context.Context, picture []byte) (float64, error) {
	if len(picture) != blurWide*blurHigh {
		return 0, fmt.Errorf("blur: %d bytes, want %d", len(picture), blurWide*blurHigh)
	}
	a, b := append([]byte(nil), picture...), make([]byte, len(picture))
	for range blurTimes {
		for i := blurWide + 1; i < len(a)-blurWide-1; i++ {
			b[i] = byte((uint(a[i-1]) + uint(a[i+1]) + uint(a[i-blurWide]) + uint(a[i+blurWide])) / 4)
		}
		a, b = b, a
	}
	sum := 0
	for _, x := range a {
		sum += int(x)
	}
	return float64(sum) / float64(len(a)), nil
}

// blurFunc is blur as an elastic function. Edge hosts of the benchmarks that run natively have it after those of package marked.
var blurFunc = &codegen.Func[[]byte, float64]{
	Desc: offload.Desc{Name: "bench.blur", Index: blurIndex, Module: codegen.NewModule([]byte("bench.blur")), Deadline: 20 * time.Second, Idempotent: true}, // far beyond what is late: a recording wants to know how late

	Native:    blur,
	AppendIn:  func(b, picture []byte) []byte { return pack.AppendBytes(b, picture) },
	ReadIn:    func(r *pack.Reader) []byte { return r.Bytes() },
	AppendOut: func(b []byte, mean float64) []byte { return pack.AppendFloat64(b, mean) },
	ReadOut:   func(r *pack.Reader) float64 { return r.Float64() },
}

// A spell is a time of a recording: how the link and the host are.
type spell struct {
	weather weather
	still   time.Duration // the host stands still for so long in each slowPeriod
}

// A recording is a trace that is measured: each call runs at both places, one after the other.
type recording struct {
	name, radio, how string
	up, down         float64 // energy of a byte [J]: see docs/ue-policy.md
	spells           []spell
}

func mbits(rate float64, delay time.Duration) spell {
	return spell{weather: weather{delay: delay, rate: rate * 1e6}}
}

// The links and the host of the recordings. What is named cellular here is a relay, too: longer, narrower, and it loses packets.
var (
	wide, thin = mbits(50, 3*time.Millisecond), mbits(3, 3*time.Millisecond)
	stopped    = spell{wide.weather, 40 * time.Millisecond}
	cell       = spell{weather: weather{delay: 15 * time.Millisecond, rate: 20e6, loss: 0.002}}
	cellEdge   = spell{weather: weather{delay: 15 * time.Millisecond, rate: 4e6, loss: 0.01}}

	recordings = []recording{
		{"recorded fade", "wifi", "a relay of 3 ms each way that carries 50, 3 and 50 Mbit/s, 20 s each", 2.265e-6, 1.096e-6, []spell{wide, thin, wide}},
		{"recorded slow host", "wifi", "a relay of 3 ms each way and 50 Mbit/s; SIGSTOP stops the host for 40 of each 50 ms in the second of three times 20 s", 2.265e-6, 1.096e-6, []spell{wide, stopped, wide}},
		{"recorded cellular", "cellular", "a relay of 15 ms each way that carries 20, 4 and 20 Mbit/s and loses 0.2, 1 and 0.2 % of packets, 20 s each", 3.507e-6, 0.416e-6, []spell{cell, cellEdge, cell}},
	}
)

// Record measures the recordings whose names contain Only, and writes them to a folder.
func (p Policy) Record(ctx context.Context, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, r := range recordings {
		if !strings.Contains(r.name, p.Only) {
			continue
		}
		t, err := p.record(ctx, r)
		if err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
		if err := writeTrace(filepath.Join(dir, strings.ReplaceAll(r.name, " ", "-")+".ndjson"), t); err != nil {
			return err
		}
	}
	return nil
}

func (p Policy) record(ctx context.Context, r recording) (t *replay.Trace, err error) {
	g, err := p.rig(ctx, "edge")
	if err != nil {
		return nil, err
	}
	way, err := relayUDP(r.spells[0].weather, g.edges[0].address)
	if err != nil {
		return nil, errors.Join(err, g.end())
	}
	defer func() { err = errors.Join(err, g.end(), way.end()) }() // in this order: the host hears that the UE has left
	h, err := g.handler(ctx, ue.Config{Edge: way.address, Policy: policy.Always(policy.OnEdge)})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	ready, cancel := context.WithTimeout(ctx, prepareTimeout)
	defer cancel()
	if err := h.Prepare(ready, &blurFunc.Desc); err != nil {
		return nil, err
	}
	return p.recordSpells(ctx, r, h, way, g.edges[0].process)
}

// recordSpells returns the trace of r.
func (p Policy) recordSpells(ctx context.Context, r recording, h *ue.Handler, way *relay, edge *process) (*replay.Trace, error) {
	t := &replay.Trace{Head: replay.Head{
		Trace: r.name, Radio: r.radio,
		Origin: fmt.Sprintf("recorded: bungee bench policy --record; UE and edge host in two processes on %d shared cores, QUIC over %s; "+
			"each call ran on the edge and then on the UE; energy by constants", runtime.NumCPU(), r.how),
		Functions: []replay.Function{{Name: blurFunc.Name, Deadline: ms(recordDeadline), Rate: recordRate, Idempotent: true}},
		Device:    replay.Device{Cores: float64(runtime.NumCPU()), Watts: 1.2, Up: r.up, Down: r.down},
	}}
	long := spellTime
	if p.Quick {
		long = time.Second
	}
	begin := time.Now()
	for _, s := range r.spells {
		way.become(s.weather)
		if err := recordSpell(ctx, t, s, begin, long, h, edge); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// recordSpell adds the calls of a spell to a trace that began at begin.
func recordSpell(ctx context.Context, t *replay.Trace, s spell, begin time.Time, long time.Duration, h *ue.Handler, edge *process) (err error) {
	if s.still > 0 {
		awake := slow(edge.freeze, edge.thaw, s.still)
		defer func() { err = errors.Join(err, awake()) }()
	}
	pace := newPacer(recordRate)
	picture := make([]byte, blurWide*blurHigh)
	for end := time.Now().Add(long); time.Now().Before(end); {
		pace.next()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		for i := range picture {
			picture[i] = byte(i * (len(t.Calls) + 1))
		}
		at := time.Since(begin)
		c, err := recordCall(ctx, h, picture)
		if err != nil {
			return err
		}
		c.T = at.Round(time.Millisecond).Seconds()
		t.Calls = append(t.Calls, c)
	}
	return nil
}

// recordCall makes a call on the edge host, and then on the UE.
func recordCall(ctx context.Context, h *ue.Handler, picture []byte) (replay.Call, error) {
	var c replay.Call
	var trace offload.Trace
	begin := time.Now()
	far, err := blurFunc.Call(offload.WithTrace(ctx, &trace), picture)
	if err != nil {
		return c, err
	}
	if trace.Host != "" {
		c.Edge = micros(time.Since(begin))
		c.Run, c.Queue, c.Up, c.Down = micros(trace.Run), micros(trace.Queue), trace.BytesUp, trace.BytesDown
	} else { // it had no answer and ran here, or was not sent at all
		c.Gone = offload.CodeOf(trace.Fallback) == offload.CodeUnavailable
	}
	for _, l := range h.Stats().Links {
		c.RTT = micros(l.RTT)
	}
	begin = time.Now()
	near, err := blurFunc.Native(ctx, picture)
	if err != nil {
		return c, err
	}
	c.UE = micros(time.Since(begin))
	if far != near {
		return c, fmt.Errorf("the edge host's result is %v, the UE's %v", far, near)
	}
	return c, nil
}

// micros returns d in ms, in whole microseconds: what a trace keeps.
func micros(d time.Duration) float64 { return float64(d.Round(time.Microsecond).Microseconds()) / 1e3 }

// slow stops what freeze stops for a part of each slowPeriod, until it is told to end. Then it goes on: the last signal is thaw's.
func slow(freeze, thaw func() error, still time.Duration) (end func() error) {
	quit, done := make(chan struct{}), make(chan error)
	go func() { // end waits for it
		var err error
		for more := true; more && err == nil; {
			err = freeze()
			select {
			case <-time.After(still):
			case <-quit:
			}
			err = errors.Join(err, thaw())
			select {
			case <-time.After(slowPeriod - still):
			case <-quit:
				more = false
			}
		}
		done <- err
	}()
	return func() error { close(quit); return <-done }
}
