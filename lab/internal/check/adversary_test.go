package check

import (
	"runtime"
	"testing"
)

// Scripts of an adversary that have failed once are kept, as files of testdata/adversary.
// They run in child processes: some ended theirs.
func TestAdversaryRegressions(t *testing.T) {
	regressions(t, "adversary", func(t *testing.T, s *Script) func() (string, error) {
		if !s.Adversary {
			t.Fatal("want the script of an adversary")
		}
		c := &child{}
		t.Cleanup(c.end)
		return func() (string, error) {
			v, err := c.run(s, againTime)
			return v.Why, err
		}
	})
}

// The contract holds against an adversary.
func TestAdversarySeeds(t *testing.T) {
	s := &Seeds{N: seeds(t), First: 1, Parallel: runtime.GOMAXPROCS(0), Adversary: true}
	if err := s.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if missing := s.Counts.Missing(true); s.N >= enough && len(missing) > 0 {
		t.Errorf("%d seeds had none of: %q", s.N, missing)
	}
}

// The scripts of an adversary are read as they are written, and stay the same for ever.
func TestAdversaryScripts(t *testing.T) {
	for seed := range uint64(300) {
		want := Attack(seed).String()
		s, err := Parse(want)
		if err != nil {
			t.Fatalf("seed %d: %v, of\n%s", seed, err, want)
		}
		if got := s.String(); got != want || Attack(seed).String() != want {
			t.Fatalf("seed %d: got\n%s\nwant\n%s", seed, got, want)
		}
	}
}
