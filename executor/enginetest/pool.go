package enginetest

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/bungee-xr/bungee/executor"
)

// pool hammers a Pool: calls of all kinds at once, each of which must get its
// own answer whatever happens to the others.
func (s suite) pool(t *testing.T) {
	const callers, rounds, size = 8, 60, 3
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	p := executor.NewPool(s.module(t, Guest(t, "basic")), executor.PoolConfig{Size: size})
	if err := p.Warm(t.Context(), size); err != nil {
		t.Fatal(err)
	}
	var broken atomic.Uint64
	var wg sync.WaitGroup
	for c := range callers {
		rnd := rand.New(rand.NewPCG(seed, uint64(c)))
		wg.Go(func() {
			for i := range rounds {
				if err := hammer(t, p, rnd, fmt.Sprintf("%d/%d", c, i), &broken); err != nil {
					t.Errorf("caller %d round %d: %v", c, i, err)
				}
			}
		})
	}
	wg.Wait()
	got := p.Stats()
	if got.Calls != callers*rounds || got.Discarded != broken.Load() || got.Busy != 0 || got.Instances > size {
		t.Errorf("got %+v; want %d calls, %d discarded, none busy, at most %d instances", got, callers*rounds, broken.Load(), size)
	}
	p.Close()
	err := p.Call(t.Context(), fnEcho, nil, nil)
	mentions(t, err, executor.ErrNotStarted)
	mentions(t, err, executor.ErrPoolClosed)
}

// hammer makes one call: mostly an echo, now and then one that breaks its
// instance.
func hammer(t *testing.T, p *executor.Pool, rnd *rand.Rand, id string, broken *atomic.Uint64) error {
	fn, want := uint32(fnEcho), error(nil)
	switch rnd.IntN(10) {
	case 0:
		fn, want = fnTrap, executor.ErrTrap
	case 1:
		fn, want = fnReplyHuge, executor.ErrABI
	case 2:
		fn = fnPanic
	}
	if fn != fnEcho {
		broken.Add(1)
	}
	request := id + strings.Repeat(".", rnd.IntN(4000))
	err := p.Call(t.Context(), fn, []byte(request),
		func(a executor.Answer) error {
			if string(a.Payload) != request {
				return fmt.Errorf("got %q, want %q", clip(string(a.Payload)), clip(request))
			}
			if a.Queue < 0 || a.Run < 0 {
				return fmt.Errorf("queue %v, run %v", a.Queue, a.Run)
			}
			return nil
		})
	if want != nil && is(err, want) {
		return nil
	}
	return err
}
