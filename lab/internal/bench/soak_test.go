package bench

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Whatever happens to the hosts, which are processes with the Wasm guest, and to the
// channel: each message is answered once and in its turn, each second is written down, and
// the curves are drawn.
func TestSoak(t *testing.T) {
	s := quick(t)
	var told int
	s.Progress = func(string, int, int) { told++ }
	k := Soak{
		Setup: *s, Daemon: s.Edge, Duration: 6 * time.Second, Messages: 500, Rate: 300, Out: t.TempDir(),
		MoveEvery: 200 * time.Millisecond, KillEvery: time.Second,
		With: []string{"move", "kill", "stop", "drain", "certs", "load"},
	}
	figures, err := k.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]Figure{}
	for _, f := range figures {
		found[f.Case+"/"+f.Metric] = f
		switch f.Metric {
		case "completed", "lost", "doubled", "wrong_state", "failed", "results_of_a_stranger":
			if !f.OK {
				t.Errorf("%+v", f)
			}
		}
	}
	if f := found["1KB/results_of_hosts"]; f.Value < 500 || f.N < 500 {
		t.Errorf("hosts answered %g of %d messages of 1 KB, want 500", f.Value, f.N)
	}
	for _, name := range []string{"1KB/move_made", "100KB beside busy loops/throughput", "1KB/ue_goroutines_growth"} {
		if _, ok := found[name]; !ok {
			t.Errorf("no figure %s", name)
		}
	}
	for name, begin := range map[string]string{"soak.png": "\x89PNG", "soak.jsonl": `{"chapter":"1KB"`, "channel.log": "time="} {
		if b, err := os.ReadFile(filepath.Join(k.Out, name)); err != nil || !bytes.HasPrefix(b, []byte(begin)) {
			t.Errorf("%s: %v, begins with %.20q; want %q", name, err, b, begin)
		}
	}
	if lines, err := os.ReadFile(filepath.Join(k.Out, "soak.jsonl")); err != nil || bytes.Count(lines, []byte("\n")) != told {
		t.Errorf("%d seconds are written down, %v; want %d", bytes.Count(lines, []byte("\n")), err, told)
	}
}

// A window has the gap that was under way when it was opened, and the one that is when it
// is closed. A second without a window is calm.
func TestGauge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const ms = time.Millisecond
		g := newGauge(nil, nil)
		pass := func(d time.Duration) { time.Sleep(d); g.delivered(delivery{age: d}) }
		pass(10 * ms)
		if s := g.take(); s.Messages != 1 || s.Gap != 10 || s.Lateness != 10 {
			t.Errorf("%+v; want one message after 10 ms", s)
		}
		time.Sleep(30 * ms)
		w := g.watch()
		pass(5 * ms)
		if got := g.unwatch(w); got != 35*ms {
			t.Errorf("a window over the end of a gap of 35 ms has %v", got)
		}
		w = g.watch()
		pass(ms)
		time.Sleep(20 * ms)
		if s := g.take(); s.Gap != 35 {
			t.Errorf("%+v; want a gap of 35 ms", s)
		}
		if got := g.unwatch(w); got != 20*ms {
			t.Errorf("a window that ends in a gap has %v, want the 20 ms so far", got)
		}
		g.take() // the window was open in it
		pass(3 * ms)
		g.take()
		if len(g.calm) != 2 || g.calm[0] != 10*ms || g.calm[1] != 23*ms {
			t.Errorf("calm seconds: %v; want one with a gap of 10 ms and one of 23 ms", g.calm)
		}
	})
}

func TestGrowth(t *testing.T) {
	seconds := func(of ...float64) (all []second) {
		for _, v := range of {
			all = append(all, second{UE: usage{RSS: v}})
		}
		return all
	}
	ue := func(s second) []usage { return []usage{s.UE} }
	rss := resources[0]
	tests := []struct {
		why     string
		seconds []second
		value   float64
		ok      bool
	}{
		{"flat", seconds(100, 100, 300, 300, 101, 101), 1.01, true},
		{"it doubles", seconds(100, 100, 100, 100, 200, 200), 2, false},
		{"it doubles, which is little", seconds(4, 4, 4, 8, 8, 8), 2, true},
		{"what is not known is left out", seconds(100, 0, 0, 0, 0, 100), 1, true},
	}
	for _, tt := range tests {
		f, known := growth(tt.seconds, ue, rss)
		if !known || f.Value != tt.value || f.OK != tt.ok {
			t.Errorf("%s: %+v; want %g, met %v", tt.why, f, tt.value, tt.ok)
		}
	}
	if f, known := growth(seconds(0, 0, 0), ue, rss); known {
		t.Errorf("nothing is known, and the figure is %+v", f)
	}
}

// A host may be left for a fault, and a short time after it.
func TestPatientAils(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &patient{}
		if p.ails(time.Now()) {
			t.Error("a host without a fault ails")
		}
		p.ail(func() error {
			if !p.ails(time.Now()) {
				t.Error("a host with a fault does not ail")
			}
			return nil
		})
		time.Sleep(aftermath / 2)
		if !p.ails(time.Now()) {
			t.Error("a host does not ail a short time after its fault")
		}
		time.Sleep(aftermath)
		if p.ails(time.Now()) {
			t.Error("a host ails a long time after its fault")
		}
	})
}

// Without a network of its own a soak says how it can be had.
func TestNoNetwork(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if _, err := newNetwork(1); err == nil || !strings.Contains(err.Error(), "--with net") {
		t.Errorf("without ip: %v; want the command that does it", err)
	}
	var none *network
	cmd := quick(t).Edge(Host{})
	if none.inside(0, cmd) != cmd || none.up() != nil || none.end() != nil {
		t.Error("the loopback is not as it is")
	}
}
