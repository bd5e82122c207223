package share

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/hostfunc/nn"
	"github.com/bungee-xr/bungee/hostfunc/nn/nntest"
)

const ms = time.Millisecond

// TestShares has tenants that want more than there is, and counts who was served.
func TestShares(t *testing.T) {
	type demand struct{ callers, weight, want int }
	tests := []struct {
		name, why string
		nets      int
		tenants   []demand // want: of 1200 computations
	}{
		{"one floods", "the number of callers buys nothing", 1, []demand{{30, 0, 600}, {2, 0, 600}}},
		{"weights", "three parts and one", 1, []demand{{8, 1, 300}, {8, 3, 900}}},
		{"two networks", "a tenant pays for both", 2, []demand{{30, 0, 600}, {4, 0, 600}}},
		{"three tenants", "equal parts", 1, []demand{{20, 0, 400}, {3, 0, 400}, {2, 0, 400}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := New(&fake{most: 1, each: 10 * ms}, Config{Nets: tt.nets})
				total := 0
				served := make([]int, len(tt.tenants))
				var mu sync.Mutex
				var wg sync.WaitGroup
				for i, d := range tt.tenants {
					ctx := tenant(t.Context(), "t", d.weight)
					for range d.callers {
						wg.Go(func() {
							for {
								if _, err := double(ctx, b, 1); err != nil {
									t.Error(err)
								}
								mu.Lock()
								if total == 1200 {
									mu.Unlock()
									return
								}
								total++
								served[i]++
								mu.Unlock()
							}
						})
					}
				}
				wg.Wait()
				for i, d := range tt.tenants {
					if served[i] < d.want*95/100 || served[i] > d.want*105/100 {
						t.Errorf("tenant %d got %d of 1200; want %d within 5 %% (%s)", i, served[i], d.want, tt.why)
					}
				}
			})
		})
	}
}

// TestNewcomer has a tenant come late: it gets its part, and not what it missed.
func TestNewcomer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{most: 1, each: 10 * ms}
		b := New(f, Config{})
		old, late := tenant(t.Context(), "old", 0), tenant(t.Context(), "late", 0)
		for range 50 {
			if _, err := double(old, b, 1); err != nil {
				t.Fatal(err)
			}
		}
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() { double(old, b, 1) })
			wg.Go(func() { double(late, b, 2) })
		}
		wg.Wait()
		// They take turns. Where both have had the same, whoever came first goes first; and the newcomer
		// begins where the last computation began, so that it may be one ahead.
		ahead := 0
		for _, who := range f.ran()[50:] {
			if ahead++; who == "1" {
				ahead -= 2
			}
			if ahead < -1 || ahead > 2 {
				t.Fatalf("the order is %v from 50 on; want turns", f.ran()[50:])
			}
		}
	})
}

// occupy has the network compute 0 and returns once it does.
func occupy(t *testing.T, b *Backend, wg *sync.WaitGroup) {
	wg.Go(func() {
		if _, err := double(context.Background(), b, 0); err != nil {
			t.Error(err)
		}
	})
	synctest.Wait()
}

func TestBatches(t *testing.T) {
	const known = 4 // sizes of batches whose time was seen
	tests := []struct {
		name, why string
		window    time.Duration
		busy      bool          // a computation runs as the others come
		callers   int           // that come, 1 ms apart
		deadline  time.Duration // of each; 0: none
		first     time.Duration // that the first waits
		want      []string      // what runs, in order
	}{
		{"busy", "those that wait make a batch", 0, true, 3, 0, 19 * ms, []string{"0", "1+2+3"}},
		{"too many", "at most 4 at once", 0, true, 6, 0, 19 * ms, []string{"0", "1+2+3+4", "5+6"}},
		{"idle", "nobody is waited for", 0, false, 3, 0, 0, []string{"1", "2+3"}},
		{"window", "the first waits for others", 5 * ms, false, 3, 0, 5 * ms, []string{"1+2+3"}},
		{"full", "nothing more to wait for", time.Minute, false, 4, 0, 3 * ms, []string{"1+2+3+4"}},
		{"deadline", "a batch of two would be late", 0, true, 3, 31 * ms, 19 * ms, []string{"0", "1", "2", "3"}},
		{"deadline and window", "held back until a batch of four is just in time", time.Minute, false, 2, 60 * ms, 10 * ms, []string{"1+2"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fake{most: 4, each: 10 * ms, more: 10 * ms}
				b := New(f, Config{Window: tt.window})
				g, _ := b.Graph("net")
				for n := 1; n <= known; n++ {
					g.(*graph).learnLocked(n, f.each+time.Duration(n)*f.more)
				}
				var wg sync.WaitGroup
				if tt.busy {
					b.window = 0
					occupy(t, b, &wg)
				}
				for i := range tt.callers {
					time.Sleep(ms)
					wg.Go(func() {
						ctx := context.Background()
						if tt.deadline > 0 {
							var cancel func()
							ctx, cancel = context.WithTimeout(ctx, tt.deadline+time.Duration(i)*20*ms)
							defer cancel()
						}
						got, err := double(ctx, b, float32(i+1))
						if err != nil && !errors.Is(err, context.DeadlineExceeded) {
							t.Errorf("caller %d: %v", i+1, err)
						}
						if i == 0 && got.Queue != tt.first {
							t.Errorf("the first waited %v; want %v (%s)", got.Queue, tt.first, tt.why)
						}
					})
				}
				wg.Wait()
				if got := f.ran(); !slices.Equal(got, tt.want) {
					t.Errorf("the network ran %v; want %v (%s)", got, tt.want, tt.why)
				}
			})
		})
	}
}

