package check

import (
	"os"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"
)

// seeds returns how many seeds the environment asks for.
func seeds(t *testing.T) int {
	env := os.Getenv("BUNGEE_SEEDS")
	if env == "" {
		return defaultSeeds
	}
	n, err := strconv.Atoi(env)
	if err != nil || n < 1 {
		t.Fatalf("BUNGEE_SEEDS is %q, want a number of seeds", env)
	}
	return n
}

// enough seeds have all that can happen: the rarest, a channel that ends with
// ErrLost, comes every fortieth time.
const enough = 200

// The contract holds over TCP, where paths do not switch.
func TestSeedsOverTCP(t *testing.T) {
	s := &Seeds{N: seeds(t), First: 1, Parallel: runtime.GOMAXPROCS(0), TCP: true}
	t.Run("all", s.test)
	if s.failure != nil {
		t.Fatal(s.failure)
	}
	if missing := s.Counts.Missing(false); s.N >= enough && !slices.Equal(missing, []string{"paths switched"}) {
		t.Errorf("%d seeds had none of: %q", s.N, missing)
	}
}

// The contract holds, whatever happens.
func TestSeeds(t *testing.T) {
	s := &Seeds{N: seeds(t), First: 1, Parallel: runtime.GOMAXPROCS(0)}
	begin := time.Now()
	t.Run("all", s.test)
	if s.failure != nil {
		t.Fatal(s.failure)
	}
	t.Logf("%v: %s", time.Since(begin).Round(time.Millisecond), s.Counts.String())
	if missing := s.Counts.Missing(false); s.N >= enough && len(missing) > 0 {
		t.Errorf("%d seeds had none of: %q", s.N, missing)
	}
}
