package check

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// Scripts of an adversary that have failed once are kept, as files of testdata/adversary.
// They run in child processes: some ended theirs.
func TestAdversaryRegressions(t *testing.T) {
	files, err := filepath.Glob("testdata/adversary/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d scripts, %v", len(files), err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			s, err := Parse(string(b))
			if err != nil || !s.Adversary {
				t.Fatalf("%+v, %v: want the script of an adversary", s, err)
			}
			c := &child{}
			defer c.end()
			// How goroutines take turns is not in the script: once is not enough.
			for range 20 {
				v, err := c.run(s, againTime)
				if err != nil || v.Why != "" {
					t.Fatalf("%v, %.3000s\n%s", err, v.Why, s)
				}
			}
		})
	}
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
