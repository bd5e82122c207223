package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/enginetest/kernels"
	"github.com/bungee-xr/bungee/executor/enginetest/kernels/sobel"
)

// edges measures gray and edges of an image in a C guest with SIMD and in a Go guest, in
// turn with the same code natively in Go. The image is in the guest already.
func (b *bout) edges(ctx context.Context, scene string) (figures []Figure, err error) {
	image := make([]byte, kernels.Pixels*4)
	for i := range image {
		image[i] = byte(i * i >> 7)
	}
	gray, edges := make([]byte, kernels.Pixels), make([]byte, kernels.Pixels)
	native := func() (time.Duration, error) {
		begin := time.Now()
		sobel.Edges(edges, gray, image)
		return time.Since(begin), nil
	}
	for _, side := range []struct {
		metric string
		name   guestName
		fn     uint32
		target float64
	}{{"c_over_native_go", cGuest, kernels.EdgeImage, 0.6}, {"go_over_native_go", goEdges, 0, 1.8}} {
		f, err := b.edgesOf(ctx, side.name, side.fn, image, native)
		if err != nil {
			return figures, err
		}
		f.Case, f.Metric = scene, side.metric
		figures = append(figures, b.aim(f, "<=", side.target))
	}
	return figures, nil
}

func (b *bout) edgesOf(ctx context.Context, name guestName, fn uint32, image []byte, native func() (time.Duration, error)) (f Figure, err error) {
	l, err := b.load(ctx, name, false)
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	in, err := l.instance(ctx)
	if err != nil {
		return f, err
	}
	defer in.Close()
	if _, err := in.Call(ctx, fn, image); err != nil {
		return f, err
	}
	guest := callOf(ctx, in, fn, nil)
	var ours, theirs []time.Duration
	per := max(1, b.pick(600, 60)/rounds)
	err = interleave(rounds, appendSample(ctx, &theirs, per, b.budget()/rounds, native), appendSample(ctx, &ours, per, b.budget()/rounds, guest))
	if err != nil {
		return f, err
	}
	f = Figure{Unit: "x", N: len(ours), Value: over(ms(quantile(ours, 0.5)), ms(quantile(theirs, 0.5)))}
	f.Beside = map[string]float64{"guest_ms": ms(quantile(ours, 0.5)), "native_ms": ms(quantile(theirs, 0.5))}
	return f, nil
}

// callOf times a call.
func callOf(ctx context.Context, in executor.Instance, fn uint32, request []byte) func() (time.Duration, error) {
	return func() (time.Duration, error) {
		begin := time.Now()
		_, err := in.Call(ctx, fn, request)
		return time.Since(begin), err
	}
}

// A fuelRow is a kernel's time, metered and not, and its fuel.
type fuelRow struct {
	kernel kernels.Kernel
	plain  time.Duration
	full   time.Duration
	fuel   uint64
}

// A fuelTable is the rows of an engine, by its name.
type fuelTable map[string][]fuelRow

// table measures the kernels, metered and not in turn, once for each engine.
func (b *bout) table(ctx context.Context) ([]fuelRow, error) {
	if rows := b.fuel[b.engine.Name]; rows != nil {
		return rows, nil
	}
	plain, done, err := b.started(ctx, false)
	if err != nil {
		return nil, err
	}
	defer done()
	full, done, err := b.started(ctx, true)
	if err != nil {
		return nil, err
	}
	defer done()
	var rows []fuelRow
	for _, k := range kernels.All() {
		r, err := b.row(ctx, k, plain, full)
		if err != nil {
			return nil, fmt.Errorf("kernel %s: %w", k.Name, err)
		}
		rows = append(rows, r)
	}
	b.fuel[b.engine.Name] = rows
	return rows, nil
}

// started returns an instance of the C guest, with what closes all of it.
func (b *bout) started(ctx context.Context, meter bool) (executor.Instance, func(), error) {
	l, err := b.load(ctx, cGuest, meter)
	if err != nil {
		return nil, nil, err
	}
	in, err := l.instance(ctx)
	if err != nil {
		return nil, nil, errors.Join(err, l.close())
	}
	return in, func() { in.Close(); l.close() }, nil
}

