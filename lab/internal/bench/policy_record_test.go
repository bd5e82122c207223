package bench

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bungee-xr/bungee/handler/ue/policy"
	"github.com/bungee-xr/bungee/lab/internal/bench/marked"
	"github.com/bungee-xr/bungee/lab/internal/replay"
)

func TestBlurIsTheFunctionAfterThoseOfMarked(t *testing.T) {
	if n := len(marked.Functions()); n != blurIndex {
		t.Errorf("blur is function %d of native hosts, which have %d before it", blurIndex, n)
	}
}

// Whatever the machine is at: a recording has calls that an edge host in another process answered, in the order of time, with their
// parts, and can be replayed. recordCall compares the host's result with the UE's.
func TestPolicyRecord(t *testing.T) {
	dir := t.TempDir()
	if err := (Policy{Setup: *quick(t)}).Record(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	traces, err := readTraces(dir)
	if err != nil || len(traces) != len(recordings) {
		t.Fatalf("%d traces, %v; want %d", len(traces), err, len(recordings))
	}
	for _, tr := range traces {
		answered := 0
		for _, c := range tr.Calls {
			if c.Edge == 0 {
				continue
			}
			answered++
			if c.Up < blurWide*blurHigh || c.Run <= 0 || c.Edge < c.Run {
				t.Errorf("%s: a call without its parts: %+v", tr.Trace, c)
			}
		}
		if answered == 0 {
			t.Errorf("%s: the edge host answered none of %d calls", tr.Trace, len(tr.Calls))
		}
		if s := replay.Run(tr, policy.Adaptive{}); s.Calls != len(tr.Calls) {
			t.Errorf("%s: %d of %d calls were replayed", tr.Trace, s.Calls, len(tr.Calls))
		}
	}
}

// A host that is made slow is left running: the last signal that it has is to go on, whenever the spell ends.
func TestSlowEndsWithThaw(t *testing.T) {
	const still = 40 * time.Millisecond
	for _, after := range []time.Duration{0, time.Millisecond, still, still + time.Millisecond, 130 * time.Millisecond, time.Second} {
		synctest.Test(t, func(t *testing.T) {
			var signals []string
			signal := func(name string) func() error {
				return func() error { signals = append(signals, name); return nil }
			}
			end := slow(signal("stop"), signal("go"), still)
			time.Sleep(after)
			if err := end(); err != nil {
				t.Fatal(err)
			}
			for i, s := range signals {
				if s != []string{"stop", "go"}[i%2] {
					t.Fatalf("after %v: %v", after, signals)
				}
			}
			if n, most := len(signals)/2, int(after/slowPeriod)+2; len(signals)%2 != 0 || n == 0 || n > most {
				t.Errorf("after %v: %v", after, signals)
			}
		})
	}
}

func TestSlowReportsWhatCannotBeStopped(t *testing.T) {
	bad := errors.New("no such process")
	woken := false
	end := slow(func() error { return bad }, func() error { woken = true; return nil }, time.Millisecond)
	if err := end(); !errors.Is(err, bad) || !woken {
		t.Errorf("%v, woken: %v", err, woken)
	}
}

// A link that becomes another one delays by its new delay.
func TestRelayBecomes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRelay(weather{delay: time.Millisecond})
		var took []time.Duration
		send := func() {
			begin := time.Now()
			r.up.send(nil, func([]byte) { took = append(took, time.Since(begin)) })
			time.Sleep(time.Second)
		}
		send()
		r.become(weather{delay: 7 * time.Millisecond})
		send()
		r.up.end()
		r.down.end()
		if want := []time.Duration{time.Millisecond, 7 * time.Millisecond}; !slices.Equal(took, want) {
			t.Errorf("took %v, want %v", took, want)
		}
	})
}
