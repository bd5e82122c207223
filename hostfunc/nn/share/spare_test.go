package share

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/hostfunc/nn"
)

// spare computes in a spare run, as a probe does, and says why that ended.
func spare(t *testing.T, turns *executor.Turns, g nn.BackendGraph) error {
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	turn := turns.TakeSpare(nil, func() { cancel(executor.ErrWanted) })
	if turn == nil {
		t.Fatal("no core is free")
	}
	defer turn.Done()
	return compute1(executor.WithCall(ctx, &executor.Call{Turn: turn}), g)
}

func compute1(ctx context.Context, g nn.BackendGraph) error {
	s, err := g.NewSession()
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.SetInput(0, nn.Tensor{Shape: []int{1}, Data: []float32{1}}); err != nil {
		return err
	}
	return s.Compute(ctx)
}

// A spare run does not wait for a network, and nobody waits for one that it has.
func TestSpareRunGivesWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(&fake{most: 1, each: 100 * time.Millisecond}, Config{})
		turns := executor.NewTurns(4)
		g, err := b.Graph("net")
		if err != nil {
			t.Fatal(err)
		}
		if err := spare(t, turns, g); err != nil {
			t.Errorf("a spare run of a network that nobody wants: %v", err)
		}
		begin := time.Now()
		ended := make(chan error, 1)
		go func() { ended <- spare(t, turns, g) }()
		synctest.Wait()
		if err := compute1(t.Context(), g); err != nil {
			t.Error(err)
		}
		if took := time.Since(begin); took != 100*time.Millisecond {
			t.Errorf("a computation beside a spare run takes %v, want the 100ms that it takes alone", took)
		}
		if err := <-ended; !errors.Is(err, executor.ErrWanted) {
			t.Errorf("the spare run ends with %v, want %v", err, executor.ErrWanted)
		}
		done := make(chan error, 1)
		go func() { done <- compute1(t.Context(), g) }()
		synctest.Wait()
		begin = time.Now()
		if err := spare(t, turns, g); !errors.Is(err, executor.ErrWanted) || time.Since(begin) > 0 {
			t.Errorf("a spare run of a network in use ends with %v after %v", err, time.Since(begin))
		}
		if err := <-done; err != nil {
			t.Errorf("who has the network: %v", err)
		}
	})
}
