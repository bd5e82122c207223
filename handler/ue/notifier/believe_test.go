package notifier

import (
	"math"
	"strings"
	"testing"
	"time"
)

// A board is a source whose sensors tests set. A sensor that is not in the map tells nothing.
type board struct {
	metric  Metric
	sensors map[string]float64
	load    float64 // below 0: not known
}

func (b *board) Read(r *Round) {
	for name, v := range b.sensors {
		r.Tell(b.metric, v, name)
	}
	if b.load >= 0 {
		r.Tell(SystemCPU, b.load, "test")
	}
}

// A rig makes samples of sources when it is told to, without a goroutine.
type rig struct {
	n    *Notifier
	at   time.Time
	last *Sample
	rest time.Duration // that the device slept
}

func newRig(sources ...Source) *rig {
	g := &rig{at: time.Now()}
	g.n = &Notifier{every: usual, sensors: newSensors(), sources: sources, slept: func() time.Duration { return g.rest }}
	return g
}

// after returns the sample that is made so much later.
func (g *rig) after(d time.Duration) *Sample {
	g.at = g.at.Add(d)
	g.last = g.n.sample(g.at, g.last)
	return g.last
}

// during makes samples at the usual interval for so long, and returns the last.
func (g *rig) during(d time.Duration) (s *Sample) {
	for ; d > 0; d -= usual {
		s = g.after(usual)
	}
	return s
}

func wantValue(t *testing.T, s *Sample, m Metric, v float64, source string) {
	t.Helper()
	r := s.Get(m)
	if !r.Known() || math.Abs(r.Value-v) > 1e-9 || r.Source != source {
		t.Errorf("%v is %s of %q (why unknown: %q); want %s of %q", m, m.Format(r.Value), r.Source, r.Why, m.Format(v), source)
	}
}

func wantUnknown(t *testing.T, s *Sample, m Metric, why string) {
	t.Helper()
	if r := s.Get(m); r.Known() || !strings.Contains(r.Why, why) {
		t.Errorf("%v is %s of %q, why unknown: %q; want it unknown because of %q", m, m.Format(r.Value), r.Source, r.Why, why)
	}
}

func TestValuesThatCannotBe(t *testing.T) {
	tests := []struct {
		why  string
		m    Metric
		v    float64
		says string
	}{
		{"what a driver without its chip may read", Temperature, math.NaN(), "reads no number"},
		{"a division by nothing", Temperature, math.Inf(1), "reads infinity"},
		{"a core that is asleep", Temperature, -127, "which cannot be"},
		{"an input that is not wired", Temperature, 0, "which cannot be"},
		{"an 8-bit sensor that is off", Temperature, 255, "which cannot be"},
		{"a battery's gauge before it is set", Battery, 101, "which cannot be"},
		{"more than all", SystemCPU, 1.5, "which cannot be"},
		{"a counter that ran back", BytesUp, -1, "which cannot be"},
	}
	for _, tt := range tests {
		b := &board{metric: tt.m, sensors: map[string]float64{"s": tt.v}, load: -1}
		g := newRig(b)
		g.after(0)
		wantUnknown(t, g.after(usual), tt.m, tt.says)
		if t.Failed() {
			t.Fatal(tt.why)
		}
	}
}

func TestSensorThatVanishes(t *testing.T) {
	b := &board{metric: Temperature, sensors: map[string]float64{"die": 50}}
	g := newRig(b)
	wantValue(t, g.during(time.Second), Temperature, 50, "die")
	clear(b.sensors)
	wantUnknown(t, g.after(usual), Temperature, "die is gone")
	wantUnknown(t, g.during(time.Minute), Temperature, "die is gone")
	b.sensors["die"] = 52
	wantValue(t, g.after(usual), Temperature, 52, "die")
}

// A sensor that begins to lie by 60 degrees is not believed until it stops.
func TestSensorThatJumps(t *testing.T) {
	for _, lie := range []float64{60, -60} {
		b := &board{metric: Temperature, sensors: map[string]float64{"die": 62}}
		g := newRig(b)
		g.during(time.Second)
		b.sensors["die"] += lie
		wantUnknown(t, g.after(usual), Temperature, "die has jumped by")
		for range 100 { // it follows the truth, with the lie
			b.sensors["die"] += 0.01
			g.after(usual)
		}
		wantUnknown(t, g.after(usual), Temperature, "die has jumped by")
		b.sensors["die"] -= lie
		wantValue(t, g.after(usual), Temperature, 63, "die")
	}
}

