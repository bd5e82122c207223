package replay

import (
	"bytes"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/bungee-xr/bungee/handler/ue/policy"
)

func TestTracesAreReadAsWritten(t *testing.T) {
	for _, tr := range Synthetic() {
		var b bytes.Buffer
		if err := tr.Write(&b); err != nil {
			t.Fatal(err)
		}
		got, err := Read(&b)
		if err != nil || !reflect.DeepEqual(got, tr) {
			t.Errorf("%s: it is read as another one, %v", tr.Trace, err)
		}
	}
}

func TestBadTraces(t *testing.T) {
	head := `{"trace":"x","origin":"synthetic: x","functions":[{"name":"f","deadline_ms":100,"rate":15}],"device":{"cores":4}}` + "\n"
	good := head + `{"t":0,"ue":40,"edge":20}` + "\n"
	if _, err := Read(strings.NewReader(good)); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"nothing":            "",
		"no calls":           head,
		"cut off":            good[:len(good)-4],
		"no origin":          strings.Replace(good, "synthetic: x", "", 1),
		"no functions":       strings.Replace(good, `{"name":"f","deadline_ms":100,"rate":15}`, "", 1),
		"no rate":            strings.Replace(good, `"rate":15`, `"rate":0`, 1),
		"no cores":           strings.Replace(good, `"cores":4`, `"cores":0`, 1),
		"no time constant":   strings.Replace(good, `"cores":4`, `"cores":4,"limit":40`, 1),
		"back in time":       good + `{"t":-1,"ue":40,"edge":20}` + "\n",
		"another function":   head + `{"t":0,"f":1,"ue":40,"edge":20}` + "\n",
		"no latency":         head + `{"t":0,"edge":20}` + "\n",
		"a negative latency": head + `{"t":0,"ue":40,"edge":-20}` + "\n",
		"no rate of levels":  strings.Replace(good, `"rate":15`, `"rate":15,"levels":[{"quality":90,"bytes":9}]`, 1),
		"levels upside down": strings.Replace(good, `"rate":15`, `"rate":15,"levels":[{"quality":30,"bytes":9},{"quality":90,"bytes":10}]`, 1),
		"a level of nothing": strings.Replace(good, `"rate":15`, `"rate":15,"levels":[{"quality":30}]`, 1),
		"many levels":        strings.Replace(good, `"rate":15`, `"rate":15,"levels":[{"quality":30,"bytes":9}`+strings.Repeat(`,{"quality":30,"bytes":9}`, maxLevels)+`]`, 1),
		"a long line":        head + `{"t":0,"ue":40,"edge":20` + strings.Repeat(" ", maxLine) + "}\n",
	} {
		if _, err := Read(strings.NewReader(text)); err == nil {
			t.Errorf("%s: it was read", name)
		}
	}
}