func (b *bout) row(ctx context.Context, k kernels.Kernel, plain, full executor.Instance) (r fuelRow, err error) {
	request := k.Request(k.Times)
	var off, on []time.Duration
	n := b.pick(15, 2)
	err = interleave(n, appendSample(ctx, &off, 1, 0, callOf(ctx, plain, k.Fn, request)), appendSample(ctx, &on, 1, 0, callOf(ctx, full, k.Fn, request)))
	if err != nil {
		return r, err
	}
	return fuelRow{k, least(off), least(on), full.Last().Fuel}, nil
}

// metering measures what it costs to count: little where a module is not metered, and
// what it takes over the kernels where it is.
func (b *bout) metering(ctx context.Context, scene string) ([]Figure, error) {
	rows, err := b.table(ctx)
	if err != nil {
		return nil, err
	}
	var on []float64
	for _, r := range rows {
		on = append(on, over(r.full.Seconds(), r.plain.Seconds()))
	}
	off, err := b.unmetered(ctx)
	if err != nil {
		return nil, err
	}
	typical := quantile(on, 0.5)
	f := Figure{Case: scene, Metric: "off_share_of_a_call", Unit: "%", N: len(rows), Value: 100 * over(off.Seconds(), shortest(rows).Seconds()),
		Beside: map[string]float64{"ns_a_call": float64(off.Nanoseconds())},
		Note:   "a call of nothing that is not metered, over the shortest kernel; the module itself is as it came"}
	g := Figure{Case: scene, Metric: "on_over_off_geomean", Unit: "x", N: len(rows), Value: geomean(on),
		Beside: map[string]float64{"p50": typical, "worst": slices.Max(on), "best": slices.Min(on)}}
	return []Figure{b.aim(f, "<=", 2), g}, nil
}

func shortest(rows []fuelRow) time.Duration {
	return slices.MinFunc(rows, func(a, b fuelRow) int { return int(a.plain - b.plain) }).plain
}

func geomean(v []float64) float64 {
	sum := 0.
	for _, x := range v {
		sum += math.Log(x)
	}
	return math.Exp(sum / float64(len(v)))
}

// fuelAsTime measures how well fuel tells time: over the kernels, the time of a call that
// is not metered against its fuel (paper 003, III-B2).
func (b *bout) fuelAsTime(ctx context.Context, scene string) ([]Figure, error) {
	rows, err := b.table(ctx)
	if err != nil {
		return nil, err
	}
	var x, y []float64
	for _, r := range rows {
		x, y = append(x, float64(r.fuel)), append(y, float64(r.plain.Nanoseconds()))
	}
	slope, r2 := fit(x, y)
	worst, name := 0., ""
	for i, r := range rows {
		q := over(y[i], slope*x[i])
		if q = max(q, over(1, q)); q > worst {
			worst, name = q, r.kernel.Name
		}
	}
	f := Figure{Case: scene, Metric: "r_squared", Unit: "", N: len(rows), Value: r2, Beside: map[string]float64{"ns_per_fuel": slope}}
	g := Figure{Case: scene, Metric: "worst_ratio", Unit: "x", N: len(rows), Value: worst, Note: "of kernel " + name + ": its time over what its fuel says, or the other way round"}
	return []Figure{f, g}, nil
}

// fit fits y = slope*x by least squares of the logarithms, which count each kernel's
// ratio alike, and returns the share of the variance of y that a line explains.
func fit(x, y []float64) (slope, r2 float64) {
	var ratios []float64
	for i := range x {
		ratios = append(ratios, over(y[i], x[i]))
	}
	mx, my := mean(x), mean(y)
	var sxy, sxx, syy float64
	for i := range x {
		sxy += (x[i] - mx) * (y[i] - my)
		sxx += (x[i] - mx) * (x[i] - mx)
		syy += (y[i] - my) * (y[i] - my)
	}
	return geomean(ratios), over(sxy*sxy, sxx*syy)
}

func mean(v []float64) float64 {
	sum := 0.
	for _, x := range v {
		sum += x
	}
	return sum / float64(len(v))
}
