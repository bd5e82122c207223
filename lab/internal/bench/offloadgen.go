package bench

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/bungee-xr/bungee/lab/internal/bench/coded"
	"github.com/bungee-xr/bungee/lab/internal/bench/marked"
	"github.com/bungee-xr/bungee/offload/pack"
)

// Offloadgen measures what offloadgen makes: codecs, and calls that stay here. Each figure is
// beside what it is compared with, measured in turns with it.
type Offloadgen struct {
	Quick bool // fewer rounds
}

// Run returns the figures.
func (o Offloadgen) Run(ctx context.Context) (figures []Figure, err error) {
	parts := []func() ([]Figure, error){
		o.detections,
		func() ([]Figure, error) {
			return numbers(o, "100k float32", make([]float32, 100_000), coded.PointsFunc.AppendIn, coded.PointsFunc.ReadIn)
		},
		func() ([]Figure, error) {
			return numbers(o, "640x480 uint16", make([]uint16, 640*480), coded.DepthFunc.AppendIn, coded.DepthFunc.ReadIn)
		},
		o.localCall,
	}
	for _, part := range parts {
		got, err := part()
		if err != nil || ctx.Err() != nil {
			return figures, cmpErr(err, context.Cause(ctx))
		}
		figures = append(figures, got...)
	}
	for i := range figures {
		figures[i].Bench = "offloadgen"
	}
	return figures, nil
}

func cmpErr(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// rounds is how often two things are measured in turns.
func (o Offloadgen) rounds() int {
	if o.Quick {
		return 11
	}
	return 101
}

// inTurns returns the median time of a run of ours and of theirs, and the median of the
// ratios of the rounds.
func (o Offloadgen) inTurns(runs int, ours, theirs func()) (a, b time.Duration, ratio float64) {
	var as, bs []time.Duration
	var ratios []float64
	for range o.rounds() {
		x, y := timeOfRun(runs, ours), timeOfRun(runs, theirs)
		as, bs, ratios = append(as, x), append(bs, y), append(ratios, float64(x)/float64(y))
	}
	return quantile(as, 0.5), quantile(bs, 0.5), quantile(ratios, 0.5)
}

// timeOfRun returns the time of one of runs.
func timeOfRun(runs int, f func()) time.Duration {
	runtime.GC()
	begin := time.Now()
	for range runs {
		f()
	}
	return time.Since(begin) / time.Duration(runs)
}

func (o Offloadgen) detections() ([]Figure, error) {
	found, err := coded.DetectFunc.Native(context.Background(), 20)
	if err != nil {
		return nil, err
	}
	theirs, err := msgpack.Marshal(found)
	if err != nil {
		return nil, err
	}
	var again, unmarshalled []coded.Detection
	ours := coded.DetectFunc.AppendOut(nil, found)
	encode := func() { ours = coded.DetectFunc.AppendOut(ours[:0], found) }
	decode := func() {
		r := pack.NewReader(ours)
		again = coded.DetectFunc.ReadOut(&r)
	}
	const runs = 200
	e1, e2, er := o.inTurns(runs, encode, func() { theirs, err = msgpack.Marshal(found) })
	d1, d2, dr := o.inTurns(runs, decode, func() { err = msgpack.Unmarshal(theirs, &unmarshalled) })
	if err != nil || !slices.Equal(again, found) || !slices.Equal(unmarshalled, found) {
		return nil, fmt.Errorf("detections came back as others: %w", err)
	}
	const name, note = "20 detections", "msgpack.Marshal and Unmarshal, in turns"
	return []Figure{
		against(name, "encode", e1, e2, er, note, o.rounds()).against("<=", 0.05),
		against(name, "decode", d1, d2, dr, note, o.rounds()).against("<=", 0.10),
		Figure{Case: name, Metric: "allocations_to_encode", Unit: "allocations", Value: testing.AllocsPerRun(100, encode), N: 100}.against("<=", 0),
	}, nil
}

// against is the figure of a ratio.
func against(name, metric string, ours, theirs time.Duration, ratio float64, note string, n int) Figure {
	return Figure{
		Case: name, Metric: metric, Unit: "times theirs", Value: ratio, Ratio: ratio, N: n, Note: note,
		Beside: map[string]float64{"ours, ns": float64(ours), "theirs, ns": float64(theirs)},
	}
}

// numbers measures a slice of numbers against a copy of it.
func numbers[T uint16 | float32](o Offloadgen, name string, v []T, appendTo func([]byte, []T) []byte, read func(*pack.Reader) []T) ([]Figure, error) {
	for i := range v {
		v[i] = T(i)
	}
	b := appendTo(nil, v)
	var sink, got []T
	clone := func() { sink = make([]T, len(v)); copy(sink, v) }
	const runs, note = 20, "make and copy of the slice, in turns; encoding is into a buffer of its own, as long"
	e1, e2, er := o.inTurns(runs, func() { b = appendTo(make([]byte, 0, len(b)), v) }, clone)
	d1, d2, dr := o.inTurns(runs, func() { r := pack.NewReader(b); got = read(&r) }, clone)
	if !slices.Equal(got, v) || !slices.Equal(sink, v) {
		return nil, fmt.Errorf("%s came back as others", name)
	}
	return []Figure{
		against(name, "encode", e1, e2, er, note, o.rounds()).against("<=", 3),
		against(name, "decode", d1, d2, dr, note, o.rounds()).against("<=", 3),
	}, nil
}

// localCall measures what an elastic call costs beyond a plain one, without a handler.
func (o Offloadgen) localCall() ([]Figure, error) {
	ctx, n := context.Background(), 0
	elastic := func() { n, _ = marked.Next(ctx, n) }
	const runs = 20_000
	a, b, _ := o.inTurns(runs, elastic, func() { n, _ = marked.Plain(ctx, n) })
	const name = "call that stays here"
	return []Figure{
		Figure{Case: name, Metric: "over_plain", Unit: "ns", Value: float64(a - b), N: o.rounds(),
			Beside: map[string]float64{"elastic, ns": float64(a), "plain, ns": float64(b)}, Note: "no handler"}.against("<=", 15),
		Figure{Case: name, Metric: "allocations", Unit: "allocations", Value: testing.AllocsPerRun(100, elastic), N: 100}.against("<=", 0),
	}, nil
}