// TestHeldBackInTime says when a computation runs for which nobody comes: after the
// window, and before its deadline is in danger.
func TestHeldBackInTime(t *testing.T) {
	tests := []struct {
		name, why string
		deadline  time.Duration
		known     bool
		want      time.Duration // of waiting
	}{
		{"no deadline", "all of the window", 0, true, 40 * ms},
		{"far deadline", "all of the window", time.Second, true, 40 * ms},
		{"near deadline", "a batch of four takes 50 ms", 70 * ms, true, 20 * ms},
		{"too near", "at once", 30 * ms, true, 0},
		{"not measured", "at once, as nobody knows what a batch takes", time.Second, false, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fake{most: 4, each: 10 * ms, more: 10 * ms}
				b := New(f, Config{Window: 40 * ms})
				if tt.known {
					g, _ := b.Graph("net")
					g.(*graph).learnLocked(4, 50*ms)
				}
				ctx := t.Context()
				if tt.deadline > 0 {
					var cancel func()
					ctx, cancel = context.WithTimeout(ctx, tt.deadline)
					defer cancel()
				}
				got, err := double(ctx, b, 1)
				if err != nil || got.Queue != tt.want {
					t.Errorf("waited %v, %v; want %v (%s)", got.Queue, err, tt.want, tt.why)
				}
			})
		})
	}
}

func TestTimings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(&fake{most: 1, each: 10 * ms}, Config{})
		var wg sync.WaitGroup
		occupy(t, b, &wg)
		time.Sleep(4 * ms)
		got, err := double(t.Context(), b, 1)
		if want := (nn.Timings{Queue: 6 * ms, Compute: 10 * ms}); err != nil || got != want {
			t.Errorf("timings %+v, %v; want %+v", got, err, want)
		}
		wg.Wait()
		if got, want := b.Stats(), (Stats{Computed: 2, Runs: 2, Busy: 20 * ms}); got != want {
			t.Errorf("stats %+v; want %+v", got, want)
		}
	})
}

// TestCancel cancels computations that wait, run, and run in a batch.
func TestCancel(t *testing.T) {
	why := errors.New("no longer wanted")
	synctest.Test(t, func(t *testing.T) {
		f := &fake{most: 4, each: 10 * ms}
		b := New(f, Config{})
		var wg sync.WaitGroup
		occupy(t, b, &wg)
		ctx, cancel := context.WithCancelCause(t.Context())
		for range 2 {
			wg.Go(func() {
				if _, err := double(ctx, b, 1); !errors.Is(err, why) {
					t.Errorf("a computation cancelled in the queue = %v; want its cause", err)
				}
			})
		}
		synctest.Wait()
		cancel(why)
		wg.Wait()
		if got := f.ran(); len(got) != 1 || b.Stats().Waiting != 0 {
			t.Errorf("ran %v, and %d wait; want one run and none", got, b.Stats().Waiting)
		}

		// A batch runs to its end, and who gives up does not wait for it.
		occupy(t, b, &wg)
		ctx, cancel = context.WithCancelCause(t.Context())
		wg.Go(func() {
			if _, err := double(ctx, b, 1); !errors.Is(err, why) {
				t.Errorf("the first of a batch, cancelled while it ran: %v; want its cause", err)
			}
		})
		synctest.Wait()
		wg.Go(func() {
			if _, err := double(t.Context(), b, 2); err != nil {
				t.Errorf("the second of a batch whose first was cancelled: %v; want nil", err)
			}
		})
		time.Sleep(12 * ms)
		cancel(why)
		wg.Wait()
	})
}

