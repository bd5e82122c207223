package report

import (
	"bytes"
	"encoding/json"
	"flag"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the goldens anew")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got; go test -update writes it anew):\n%s", name, diff)
	}
}

// near takes numbers for equal that differ by less, or are both unknown.
func near(less Number) cmp.Option {
	return cmp.Comparer(func(a, b Number) bool {
		return !a.Known() && !b.Known() || max(a-b, b-a) < less
	})
}

func TestSummarizeByHand(t *testing.T) {
	s := Summarize(byHand())
	nan := Number(math.NaN())
	want := Summary{
		Frames: 6, Policy: Toggle, Toggle: 2, Kept: nan, Fallbacks: 1, Missed: 3, Moves: 2, Agreement: 1,
		Reasons: []Reason{{"edge-1:7443, no answer within 500ms again", 1}},
		Model:   "yolo-fastest-1.1-xl", TempSource: "modelled", UECPU: 0.25, FPSOffered: 20, NrThrottled: 9, Joules: nan,
		Local: Place{Frames: 4, FPSMean: 8, LatencyP50: 100, LatencyP99: 100, UECPUMean: 0.2, UECPUPerFrame: 25,
			OutsideP50: 10, OutsideP99: 10, TempMean: 50, PredictionOff: nan, Split: Split{Decode: 4, Letterbox: 5, Compute: 90, Guest: 1}},
		Edge: Place{Frames: 2, FPSMean: 40, LatencyP50: 30, LatencyP99: 40, UECPUMean: 0.2, UECPUPerFrame: 5,
			OutsideP50: 10, OutsideP99: 20, TempMean: 46, PredictionOff: nan, BytesUp: 50000, BytesDown: 400,
			Split: Split{Encode: 2, Network: 3, Queue: 1, Decode: 2, Letterbox: 1, Compute: 20, Guest: 0.5, Codec: 0.5}},
	}
	if diff := cmp.Diff(want, s, near(1e-9)); diff != "" {
		t.Errorf("Summarize (-want +got):\n%s", diff)
	}
}

func TestSummaryGolden(t *testing.T) {
	for name, r := range map[string]*Run{"summary.json": byHand(), "empty.json": {}} {
		var b bytes.Buffer
		if err := WriteSummary(&b, Summarize(r)); err != nil {
			t.Fatal(err)
		}
		golden(t, name, b.Bytes())
		var back Summary
		if err := json.Unmarshal(b.Bytes(), &back); err != nil {
			t.Fatalf("%s cannot be read again: %v", name, err)
		}
		if diff := cmp.Diff(Summarize(r), back, near(1e-6)); diff != "" {
			t.Errorf("%s read again (-want +got):\n%s", name, diff)
		}
	}
}

// The keys that scripts read.
func TestSummaryKeys(t *testing.T) {
	b, err := json.Marshal(Summarize(byHand()))
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	top := []string{"frames", "toggle", "local", "edge", "lost", "duplicated", "fallbacks", "agreement",
		"model", "temp_source", "nr_throttled", "missed", "ue_cpu", "moves"}
	place := []string{"frames", "fps_mean", "latency_p50_ms", "latency_p99_ms", "ue_cpu_mean",
		"ue_cpu_ms_per_frame", "outside_ms_p50", "outside_ms_p99", "temp_mean", "split_p50_ms"}
	for _, key := range top {
		if _, ok := got[key]; !ok {
			t.Errorf("no %q in %s", key, b)
		}
	}
	for _, where := range []string{"local", "edge"} {
		of, _ := got[where].(map[string]any)
		for _, key := range place {
			if _, ok := of[key]; !ok {
				t.Errorf("no %q in %q of %s", key, where, b)
			}
		}
	}
}

func TestPercentileIsNearestRank(t *testing.T) {
	tests := []struct {
		why  string
		n    int // latencies of 1 to n ms
		p    float64
		want Number
	}{
		{"half of an even number", 4, 0.5, 2},
		{"half of an odd number", 5, 0.5, 3},
		{"one figure is all percentiles", 1, 0.99, 1},
		{"of a hundred", 100, 0.99, 99},
		{"of three hundred", 300, 0.99, 297},
		{"few figures: the largest", 50, 0.99, 50},
	}
	for _, tt := range tests {
		frames := make([]*Frame, tt.n)
		for i := range frames {
			frames[(i*7+3)%tt.n] = &Frame{}
		}
		for i := range frames {
			frames[i] = &Frame{Latency: time.Duration(tt.n-i) * time.Millisecond}
		}
		got := percentile(frames, tt.p, func(f *Frame) time.Duration { return f.Latency })
		if got != tt.want {
			t.Errorf("p%v of 1 to %d is %v; want %v: %s", tt.p*100, tt.n, got, tt.want, tt.why)
		}
	}
}

// No run makes a summary that is not JSON, and none a table with NaN in it.
func TestAnyRunIsJSON(t *testing.T) {
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 0))
	odd := []float64{0, math.Copysign(0, -1), 1, -1, math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64, 1e-300}
	pick := func() float64 { return odd[rnd.IntN(len(odd))] }
	dur := func() time.Duration { return time.Duration(rnd.Int64N(3)-1) * time.Duration(rnd.Int64()) }
	for round := range 500 {
		joules := pick()
		r := &Run{UECPU: pick(), FPSOffered: pick(), Agreement: pick(), Joules: &joules,
			Extra: map[string]float64{"x": pick()}, Model: "\xff\"<", Kept: pick(),
			Levels: []Level{{Size: Number(pick()), Bytes: Number(pick()), Kept: Number(pick()), MAP: Number(pick())}}}
		for n := range rnd.IntN(5) {
			r.Frames = append(r.Frames, Frame{Number: n, Where: []string{UE, Edge, ""}[rnd.IntN(3)],
				Latency: dur(), Compute: dur(), Period: dur(), CPUTime: dur(), Decision: Decision{Here: dur(), There: dur(), Deadline: dur(), Size: pick()}, FPS: pick(), CPU: pick(), Temp: pick()})
		}
		b, err := json.Marshal(Summarize(r))
		if err != nil || !json.Valid(b) {
			t.Fatalf("seed %d, round %d: %v of %+v: %s", seed, round, err, r, b)
		}
		if table := Table(Summarize(r)); strings.Contains(table, "NaN") || strings.Contains(table, "Inf") {
			t.Fatalf("seed %d, round %d: table of %+v:\n%s", seed, round, r, table)
		}
	}
}

func TestTable(t *testing.T) {
	golden(t, "table.txt", []byte(Table(Summarize(byHand()))))
	if got := Table(Summarize(&Run{})); !strings.Contains(got, "0 frames") {
		t.Errorf("table of an empty run is %q; want it to say 0 frames", got)
	}
}