// A die that heats up as fast as any does is believed.
func TestSensorOfAFastDie(t *testing.T) {
	b := &board{metric: Temperature, sensors: map[string]float64{"die": 40}}
	g := newRig(b)
	g.during(time.Second)
	for _, v := range []float64{95, 94, 60, 45, 90} {
		b.sensors["die"] = v
		wantValue(t, g.after(usual), Temperature, v, "die")
	}
}

// A battery that is exchanged jumps, too, and is believed when the level has stayed for a minute.
func TestBatteryThatJumps(t *testing.T) {
	b := &board{metric: Battery, sensors: map[string]float64{"BAT0": 5}}
	g := newRig(b)
	g.during(time.Second)
	b.sensors["BAT0"] = 90
	wantUnknown(t, g.during(50*time.Second), Battery, "BAT0 has jumped by 85")
	wantValue(t, g.during(15*time.Second), Battery, 90, "BAT0")
	wantValue(t, g.during(time.Minute), Battery, 90, "BAT0")
}

func TestSensorThatRepeatsItself(t *testing.T) {
	const never = time.Duration(0)
	tests := []struct {
		why   string
		m     Metric
		loads []float64 // each for half a minute, over and over; below 0: not known
		after time.Duration
	}{
		{"an idle device stays as warm as it is", Temperature, []float64{0.05, 0.1}, time.Hour},
		{"no die stays the same from no load to a full one", Temperature, []float64{0, 1}, 2 * time.Minute},
		{"a skin takes longer", SkinTemperature, []float64{0, 1}, 12 * time.Minute},
		{"no load is known", Temperature, []float64{-1}, time.Hour},
		{"a full battery stays full", Battery, []float64{0, 1}, never},
	}
	for _, tt := range tests {
		t.Run(tt.why, func(t *testing.T) {
			b := &board{metric: tt.m, sensors: map[string]float64{"s": 51}}
			g := newRig(b)
			var stuck time.Duration
			for at := time.Duration(0); at < 70*time.Minute && stuck == 0; at += 30 * time.Second {
				b.load = tt.loads[int(at/(30*time.Second))%len(tt.loads)]
				if s := g.during(30 * time.Second); !s.Get(tt.m).Known() {
					wantUnknown(t, s, tt.m, "s repeats itself")
					stuck = at
				}
			}
			if stuck > tt.after || stuck < tt.after/2 {
				t.Errorf("not believed after %v; want %v", stuck, tt.after)
			}
			b.sensors["s"] = 52
			wantValue(t, g.after(usual), tt.m, 52, "s")
		})
	}
}

// The hottest sensor counts that the others do not contradict.
func TestSensorsThatDiffer(t *testing.T) {
	tests := []struct {
		why     string
		sensors map[string]float64
		want    float64
		source  string // "": unknown
	}{
		{"the hottest", map[string]float64{"a": 50, "b": 57, "c": 44}, 57, "b"},
		{"one that lies by 60 degrees among many", map[string]float64{"a": 50, "b": 117, "c": 44}, 50, "a"},
		{"one that lies down is not the hottest", map[string]float64{"a": 70, "b": 72, "c": 12}, 72, "b"},
		{"of two that differ either may lie", map[string]float64{"a": 50, "b": 110}, 0, ""},
		{"one that cannot be does not count among two", map[string]float64{"a": 50, "b": 200}, 50, "a"},
		{"a big core is hotter than the others", map[string]float64{"a": 50, "b": 51, "c": 52, "d": 95}, 95, "d"},
		{"alone it is believed", map[string]float64{"a": 110}, 110, "a"},
	}
	for _, tt := range tests {
		g := newRig(&board{metric: Temperature, sensors: tt.sensors})
		if s := g.after(0); tt.source == "" {
			wantUnknown(t, s, Temperature, "one of them lies")
		} else {
			wantValue(t, s, Temperature, tt.want, tt.source)
		}
		if t.Failed() {
			t.Fatal(tt.why)
		}
	}
}

// Names come from drivers and peripherals, and end in terminals and logs.
func TestNamesArePrintable(t *testing.T) {
	b := &board{metric: Temperature, sensors: map[string]float64{"d\x1b[2Jie\n" + strings.Repeat("x", 5000): 50}}
	got := newRig(b).after(0).Get(Temperature).Source
	if len(got) > maxName || strings.ContainsAny(got, "\x1b\n") || !strings.HasPrefix(got, "d[2Jie") {
		t.Errorf("the source is %q", got)
	}
}

