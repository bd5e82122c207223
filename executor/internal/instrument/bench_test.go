package instrument_test

import (
	"context"
	"math"
	"slices"
	"testing"
	"time"

	wz "github.com/tetratelabs/wazero"

	"github.com/bungee-xr/bungee/executor/enginetest/kernels"
	"github.com/bungee-xr/bungee/executor/internal/instrument"
)

// A way is options whose price is measured.
type way struct {
	name string
	opts instrument.Options
}

// ways are those, the first being none.
var ways = []way{
	{"none", instrument.Options{}},
	{"fuel", instrument.Options{Fuel: true}},
	{"nan", instrument.Options{CanonicalNaN: true}},
	{"refusals", instrument.Options{Refusals: true}},
	{"split", instrument.Options{Split: true}},
	{"unmetered", instrument.Options{Refusals: true, Split: true}}, // what a host has by default
	{"metered", instrument.Options{Refusals: true, Split: true, Fuel: true}},
	{"all", all},
}

// BenchmarkRewrite tells how long rewriting takes and how large the result is, for a
// Go guest and one in C.
func BenchmarkRewrite(b *testing.B) {
	goGuest, err := kernels.BuildGo(b.Context())
	if err != nil {
		b.Skipf("%v; with the go command in PATH: go test -bench . ./executor/internal/instrument", err)
	}
	for _, g := range []struct {
		name string
		wasm []byte
	}{{"go", goGuest}, {"c", kernels.Wasm()}} {
		for _, way := range ways[1:] {
			b.Run(g.name+"/"+way.name, func(b *testing.B) {
				b.SetBytes(int64(len(g.wasm)))
				b.ReportAllocs()
				var out []byte
				for b.Loop() {
					out = rewrite(b, g.wasm, way.opts)
				}
				b.ReportMetric(float64(len(out))/float64(len(g.wasm)), "size-ratio")
			})
		}
	}
}

// BenchmarkPrice tells how much longer the kernels take on wazero when they are rewritten,
// as the geometric mean of the ratios, and the worst one.
func BenchmarkPrice(b *testing.B) {
	price(b, func(wasm []byte) func(k kernels.Kernel, times uint32) {
		r := wz.NewRuntime(b.Context())
		b.Cleanup(func() { r.Close(context.Background()) })
		g := start(b, r, wasm)
		results, err := g.module.ExportedFunction("bungee_buf").Call(b.Context(), 4)
		if err != nil {
			b.Fatal(err)
		}
		return func(k kernels.Kernel, times uint32) {
			g.module.Memory().WriteUint32Le(uint32(results[0]), times)
			if _, err := g.module.ExportedFunction("bungee_call").Call(b.Context(), uint64(k.Fn), results[0], 4, 0); err != nil {
				b.Fatalf("%s: %v", k.Name, err)
			}
		}
	})
}

// price measures each way on each kernel, interleaved, and keeps the fastest turn
// of each: other work on the machine only adds to a time.
func price(b *testing.B, load func(wasm []byte) func(k kernels.Kernel, times uint32)) {
	runs := make([]func(kernels.Kernel, uint32), len(ways))
	for i, way := range ways {
		runs[i] = load(rewrite(b, kernels.Wasm(), way.opts))
	}
	best := make([][]time.Duration, len(kernels.All()))
	for b.Loop() {
		for n, k := range kernels.All() {
			if best[n] == nil {
				best[n] = slices.Repeat([]time.Duration{math.MaxInt64}, len(ways))
			}
			for i, run := range runs {
				began := time.Now()
				run(k, max(k.Times/4, 12))
				best[n][i] = min(best[n][i], time.Since(began))
			}
		}
	}
	for i, way := range ways[1:] {
		mean, worst, name := ratios(best, i+1, 0)
		b.ReportMetric(mean, way.name+"-ratio")
		b.ReportMetric(worst, way.name+"-worst("+name+")")
	}
	named := func(name string) int {
		return slices.IndexFunc(ways, func(w way) bool { return w.name == name })
	}
	mean, worst, name := ratios(best, named("metered"), named("unmetered"))
	b.ReportMetric(mean, "metering-ratio")
	b.ReportMetric(worst, "metering-worst("+name+")")
}

// ratios returns the geometric mean of how much longer the kernels take in one way than in
// another, and the worst of them.
func ratios(best [][]time.Duration, one, other int) (mean, worst float64, name string) {
	sum := 0.0
	for n, k := range kernels.All() {
		ratio := float64(best[n][one]) / float64(best[n][other])
		if sum += math.Log(ratio); ratio > worst {
			worst, name = ratio, k.Name
		}
	}
	return math.Exp(sum / float64(len(best))), worst, name
}
