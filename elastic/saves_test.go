package elastic

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// What each event makes of checkpoints in each phase: the phase that follows. The last
// checkpoint is of message 10, the one that is coming of 20, and 15 messages are delivered.
func TestSavesInEveryPhase(t *testing.T) {
	now := time.Unix(1000, 0)
	events := map[string]func(s *saves){
		"begin":               func(s *saves) { s.begin() },
		"came, answered":      func(s *saves) { s.came(checkpoint{seq: 15}, 15, 15) },
		"came, under way":     func(s *saves) { s.came(checkpoint{seq: 20}, 20, 15) },
		"failed":              func(s *saves) { s.failed(errors.New("no"), now) },
		"delivered, not yet":  func(s *saves) { s.cover(19) },
		"delivered":           func(s *saves) { s.cover(20) },
		"rested, not yet":     func(s *saves) { s.rested(now) },
		"rested":              func(s *saves) { s.rested(now.Add(time.Minute)) },
		"the owner is lost":   func(s *saves) { s.forget() },
		"another is the next": func(s *saves) { s.reset(checkpoint{seq: 17}, 17) },
	}
	tests := []struct {
		event string
		want  [4]savePhase // from idle, taking, covering, resting
	}{
		{"begin", [4]savePhase{taking, taking, taking, taking}},
		{"came, answered", [4]savePhase{idle, idle, idle, idle}},
		{"came, under way", [4]savePhase{covering, covering, covering, covering}},
		{"failed", [4]savePhase{resting, resting, resting, resting}},
		{"delivered, not yet", [4]savePhase{idle, taking, covering, resting}},
		{"delivered", [4]savePhase{idle, taking, idle, resting}},
		{"rested, not yet", [4]savePhase{idle, taking, covering, resting}},
		{"rested", [4]savePhase{idle, taking, covering, idle}},
		{"the owner is lost", [4]savePhase{idle, idle, idle, idle}},
		{"another is the next", [4]savePhase{idle, idle, idle, idle}},
	}
	for _, tt := range tests {
		for from, want := range tt.want {
			s := saves{phase: savePhase(from), last: checkpoint{seq: 10}, coming: checkpoint{seq: 20}, until: now.Add(time.Second)}
			events[tt.event](&s)
			if s.phase != want {
				t.Errorf("%s in phase %d: phase %d, want %d", tt.event, from, s.phase, want)
			}
		}
	}
	if len(tests) != len(events) {
		t.Errorf("the table has %d events of %d", len(tests), len(events))
	}
}

func TestWhenACheckpointIsDue(t *testing.T) {
	tests := []struct {
		why       string
		phase     savePhase
		delivered uint64
		full      bool
		want      need
	}{
		{"nothing has happened since the last one", idle, 100, true, notNow},
		{"something has", idle, 101, false, inTime},
		{"enough has", idle, 110, false, atOnce},
		{"something has, and the log is half full", idle, 101, true, atOnce},
		{"one is being taken", taking, 200, true, notNow},
		{"one does not count yet, nor would the next", covering, 200, true, notNow},
		{"the last attempt has failed", resting, 200, true, inTime},
	}
	for _, tt := range tests {
		s := saves{phase: tt.phase, upTo: 100}
		if got := s.due(tt.delivered, 10, tt.full); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.why, got, tt.want)
		}
	}
}

