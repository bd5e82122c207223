package elastic_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/bungee-xr/bungee/elastic"
	"github.com/bungee-xr/bungee/offload"
)

// place is a target in this process: it answers a request with itself.
type place struct {
	name  string
	fails error
	hold  chan struct{} // not nil: calls wait until it is closed

	prepared, released atomic.Int64
}

func (p *place) Name() string { return p.name }

func (p *place) Prepare(context.Context, *offload.Desc) (elastic.Place, error) {
	if p.fails != nil {
		return nil, p.fails
	}
	p.prepared.Add(1)
	return &scripted{p: p}, nil
}

type scripted struct {
	p    *place
	gone atomic.Bool
}

func (f *scripted) Call(_ context.Context, _ *offload.Desc, request []byte) (*offload.Reply, error) {
	if f.p.hold != nil {
		<-f.p.hold
	}
	if f.gone.Load() {
		return nil, errors.New("called after its release")
	}
	return &offload.Reply{Payload: request, Host: f.p.name}, nil
}

func (f *scripted) Open(context.Context, elastic.Priority) (elastic.Stream, error) {
	return nil, errors.New("calls need no stream")
}

func (f *scripted) Release() {
	if f.gone.Swap(true) {
		panic("released twice")
	}
	f.p.released.Add(1)
}

var desc = &offload.Desc{Name: "echo"}

func ExampleCalls() {
	ctx := context.Background()
	edge := &place{name: "edge-1"} // stands for an edge host

	var ch elastic.Calls
	if err := ch.Move(ctx, desc, edge); err != nil {
		fmt.Println(err)
	}
	reply, err := ch.Call(ctx, desc, []byte("frame 1"))
	fmt.Println(string(reply.Payload), "by", reply.Host, err)

	ch.Move(ctx, desc, nil)
	_, err = ch.Call(ctx, desc, []byte("frame 2"))
	fmt.Println(err)
	// Output:
	// frame 1 by edge-1 <nil>
	// echo on the UE: far endpoint has moved to the UE (not started)
}

func TestMoveThatFailsChangesNothing(t *testing.T) {
	var ch elastic.Calls
	good, full := &place{name: "good"}, &place{name: "full", fails: errors.New("no room")}
	if err := ch.Move(t.Context(), desc, good); err != nil {
		t.Fatal(err)
	}
	err := ch.Move(t.Context(), desc, full)
	if !errors.Is(err, full.fails) {
		t.Errorf("move to a full host gave %v, want %v", err, full.fails)
	}
	if ch.Where() != "good" || good.released.Load() != 0 || ch.Moves() != 1 {
		t.Errorf("after a failed move: at %q, %d released, %d moves; want good, 0, 1", ch.Where(), good.released.Load(), ch.Moves())
	}
}

func TestCallsEndWhereTheyBegan(t *testing.T) {
	var ch elastic.Calls
	slow := &place{name: "slow", hold: make(chan struct{})}
	ch.Move(t.Context(), desc, slow)
	type answer struct {
		reply *offload.Reply
		err   error
	}
	answers := make(chan answer)
	begun := make(chan struct{})
	go func() {
		close(begun)
		r, err := ch.Call(t.Context(), desc, []byte("x"))
		answers <- answer{r, err}
	}()
	<-begun
	// The call may not have reached the endpoint yet; then it belongs to the UE.
	if err := ch.Move(t.Context(), desc, nil); err != nil {
		t.Fatal(err)
	}
	close(slow.hold)
	a := <-answers
	if a.err == nil && a.reply.Host != "slow" || a.err != nil && !errors.Is(a.err, elastic.ErrMoved) {
		t.Errorf("got %+v, %v; want an answer by slow, or ErrMoved", a.reply, a.err)
	}
	if n := slow.released.Load(); n != 1 {
		t.Errorf("released %d times, want once", n)
	}
}

func TestClosedChannelDoesNotMove(t *testing.T) {
	var ch elastic.Calls
	p := &place{name: "p"}
	ch.Move(t.Context(), desc, p)
	ch.Close()
	if err := ch.Move(t.Context(), desc, p); !errors.Is(err, elastic.ErrClosed) {
		t.Errorf("move of a closed channel gave %v, want ErrClosed", err)
	}
	if p.released.Load() != 1 || ch.Where() != "" {
		t.Errorf("closed: %d released, at %q; want 1 and the UE", p.released.Load(), ch.Where())
	}
}

// Callers and movers at once: each call is answered once, by an endpoint that is
// not released, and every prepared endpoint is released once in the end.
func TestMovesUnderTraffic(t *testing.T) {
	const callers, rounds = 8, 2000
	places := []*place{{name: "a"}, {name: "b"}, {name: "c", fails: errors.New("down")}}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	var ch elastic.Calls
	var callersDone, moversDone sync.WaitGroup
	var answered, local atomic.Int64
	stop := make(chan struct{})
	for i := range 2 {
		moversDone.Go(func() {
			rnd := rand.New(rand.NewPCG(seed, uint64(i)))
			for {
				select {
				case <-stop:
					return
				default:
				}
				var to elastic.Target
				if n := rnd.IntN(4); n < 3 {
					to = places[n]
				}
				ch.Move(context.Background(), desc, to)
			}
		})
	}
	for range callers {
		callersDone.Go(func() {
			for n := range rounds {
				want := fmt.Sprint(n)
				r, err := ch.Call(context.Background(), desc, []byte(want))
				switch {
				case errors.Is(err, elastic.ErrMoved):
					local.Add(1)
				case err != nil:
					t.Errorf("call %d: %v", n, err)
				case string(r.Payload) != want:
					t.Errorf("call %d got the answer of %s", n, r.Payload)
				default:
					answered.Add(1)
				}
			}
		})
	}
	callersDone.Wait()
	close(stop)
	moversDone.Wait()
	ch.Close()
	if n := answered.Load() + local.Load(); n != callers*rounds {
		t.Errorf("%d of %d calls ended", n, callers*rounds)
	}
	for _, p := range places {
		if p.prepared.Load() != p.released.Load() {
			t.Errorf("%s: %d prepared, %d released", p.name, p.prepared.Load(), p.released.Load())
		}
	}
}
