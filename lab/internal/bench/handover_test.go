package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/bungee-xr/bungee/elastic"
)

// asHost makes the test's program an edge host: certificates, address, name, cache and profile in
// the environment's variable of this name.
const asHost = "BUNGEE_BENCH_HOST"

func TestMain(m *testing.M) {
	if conf := os.Getenv(asChild); conf != "" {
		if err := runChild(conf); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if conf := os.Getenv(asHost); conf != "" {
		if err := serveAs(conf); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if conf := os.Getenv(asProcess); conf != "" {
		if err := playRole(conf); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// serveAs is the process of an edge host, until its standard input or SIGTERM ends it. A
// process that cannot be one must end: it would run the tests, and start hosts itself.
func serveAs(conf string) error {
	var h Host
	if err := json.Unmarshal([]byte(conf), &h); err != nil {
		return err
	}
	return h.Run(untilParent(), testEngine, os.Stdout)
}

// untilParent returns a context that ends with SIGTERM, and with the parent.
func untilParent() context.Context {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	go func() {
		os.Stdin.Read(make([]byte, 1))
		cancel()
	}()
	return ctx
}

// quick is a setup whose edge hosts are processes of the test's program.
func quick(t *testing.T) *Setup {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return &Setup{Quick: true, Yardstick: "../../../bin/yardstick", Edge: func(h Host) *exec.Cmd {
		cmd := exec.Command(self)
		conf, err := json.Marshal(h)
		if err != nil {
			panic(err) // a Host is text and bools
		}
		cmd.Env = append(os.Environ(), asHost+"="+string(conf))
		return cmd
	}}
}

func testRig(t *testing.T, s *Setup) *rig {
	t.Helper()
	r, err := s.rig(t.Context(), "edge-a", "edge-b")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.end(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func TestOrdeals(t *testing.T) {
	r := testRig(t, quick(t))
	standby := elastic.Config{Standby: []elastic.Target{r.target(1)}, Deadline: 100 * time.Millisecond}
	tests := []struct {
		name string
		ordeal
	}{
		{"planned", ordeal{rate: 200, in: small, pause: 50 * time.Millisecond, events: 4, event: r.planned}},
		{"large state", ordeal{rate: 100, in: small, pad: 1 << 20, pause: 50 * time.Millisecond, events: 2, event: r.planned}},
		{"killed", ordeal{rate: 200, in: small, conf: standby, pause: 200 * time.Millisecond, events: 2, event: r.killed, harm: true}},
		{"silent", ordeal{rate: 200, in: small, conf: standby, pause: 200 * time.Millisecond, events: 2, event: r.silenced, harm: true}},
		{"another path", ordeal{rate: 50, in: frame, pause: 100 * time.Millisecond, events: 3, event: r.repathed}},
	}
	var drawn []*outcome
	for _, tt := range tests {
		got, err := tt.run(t.Context(), r, tt.name)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		drawn = append(drawn, got)
		if len(got.marks) != tt.events || len(got.delivered) != int(got.check.last) {
			t.Errorf("%s: %d events and %d results of %d messages; want %d events", tt.name, len(got.marks), len(got.delivered), got.check.last, tt.events)
		}
		for _, f := range append(got.counts(), got.gap(0.5)) {
			late := f.Metric == "healthy_hosts_left" // by a deadline: a matter of the machine
			if f.Value < 0 || f.Target != nil && !f.OK && !late {
				t.Errorf("%+v", f)
			}
		}
	}
	dir := t.TempDir()
	if err := drawGaps(dir, drawn); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "handover.png")); err != nil || !bytes.HasPrefix(b, []byte("\x89PNG")) {
		t.Errorf("the picture is no PNG: %v", err)
	}
}

// Hosts that run Wasm are killed while the guest works; each gap has its explanation.
func TestWasmOrdeal(t *testing.T) {
	w := &wasmRig{setup: quick(t)}
	defer func() {
		if err := w.end(); err != nil {
			t.Error(err)
		}
	}()
	o := ordeal{rate: 50, in: small, work: time.Millisecond, pause: 200 * time.Millisecond, events: 1, harm: true}
	var seen []*outcome
	figures, err := w.trial(o, (*outcome).overWork, &seen)(t.Context(), "killed")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range figures {
		switch f.Metric {
		case "gap_over_detection_and_work_p99":
			if f.N != 1 || f.Value <= 0 {
				t.Errorf("%+v; want the explanation of one gap", f)
			}
		case "lost", "doubled", "wrong_state", "failed":
			if !f.OK {
				t.Errorf("%+v", f)
			}
		}
	}
	if len(seen) != 1 {
		t.Errorf("%d outcomes to be drawn, want 1", len(seen))
	}
}

// Of two kills the first one's gap is what detection and work explain, and the second one's
// is twice that.
func TestOverWork(t *testing.T) {
	const ms = time.Millisecond
	begin := time.Now()
	o := &outcome{
		ordeal: ordeal{work: 5 * ms, harm: true}, start: begin,
		marks:     []mark{{100 * ms, 120 * ms}, {500 * ms, 520 * ms}},
		spans:     []mark{{100 * ms, 200 * ms}, {500 * ms, 600 * ms}},
		delivered: deliveries(90, 100, 116, 126, 136, 146, 490, 500, 520, 530, 540, 550),
		fallbacks: []fallback{{at: begin.Add(104 * ms), replayed: 2}, {at: begin.Add(504 * ms), replayed: 1}},
	}
	f := o.overWork()[0]
	if f.N != 2 || f.Value != 2 || f.OK {
		t.Errorf("%+v; want twice what explains it, missed", f)
	}
	if f := o.healthyLeft(); f.Value != 0 || !f.OK {
		t.Errorf("%+v; both hosts that were left had a fault", f)
	}
	o.fallbacks = append(o.fallbacks, fallback{from: "edge-b", at: begin.Add(300 * ms), why: context.DeadlineExceeded})
	if f := o.healthyLeft(); f.Value != 1 || f.OK || f.Note == "" {
		t.Errorf("%+v; want one host, and why it was left", f)
	}
}

// A gap is compared with the calm before it. One that nobody sees is met, however calm it
// was.
func TestOverCalm(t *testing.T) {
	const ms = time.Millisecond
	marks := []mark{{0, 0}, {100 * ms, 105 * ms}}
	o := &outcome{marks: marks, delivered: deliveries(0, 40, 50, 60, 70, 80, 90, 100, 130)}
	if f := o.overCalm(); f.N != 1 || f.Value != 3 || f.OK {
		t.Errorf("%+v; want a gap of 30 ms over one of 10 ms, missed", f)
	}
	o.delivered = nil
	for at := 50 * ms; at < 150*ms; at += ms / 2 {
		if at <= 100*ms || at >= 102*ms {
			o.delivered = append(o.delivered, delivery{at: at})
		}
	}
	if f := o.overCalm(); f.Value != 4 || !f.OK {
		t.Errorf("%+v; want a gap of 2 ms over one of 0.5 ms, met", f)
	}
}

// Whatever the time they take: messages of each kind come back, as they should.
func TestContests(t *testing.T) {
	s := quick(t)
	r := testRig(t, s)
	c := Channel{Setup: *s}
	for name, b := range map[string]batch{
		"one in flight":   {Requests: 60, In: small, Out: small},
		"many in flight":  {Requests: 60, In: frame, Out: frame, InFlight: 16},
		"paced":           {Requests: 60, In: frame, Out: small, Rate: 500},
		"paced, and many": {Requests: 60, In: small, Out: small, Rate: 500, InFlight: 4},
	} {
		k, err := r.contest(t.Context(), name, b)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if f := k.figure("p50", "ms", p50); f.N != 60 || f.Value <= 0 || (f.Beside == nil) != (r.yard == nil) {
			t.Errorf("%s: %+v; want 60 measurements", name, f)
		}
	}
	if r.yard == nil {
		t.Log(`without yardsticks: "make yardstick" builds them`)
	}
	v := video{weather: weather{delay: time.Millisecond, loss: 0.01}, size: 20 << 10, rate: 60, stripes: 2}
	m, _, err := v.play(t.Context(), r, 12)
	if err != nil || m.asked < 1 { // 12, if the machine is quick enough
		t.Errorf("video: %d frames asked for, %v; want some", m.asked, err)
	}
	if figures, err := c.local(t.Context(), "local"); err != nil || len(figures) == 0 {
		t.Errorf("local: %d figures, %v", len(figures), err)
	}
}

func TestMissingYardstick(t *testing.T) {
	k := contest{name: "c", ours: sides(1)}
	full, short := &Setup{}, &Setup{Quick: true}
	if f := k.figure("p50", "ms", p50); f.Beside != nil || f.Note != notBuilt {
		t.Errorf("%+v; want nothing beside, and a note", f)
	}
	f := k.overGRPC("p50", "ms", p50)
	if f := full.aim(f, "<=", 1); len(Missed([]Figure{f})) != 1 || f.Note != notBuilt {
		t.Errorf("%+v; a target that could not be checked is missed", f)
	}
	if f := short.aim(f, "<=", 1); len(Missed([]Figure{f})) != 0 {
		t.Errorf("%+v; a quick run does not need the yardstick", f)
	}
}

func TestPlay(t *testing.T) {
	good := func(_ context.Context, name string) ([]Figure, error) { return []Figure{{Case: name}}, nil }
	bad := func(context.Context, string) ([]Figure, error) { return nil, context.DeadlineExceeded }
	scenes := func() []scene { return []scene{{"one", good}, {"two", bad}} }
	figures, err := (&Setup{}).play(t.Context(), "b", scenes())
	if err != nil || len(figures) != 2 || !figures[0].OK || figures[0].Bench != "b" || len(Missed(figures)) != 1 {
		t.Errorf("%+v, %v; want a figure, and one that says that a case failed", figures, err)
	}
	figures, err = (&Setup{Only: "on"}).play(t.Context(), "b", scenes())
	if err != nil || len(figures) != 1 {
		t.Errorf("%+v, %v; want the first case only", figures, err)
	}
	if _, err := (&Setup{Only: "three"}).play(t.Context(), "b", scenes()); err == nil {
		t.Error("a case that there is not gave no error")
	}
}