// However many sensors there are, and however they are called, few are followed.
func TestSensorsAreBounded(t *testing.T) {
	b := &board{metric: Temperature, sensors: map[string]float64{}}
	g := newRig(b)
	for i := range 10 * maxSensors {
		clear(b.sensors)
		b.sensors[strings.Repeat("x", i%150)+string(rune('a'+i/150))] = 50
		g.after(usual)
	}
	if n := len(g.n.sensors.known); n > maxSensors {
		t.Errorf("%d sensors are followed; want %d at most", n, maxSensors)
	}
}

// After the device slept, nothing is averaged over the sleep, and sensors are as good as new.
func TestSleep(t *testing.T) {
	b := &board{metric: Temperature, sensors: map[string]float64{"die": 90}}
	count := 0.0
	g := newRig(b, sourceFunc(func(r *Round) {
		count++
		if r.Since > 0 {
			r.Tell(ProcessCPU, count/r.Since.Seconds(), "test")
		}
	}))
	tests := []struct {
		why         string
		sleep, wait time.Duration
		gap         bool
	}{
		{"as always", 0, usual, false},
		{"the clock stands still while it sleeps", 8 * time.Hour, usual, true},
		{"as always", 0, usual, false},
		{"the process was stopped", 0, time.Minute, true},
		{"a busy machine", 0, 2 * time.Second, false},
		{"a nap is not worth a gap", 10 * time.Millisecond, usual, false},
		{"no time", 0, 0, true},
	}
	if s := g.after(0); !s.Gap || s.Get(ProcessCPU).Known() {
		t.Errorf("the first sample: gap %v, averages %v", s.Gap, s.Get(ProcessCPU).Known())
	}
	g.after(usual)
	for _, tt := range tests {
		g.rest += tt.sleep
		if tt.sleep > time.Hour {
			b.sensors["die"] = 25
		}
		s := g.after(tt.wait)
		if s.Gap != tt.gap || s.Get(ProcessCPU).Known() == tt.gap || !s.Get(Temperature).Known() {
			t.Errorf("%s: gap %v, averages %v, temperature %+v; want gap %v", tt.why, s.Gap, s.Get(ProcessCPU).Known(), s.Get(Temperature), tt.gap)
		}
	}
}

// sourceFunc is a source that is a function.
type sourceFunc func(r *Round)

func (f sourceFunc) Read(r *Round) { f(r) }

// Time is measured by the clock that nobody sets: samples keep its reading, which subtraction then uses.
func TestTimeIsMonotonic(t *testing.T) {
	n, err := New(&Config{Sources: []Source{sourceFunc(func(r *Round) {
		if !strings.Contains(r.Now.String(), " m=") {
			t.Errorf("a round at %v has no monotonic reading", r.Now)
		}
	})}})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	if at := n.Sample().At; !strings.Contains(at.String(), " m=") {
		t.Errorf("a sample at %v has no monotonic reading", at)
	}
}

// A later source counts only where those before it told nothing.
func TestSourcesHaveAnOrder(t *testing.T) {
	first := &board{metric: Temperature, sensors: map[string]float64{"die": 50}, load: -1}
	second := &board{metric: Temperature, sensors: map[string]float64{"model": 70}, load: 0.5}
	g := newRig(first, second)
	s := g.during(time.Second)
	wantValue(t, s, Temperature, 50, "die")
	wantValue(t, s, SystemCPU, 0.5, "test")
	clear(first.sensors)
	wantValue(t, g.after(usual), Temperature, 70, "model")
}

func TestHook(t *testing.T) {
	known := true
	g := newRig(Hook(ThermalStatus, "PowerManager", func() (float64, bool) { return 2, known }))
	wantValue(t, g.after(0), ThermalStatus, 2, "PowerManager")
	known = false
	wantUnknown(t, g.after(usual), ThermalStatus, "PowerManager does not tell it")
}

func FuzzBelieve(f *testing.F) {
	f.Add([]byte{0, 1, 50, 50, 50, 110, 255, 3, 9})
	f.Fuzz(func(t *testing.T, data []byte) {
		b := &board{metric: Temperature, sensors: map[string]float64{}}
		g := newRig(b)
		for i, c := range data {
			v := float64(c)
			switch c % 17 {
			case 0:
				v = math.NaN()
			case 1:
				v = math.Inf(-1)
			}
			b.sensors[string(rune('a'+i%3))] = v
			b.load = float64(c%5) / 4
			s := g.after(time.Duration(c) * usual / 16)
			for m, r := range s.All() {
				if r.Known() && (m.refuse(r.Value) != "" || r.Age < 0) {
					t.Fatalf("%v is %+v", m, r)
				}
			}
		}
	})
}