// TestDeafNetwork has a network that does not stop when a call's context ends: the call does not wait
// for it, its tenant is charged for all of it, and its session is left alone.
func TestDeafNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{most: 1, each: 50 * ms, deaf: true}
		b := New(f, Config{})
		g, err := b.Graph("net")
		if err != nil {
			t.Fatal(err)
		}
		s, err := g.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		input := nn.Tensor{Shape: []int{1}, Data: []float32{1}}
		if err := s.SetInput(0, input); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(tenant(t.Context(), "acme", 1), 10*ms)
		defer cancel()
		begin := time.Now()
		if err := s.Compute(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != 10*ms+grace {
			t.Errorf("Compute = %v after %v; want the end of its context, %v later at most", err, time.Since(begin), grace)
		}
		_, outputs := s.Outputs()
		_, image := s.SetImage(t.Context(), 0, nil)
		for what, err := range map[string]error{"SetInput": s.SetInput(0, input), "SetImage": image, "Outputs": outputs, "Compute": s.Compute(t.Context())} {
			if err != errRuns {
				t.Errorf("%s while it runs: %v; want %v", what, err, errRuns)
			}
		}
		if got := s.Timings(); got != (nn.Timings{}) {
			t.Errorf("timings while it runs: %+v", got)
		}
		if _, err := double(tenant(t.Context(), "other", 1), b, 3); err != nil || time.Since(begin) != 100*ms {
			t.Errorf("another computation: %v after %v; want it behind the one that runs on", err, time.Since(begin))
		}
		if got := b.Stats(); got.Busy != 100*ms || got.Computed != 2 {
			t.Errorf("stats %+v; want both runs", got)
		}
		if err := s.SetInput(0, input); err != nil {
			t.Errorf("SetInput after it has run: %v", err)
		}
		ctx, cancel = context.WithTimeout(t.Context(), 10*ms)
		defer cancel()
		if err := errors.Join(s.Compute(ctx), s.Close()); !errors.Is(err, context.DeadlineExceeded) || f.released() != 1 {
			t.Errorf("Close while it runs: %v, %d sessions are closed; want one, of the other", err, f.released())
		}
		time.Sleep(50 * ms)
		if f.released() != 2 {
			t.Errorf("the session is not closed after its run")
		}
	})
}

// TestFailures has batches fail and panic: what can be computed is, and the network
// is free again.
func TestFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{most: 4, each: 10 * ms, fail: errors.New("not together")}
		b := New(f, Config{})
		var wg sync.WaitGroup
		occupy(t, b, &wg)
		for i := range 3 {
			wg.Go(func() {
				if _, err := double(t.Context(), b, float32(i+1)); err != nil {
					t.Errorf("computation %d of a batch that failed: %v; want it alone", i+1, err)
				}
			})
		}
		wg.Wait()
		f.fail = nil
		occupy(t, b, &wg)
		wg.Go(func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic of the network is gone")
				}
			}()
			double(t.Context(), b, -1)
		})
		synctest.Wait()
		wg.Go(func() {
			if _, err := double(t.Context(), b, 1); !errors.Is(err, errBroken) {
				t.Errorf("computation beside one that panicked = %v; want errBroken", err)
			}
		})
		wg.Wait()
		if _, err := double(t.Context(), b, 5); err != nil {
			t.Errorf("after a panic: %v", err)
		}
		if _, err := doubleOn(t.Context(), b, "none", 1); !errors.Is(err, nn.ErrNoGraph) {
			t.Errorf("an unknown graph = %v; want ErrNoGraph", err)
		}
	})
}

// TestCoreIsGivenUp has a call wait for a network while another wants its core.
func TestCoreIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(&fake{most: 1, each: 10 * ms}, Config{})
		cores := executor.NewTurns(1)
		var wg sync.WaitGroup
		occupy(t, b, &wg)
		turn, err := cores.Take(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			defer turn.Done()
			ctx := executor.WithCall(t.Context(), &executor.Call{Turn: turn})
			if _, err := double(ctx, b, 1); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		begin := time.Now()
		other, err := cores.Take(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(begin); waited != 0 {
			t.Errorf("the core came free after %v; want at once", waited)
		}
		other.Done()
		wg.Wait()
	})
}