// What was read can be replayed.
func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"trace":"x","origin":"synthetic: x","functions":[{"name":"f","deadline_ms":100,"rate":15,"idempotent":true}],"device":{"cores":4,"watts":1.2,"ambient":30,"rise":16,"tau_s":80,"limit":42,"start":41}}
{"t":0,"ue":40,"edge":20,"run":10,"up":50000,"rtt":5,"rate":6e6}
{"t":0.066,"ue":140,"edge":0,"gone":true}
{"t":0.133,"ue":40,"edge":20,"base":0.2}
`))
	f.Add([]byte(`{"trace":"x","origin":"synthetic: x","functions":[{"name":"f","deadline_ms":100,"rate":15,"levels":[{"quality":90,"bytes":50000},{"quality":30,"bytes":6000}]}],"device":{"cores":4,"watts":1.2},"radio":"cellular"}
{"t":0,"ue":140,"edge":220,"run":10,"up":50000,"rtt":5,"rate":250000}
{"t":0.066,"ue":140,"edge":20,"run":10,"up":50000,"rtt":5,"rate":250000}
`))
	f.Fuzz(func(t *testing.T, b []byte) {
		tr, err := Read(bytes.NewReader(b))
		if err != nil || len(tr.Calls) > 10 {
			return
		}
		for _, s := range []Score{Run(tr, policy.Adaptive{}), Optimum(tr)} {
			if s.Misses > s.Calls || math.IsNaN(s.Joules) || s.Joules < 0 || s.Above < 0 {
				t.Errorf("%+v", s)
			}
		}
	})
}

// The optimum of short traces is the least cost of all ways to place their calls.
func TestOptimumIsTheBest(t *testing.T) {
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 1))
		tr := &Trace{Head: Head{Functions: []Function{detect}, Device: headset}}
		tr.Device.Start, tr.Device.Tau = 40+2*r.Float64(), 10
		for i := range 10 {
			c := Call{T: 3 * float64(i), Base: 0.5 * r.Float64()}
			usual(r, &c, 50_000)
			c.UE, c.Edge, c.CPU = 60+60*r.Float64(), 60+60*r.Float64(), 4000*r.Float64()
			tr.Calls = append(tr.Calls, c)
		}
		cost := func(s Score) float64 {
			return s.Above*tr.seconds()*perSecond + float64(s.Misses)*perMiss + s.Joules
		}
		best := math.Inf(1)
		for way := range 1 << len(tr.Calls) {
			best = min(best, cost(tr.walk(func(i int, _ float64) bool { return way>>i&1 == 1 })))
		}
		if got := cost(Optimum(tr)); got > best*1.001+1 {
			t.Errorf("seed %d: the optimum costs %.1f, another way %.1f", seed, got, best)
		}
	}
}

// Adaptive holds the targets on synthetic traces, with room for what a later change of a constant may cost. "bungee bench policy" has the figures.
func TestAdaptiveOnSyntheticTraces(t *testing.T) {
	for _, tr := range Synthetic() {
		best, got := Optimum(tr), Run(tr, policy.Adaptive{})
		t.Logf("%-22s misses %5.2f %%, optimum %5.2f %%; above the limit %.2f %%; %7.1f J, optimum %7.1f; %d moves a minute at most; hedged %.1f %%", tr.Trace,
			100*got.MissRate(), 100*best.MissRate(), 100*got.Above, got.Joules, best.Joules, got.Crowded, 100*float64(got.Hedged)/float64(got.Calls))
		if got.Crowded > 6 || got.Above > 0.01 {
			t.Errorf("%s: %d moves a minute, %.2f %% of the time above the limit", tr.Trace, got.Crowded, 100*got.Above)
		}
		if !tr.Adversarial() && (got.MissRate() > best.MissRate()+0.01 || got.Joules > 1.2*best.Joules) {
			t.Errorf("%s: %.2f %% late and %.1f J; the optimum has %.2f %% and %.1f J", tr.Trace, 100*got.MissRate(), got.Joules, 100*best.MissRate(), best.Joules)
		}
	}
}

func TestRunIsReproducible(t *testing.T) {
	tr := Synthetic()[8]
	if a, b := Run(tr, policy.Adaptive{}), Run(tr, policy.Adaptive{}); !reflect.DeepEqual(a, b) {
		t.Errorf("two runs of one trace differ: %+v, %+v", a, b)
	}
}

// A trace without rates tells them by its calls, as it is with the UE handler: the median of the last five, for half a minute.
func TestRatesThatCallsTell(t *testing.T) {
	full := Call{Edge: 100, Run: 20, Queue: 10, RTT: 10, Up: 60_000, Down: 900}
	if got := full.told(); got != 1e6 {
		t.Errorf("60,000 bytes in 60 ms beyond the round trip tell %v bytes/s, want 1e6", got)
	}
	for name, change := range map[string]func(*Call){
		"no answer":            func(c *Call) { c.Edge = 0 },
		"no round trip":        func(c *Call) { c.RTT = 0 },
		"a small request":      func(c *Call) { c.Up = leastCarried - 1 },
		"a larger reply":       func(c *Call) { c.Down = c.Up + 1 },
		"all of it round trip": func(c *Call) { c.RTT = 69 },
	} {
		c := full
		change(&c)
		if got := c.told(); got != 0 {
			t.Errorf("%s: it tells %v bytes/s", name, got)
		}
	}
	var up carried
	if got := up.reading(0); got != (policy.Reading[float64]{}) {
		t.Errorf("no call told anything, and the rate is %v", got)
	}
	for i, rate := range []float64{9e9, 1e6, 3e6, 2e6, 1e9, 1e6} {
		up.add(rate, float64(i))
	}
	if got := up.reading(5 + carriedCounts); got != policy.Known(2e6) {
		t.Errorf("the median is %v, want 2e6", got)
	}
	if got := up.reading(6 + carriedCounts); got != (policy.Reading[float64]{}) {
		t.Errorf("a rate that is old is %v", got)
	}
}

// Without rates in the trace, Adaptive does on a fading link what it does with them.
func TestAdaptiveLearnsTheRate(t *testing.T) {
	i := slices.IndexFunc(Synthetic(), func(t *Trace) bool { return t.Trace == "fade" })
	tr := Synthetic()[i]
	for k := range tr.Calls {
		tr.Calls[k].Rate = 0
	}
	best, got := Optimum(tr), Run(tr, policy.Adaptive{})
	if got.MissRate() > best.MissRate()+0.01 || got.Crowded > 6 {
		t.Errorf("%.2f %% late and %d moves a minute, optimum %.2f %%", 100*got.MissRate(), got.Crowded, 100*best.MissRate())
	}
}

// With less to send the link is sooner done, and a call is made no shorter than its time at the host.
func TestLevels(t *testing.T) {
	f := &leveled
	c := Call{Edge: 230, Run: 10, Queue: 1, Up: 50_000, Rate: 250e3, UE: 1}
	for level, want := range []float64{230, 130, 80, 54} {
		if got := f.encoded(c, level); math.Abs(got.Edge-want) > 1e-9 || float64(got.Up) != f.Levels[level].Bytes || got.Run != c.Run {
			t.Errorf("level %d: %+v, want %v ms", level, got, want)
		}
	}
	if got := f.finest(c); got != 2 {
		t.Errorf("the best level in time is %d, want 2", got)
	}
	c.Edge = 1000
	if got := f.finest(c); got != 3 {
		t.Errorf("no level is in time, and it is %d, want the last", got)
	}
	c.Edge = 0
	if got := f.encoded(c, 3); got.Edge != 0 {
		t.Errorf("no answer comes, and it takes %v ms", got.Edge)
	}
	c.Edge, c.Rate = 20, 1
	if got := f.encoded(c, 3); got.Edge != 11 {
		t.Errorf("it takes %v ms, of which 11 at the host", got.Edge)
	}
}

// Adaptive gives up quality, and not the deadline, while the link is narrow; and no more of it than it must.
func TestAdaptiveChoosesTheLevel(t *testing.T) {
	i := slices.IndexFunc(Synthetic(), func(t *Trace) bool { return t.Trace == "fidelity" })
	tr := Synthetic()[i]
	best, fixed, got := Optimum(tr), Always(tr, true), Run(tr, policy.Adaptive{})
	t.Logf("late: %.2f %%, at full quality %.2f %%, optimum %.2f %%; quality %.1f, optimum %.1f", 100*got.MissRate(), 100*fixed.MissRate(), 100*best.MissRate(), got.Quality, best.Quality)
	if fixed.MissRate() < 0.3 || got.MissRate() > 0.02 || got.Quality < 0.9*best.Quality || got.Quality > best.Quality+0.5 {
		t.Errorf("%.2f %% late at quality %.1f; at full quality %.2f %%; the optimum has %.1f", 100*got.MissRate(), got.Quality, 100*fixed.MissRate(), best.Quality)
	}
}

// Policies that never move are what they are.
func TestRunOfFixedPolicies(t *testing.T) {
	i := slices.IndexFunc(Synthetic(), func(t *Trace) bool { return t.Trace == "slow host" })
	tr := Synthetic()[i]
	for edge, p := range map[bool]policy.Policy{false: policy.Always(policy.OnUE), true: policy.Always(policy.OnEdge)} {
		got, want := Run(tr, p), Always(tr, edge)
		if got.Misses != want.Misses || math.Abs(got.Joules-want.Joules) > 1e-6 {
			t.Errorf("%v: %d late and %.3f J, want %d and %.3f", p, got.Misses, got.Joules, want.Misses, want.Joules)
		}
	}
}
