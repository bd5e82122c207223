package notifier_test

import (
	"context"
	"math"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/bungee-xr/bungee/handler/ue/notifier"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t testing.TB, cfg *notifier.Config) *notifier.Notifier {
	t.Helper()
	n, err := notifier.New(cfg)
	if err != nil {
		t.Fatalf("New(%+v): %v", cfg, err)
	}
	t.Cleanup(func() { n.Close() })
	return n
}

func TestSampleOfThisMachine(t *testing.T) {
	n := start(t, &notifier.Config{Interval: 10 * time.Millisecond})
	var s *notifier.Sample
	for s = range n.Watch(t.Context()) {
		if !s.Gap {
			break
		}
	}
	for m, r := range s.All() {
		t.Logf("%-18v %-14s %s%s", m, m.Format(r.Value), r.Source, r.Why)
		if r.Known() == (r.Why != "") {
			t.Errorf("%v is %+v; want a source or a reason", m, r)
		}
	}
	known := []notifier.Metric{notifier.ProcessTime, notifier.ProcessCPU, notifier.Cores}
	if runtime.GOOS == "linux" {
		known = append(known, notifier.MemoryTotal, notifier.MemoryAvailable, notifier.Resident, notifier.LoopUp, notifier.BytesUp)
	}
	for _, m := range known {
		if !s.Get(m).Known() {
			t.Errorf("%v is not known: %s", m, s.Get(m).Why)
		}
	}
	total, _ := s.Value(notifier.MemoryTotal)
	available, _ := s.Value(notifier.MemoryAvailable)
	if available > total {
		t.Errorf("%v bytes of %v are available", available, total)
	}
}

func TestUsedGrowsWithWork(t *testing.T) {
	before, ok := notifier.Used()
	if !ok {
		t.Skipf("%s does not tell it; GOOS=linux go test ./handler/ue/notifier", runtime.GOOS)
	}
	for used := before; used < before+20*time.Millisecond; used, _ = notifier.Used() {
		for i := range 1 << 16 {
			_ = i * i
		}
	}
}

// counted is a source that counts its reads.
type counted struct {
	reads  int
	closed int
}

func (c *counted) Read(r *notifier.Round) {
	c.reads++
	r.Tell(notifier.Temperature, 40+float64(c.reads%10), "counted")
	r.Tell(notifier.Energy, r.Since.Seconds(), "since")
}

func (c *counted) Close() error { c.closed++; return nil }

func TestSamplesHaveAnInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &counted{}
		n := start(t, &notifier.Config{Sources: []notifier.Source{c}})
		begin := time.Now()
		i := 0
		for s := range n.Watch(t.Context()) {
			want := time.Duration(i) * 250 * time.Millisecond
			since, _ := s.Value(notifier.Energy)
			if got := s.At.Sub(begin); got != want || s.Gap != (i == 0) || i > 0 && math.Abs(since-0.25) > 1e-9 {
				t.Errorf("sample %d came after %v, gap %v, %v s after the one before; want %v", i, got, s.Gap, since, want)
			}
			if s != n.Sample() {
				t.Errorf("the newest sample is another one")
			}
			if i++; i == 5 {
				break
			}
		}
		n.Close()
		n.Close()
		if c.reads != 5 || c.closed != 1 {
			t.Errorf("the source was read %d times and closed %d times; want 5 and 1", c.reads, c.closed)
		}
	})
}

func TestWatchEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := start(t, &notifier.Config{Sources: []notifier.Source{&counted{}}})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan string, 2) // each watch says once why
		watch := func(ctx context.Context, why string) {
			for range n.Watch(ctx) {
			}
			ended <- why
		}
		go watch(ctx, "its context ended")
		go watch(t.Context(), "the notifier was closed")
		synctest.Wait()
		cancel()
		synctest.Wait()
		if got := len(ended); got != 1 || <-ended != "its context ended" {
			t.Errorf("%d watches ended with one context; want 1", got)
		}
		n.Close()
		synctest.Wait()
		if len(ended) != 1 {
			t.Error("the other watch goes on after Close")
		}
	})
}

