package ue

import (
	"math/rand/v2"
	"testing"
	"time"
)

func TestPhases(t *testing.T) {
	tests := []struct {
		name   string
		events []event
		want   phase
		why    string
	}{
		{"a fade", []event{evLate, evPong, evTime}, serving, ""},
		{"several calls were late", []event{evLate, evLate, evLate}, probing, "they were sent before the first was known to be late"},
		{"late while holding", []event{evLate, evPong, evLate}, holding, "likewise"},
		{"pong without a ping", []event{evPong}, serving, "nothing was asked"},
		{"a path that has gone bad", []event{evLate, evSilent}, turning, ""},
		{"a fresh path is good", []event{evLate, evSilent, evPong}, holding, "it was late all the same"},
		{"a channel's doubt, and silence", []event{evSilent}, turning, ""},
		{"doubt while holding", []event{evLate, evPong, evSilent}, turning, ""},
		{"doubt on a fresh path", []event{evLate, evSilent, evSilent}, turning, "the session ends then"},
		{"late again, later", []event{evLate, evPong, evTime, evLate}, probing, ""},
	}
	for _, tt := range tests {
		p := serving
		for _, ev := range tt.events {
			p = p.next(ev)
		}
		if p != tt.want {
			t.Errorf("%s: phase %d, want %d; %s", tt.name, p, tt.want, tt.why)
		}
	}
}

// On any way, calls are sent again only after a pong and its hold-off.
func TestPhasesRandomWalk(t *testing.T) {
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 0))
	for range 1000 {
		p, ponged := serving, true
		for range 20 {
			ev := event(rnd.IntN(4))
			p = p.next(ev)
			switch {
			case p == probing, p == turning:
				ponged = false
			case p == holding:
				ponged = true
			case p == serving && !ponged:
				t.Fatalf("seed %d: serving again by event %d without a pong", seed, ev)
			}
		}
	}
}

func TestHoldOffIsBounded(t *testing.T) {
	tests := map[int]time.Duration{0: 0, 1: 0, 2: 250 * time.Millisecond, 3: 500 * time.Millisecond, 6: 4 * time.Second, 1 << 40: 4 * time.Second}
	for misses, want := range tests {
		if got := holdOff(misses); got != want {
			t.Errorf("after %d misses %v, want %v", misses, got, want)
		}
	}
	if backoff(0) != 100*time.Millisecond || backoff(1<<40) != 2*time.Second {
		t.Errorf("back-off %v to %v", backoff(0), backoff(1<<40))
	}
}