// TestWalk runs random computations and checks what must hold at all times.
func TestWalk(t *testing.T) {
	seed := rand.Uint64()
	for round := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, round))
			f := &fake{most: 1 + r.IntN(5), each: time.Duration(r.IntN(9)) * ms, more: time.Duration(1+r.IntN(9)) * ms}
			nets := 1 + r.IntN(3)
			b := New(f, Config{Nets: nets, Window: time.Duration(r.IntN(2)*r.IntN(20)) * ms})
			var wg sync.WaitGroup
			for i := range 12 {
				ctx := tenant(t.Context(), fmt.Sprint(i%4), r.IntN(4))
				mine := rand.New(rand.NewPCG(seed, round*100+uint64(i)))
				wg.Go(func() { walk(t, ctx, b, mine) })
			}
			wg.Wait()
			if f.peak > nets || b.free != nets || len(b.waiting) != 0 {
				t.Errorf("seed %d round %d: %d ran at once of %d, %d are free and %d wait", seed, round, f.peak, nets, b.free, len(b.waiting))
			}
			for _, a := range b.accounts {
				if a.jobs != 0 {
					t.Errorf("seed %d round %d: an account has %d jobs left", seed, round, a.jobs)
				}
			}
		})
	}
}

// walk computes 40 times, some with a deadline, with pauses.
func walk(t *testing.T, ctx context.Context, b *Backend, r *rand.Rand) {
	for range 40 {
		time.Sleep(time.Duration(r.IntN(4)*r.IntN(30)) * ms)
		one, cancel := ctx, context.CancelFunc(func() {})
		if r.IntN(2) == 0 {
			one, cancel = context.WithTimeout(ctx, time.Duration(r.IntN(200))*ms)
		}
		_, err := doubleOn(one, b, []string{"a", "b"}[r.IntN(2)], r.Float32())
		if err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		cancel()
	}
}

// TestHammer computes from many goroutines in real time, for the race detector.
func TestHammer(t *testing.T) {
	inner := nntest.Mean()
	b := New(inner, Config{Nets: 2})
	var wg sync.WaitGroup
	for i := range 8 {
		ctx := tenant(t.Context(), fmt.Sprint(i%3), 0)
		wg.Go(func() {
			for k := range 200 {
				if err := mean(ctx, b, float32(i*1000+k)); err != nil {
					t.Errorf("goroutine %d round %d: %v", i, k, err)
					return
				}
			}
		})
	}
	wg.Wait()
	if s := b.Stats(); s.Computed != 1600 || s.Runs > s.Computed || inner.Open() != 0 {
		t.Errorf("stats %+v, %d sessions open; want 1600 computed and none open", s, inner.Open())
	}
}

// mean has the backend of nntest compute the mean of a plain input.
func mean(ctx context.Context, b *Backend, v float32) error {
	g, err := b.Graph(nntest.Name)
	if err != nil {
		return err
	}
	s, err := g.NewSession()
	if err != nil {
		return err
	}
	defer s.Close()
	in := nn.Tensor{Shape: g.Inputs()[0], Data: make([]float32, 48)}
	for i := range in.Data {
		in.Data[i] = v
	}
	if err := errors.Join(s.SetInput(0, in), s.Compute(ctx)); err != nil {
		return err
	}
	out, err := s.Outputs()
	if err == nil && out[0].Data[0] != v {
		err = fmt.Errorf("mean of %v is %v", v, out[0].Data[0])
	}
	return err
}

func TestFind(t *testing.T) {
	if name, ok := New(nntest.Mean(), Config{}).Find(nntest.Digest()); !ok || name != nntest.Name {
		t.Errorf("Find = %q, %t; want the wrapped backend's", name, ok)
	}
	if _, ok := New(&fake{}, Config{}).Find(nntest.Digest()); ok {
		t.Error("Find on a backend that cannot found something")
	}
}

// BenchmarkCompute has one session compute next to nothing: what sharing costs.
func BenchmarkCompute(b *testing.B) {
	for _, bb := range []struct {
		name    string
		backend nn.Backend
	}{{"direct", nntest.Mean()}, {"shared", New(nntest.Mean(), Config{})}} {
		b.Run(bb.name, func(b *testing.B) {
			g, err := bb.backend.Graph(nntest.Name)
			if err != nil {
				b.Fatal(err)
			}
			s, err := g.NewSession()
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			if err := s.SetInput(0, nn.Tensor{Shape: g.Inputs()[0], Data: make([]float32, 48)}); err != nil {
				b.Fatal(err)
			}
			ctx := b.Context()
			b.ReportAllocs()
			for b.Loop() {
				if err := s.Compute(ctx); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