func TestConfigIsChecked(t *testing.T) {
	for cfg, says := range map[*notifier.Config]string{
		{Interval: time.Nanosecond}:                                       "10ms or more",
		{Interval: -time.Second}:                                          "10ms or more",
		{Sources: []notifier.Source{nil}}:                                 "source 0 is nil",
		{Interval: 10*time.Millisecond - 1, Sources: []notifier.Source{}}: "10ms or more",
	} {
		if _, err := notifier.New(cfg); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("New(%+v): %v; want an error with %q", cfg, err, says)
		}
	}
	start(t, &notifier.Config{Sources: []notifier.Source{}}) // no source: nothing is known
}

// What a handler hands in shows with its age, until it is old.
func TestFeel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := start(t, &notifier.Config{Sources: []notifier.Source{}})
		if r := n.Sample().Get(notifier.RTT); r.Known() || r.Why != "no edge host is in use" {
			t.Errorf("at first the round-trip time is %+v", r)
		}
		n.Feel(notifier.Path{Host: "edge", RTT: 20 * time.Millisecond, RateUp: 5e6, RateDown: math.Inf(1)})
		<-time.After(time.Second)
		synctest.Wait()
		s := n.Sample()
		if r := s.Get(notifier.RTT); r.Value != 0.02 || r.Source != "path to edge" || r.Age != time.Second {
			t.Errorf("the round-trip time is %+v; want 0.02 s of \"path to edge\", 1s old", r)
		}
		if r := s.Get(notifier.Loss); !r.Known() || r.Value != 0 {
			t.Errorf("the loss is %+v; want 0", r)
		}
		if s.Get(notifier.Jitter).Known() || !strings.Contains(s.Get(notifier.RateDown).Why, "infinity") {
			t.Errorf("jitter is %+v, rate down %+v; want them unknown", s.Get(notifier.Jitter), s.Get(notifier.RateDown))
		}
		<-time.After(10 * time.Second)
		synctest.Wait()
		if r := n.Sample().Get(notifier.RTT); r.Known() || !strings.Contains(r.Why, "no news of the path to edge") {
			t.Errorf("after 11 s the round-trip time is %+v; want it unknown", r)
		}
		n.Close()
	})
}

func TestMetricsHaveNamesAndUnits(t *testing.T) {
	names := map[string]bool{}
	for m := range notifier.Metrics {
		name := m.String()
		if name == "" || names[name] {
			t.Errorf("metric %d is called %q", m, name)
		}
		names[name] = true
	}
	for _, tt := range []struct {
		m    notifier.Metric
		v    float64
		want string
	}{
		{notifier.Temperature, 57.46, "57.5 °C"},
		{notifier.SystemCPU, 0.256, "25.6 %"},
		{notifier.MemoryTotal, 1.5e9, "1.5 GB"},
		{notifier.Frequency, 1.8e9, "1.8 GHz"},
		{notifier.RTT, 0.0123, "12.3ms"},
		{notifier.LinkKind, float64(notifier.WiFi), "wifi"},
		{notifier.Charging, 1, "yes"},
		{notifier.BatteryRate, -12.5, "-12.5 %/h"},
		{200, 1, "1"},
	} {
		if got := tt.m.Format(tt.v); got != tt.want {
			t.Errorf("%v of %v is %q; want %q", tt.v, tt.m, got, tt.want)
		}
	}
}

// Asking costs an application nothing, so that it can ask at each call.
func TestSampleAllocatesNothing(t *testing.T) {
	n := start(t, &notifier.Config{Sources: []notifier.Source{&counted{}}, Interval: time.Hour})
	got := testing.AllocsPerRun(1000, func() {
		if v, ok := n.Sample().Value(notifier.Temperature); !ok || v == 0 {
			t.Fatal("no temperature")
		}
	})
	if got != 0 {
		t.Errorf("a sample makes %v allocations; want 0", got)
	}
}

func BenchmarkSample(b *testing.B) {
	n := start(b, nil)
	b.ReportAllocs()
	for b.Loop() {
		n.Sample().Value(notifier.Temperature)
	}
}

// A device without the folder of a System has nothing to tell but what the process knows of itself.
func TestMissingRoot(t *testing.T) {
	root := filepath.Join(t.TempDir(), "missing")
	n := start(t, &notifier.Config{Sources: []notifier.Source{notifier.NewSystem(&notifier.SystemConfig{Root: root})}})
	for m, r := range n.Sample().All() {
		if !r.Known() && r.Why == "" {
			t.Errorf("%v is unknown for no reason", m)
		}
	}
}