// Whatever happens, a checkpoint counts only when its outcomes are delivered, the last one
// is never given up for an older one, and another one can be taken some time.
func TestSavesWalk(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 2))
		var s saves
		now := time.Unix(0, 0)
		sent, delivered := uint64(0), uint64(0)
		for range 200 {
			before := s.last.seq
			now = now.Add(time.Duration(r.IntN(1000)) * time.Millisecond)
			switch r.IntN(7) {
			case 0:
				sent += uint64(r.IntN(5))
			case 1:
				delivered += uint64(r.IntN(int(sent-delivered) + 1))
				s.cover(delivered)
			case 2:
				if s.due(delivered, 1, false) == atOnce {
					s.begin()
				}
			case 3:
				if s.phase == taking {
					at := s.last.seq + uint64(r.IntN(int(sent-s.last.seq)+1))
					s.came(checkpoint{seq: at}, at, delivered)
				}
			case 4:
				if s.phase == taking {
					s.failed(errors.New("no"), now)
				}
			case 5:
				s.rested(now)
			case 6:
				if r.IntN(10) == 0 {
					s.forget()
				}
			}
			if s.last.seq > delivered || s.last.seq < before {
				t.Fatalf("seed %d: the checkpoint of message %d counts, after that of %d, with %d delivered: %+v", seed, s.last.seq, before, delivered, s)
			}
			if (s.phase == covering) != (s.coming.seq > 0) {
				t.Fatalf("seed %d: in phase %d the checkpoint of message %d is coming", seed, s.phase, s.coming.seq)
			}
		}
		delivered = sent
		s.cover(delivered)
		s.rested(now.Add(time.Hour))
		if s.phase == taking {
			s.came(checkpoint{seq: delivered}, delivered, delivered)
		}
		if s.phase != idle {
			t.Fatalf("seed %d: there is no way out of phase %d", seed, s.phase)
		}
	}
}

func TestBackOffGrows(t *testing.T) {
	want := []time.Duration{100 * time.Millisecond, 200 * time.Millisecond, 400 * time.Millisecond}
	for i, d := range want {
		if got := backOff(i + 1); got != d {
			t.Errorf("after %d failures: %v, want %v", i+1, got, d)
		}
	}
	for _, n := range []int{10, 100, 1 << 40} {
		if got := backOff(n); got != 30*time.Second {
			t.Errorf("after %d failures: %v, want 30s", n, got)
		}
	}
}

func TestRests(t *testing.T) {
	var r rests
	a, b := place("a"), place("b")
	now := time.Unix(1000, 0)
	r.failed(a, now)
	r.failed(a, now)
	for _, tt := range []struct {
		at    place
		after time.Duration
		want  bool
	}{{a, 0, false}, {a, 199 * time.Millisecond, false}, {a, 200 * time.Millisecond, true}, {b, 0, true}} {
		if got := r.over(tt.at, now.Add(tt.after)); got != tt.want {
			t.Errorf("%s %v after its second failure: may be tried: %t, want %t", tt.at, tt.after, got, tt.want)
		}
	}
	r.failed(b, now)
	r.served(b)
	if r.over(a, now) || !r.over(b, now) {
		t.Error("b served, and a is forgotten")
	}
	r.served(a)
	r.failed(a, now)
	if !r.over(a, now.Add(100*time.Millisecond)) {
		t.Error("after it served, its failures before still count")
	}
}

// Checkpoints are hopeless when the state was too large for 3 s, until one comes or another far endpoint is the owner.
func TestWhenCheckpointsAreHopeless(t *testing.T) {
	large, other := &wire.Fail{Code: offload.CodeTooLarge}, &wire.Fail{Code: offload.CodeOverloaded}
	tests := []struct {
		why   string
		fails int
		err   error
		then  func(s *saves)
		want  bool
	}{
		{"it has failed for 3.1s", 6, large, func(*saves) {}, true},
		{"it has failed for 1.5s", 5, large, func(*saves) {}, false},
		{"the state is not too large", 6, other, func(*saves) {}, false},
		{"one came", 6, large, func(s *saves) { s.came(checkpoint{seq: 1}, 1, 1) }, false},
		{"the owner is lost", 6, large, (*saves).forget, false},
	}
	for _, tt := range tests {
		var s saves
		for range tt.fails {
			s.failed(tt.err, time.Unix(0, 0))
		}
		if tt.then(&s); s.hopeless() != tt.want {
			t.Errorf("%s: hopeless: %t, want %t", tt.why, s.hopeless(), tt.want)
		}
		if rest := s.failed(tt.err, time.Unix(0, 0)); s.fails == 1 && rest != 100*time.Millisecond {
			t.Errorf("%s: the first failure after it rests %v, want 100ms", tt.why, rest)
		}
	}
}
