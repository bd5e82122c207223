package main

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/elastic"
	"github.com/bungee-xr/bungee/executor/enginetest"
	"github.com/bungee-xr/bungee/offload"
	"github.com/bungee-xr/bungee/offload/codegen"
	"github.com/bungee-xr/bungee/offload/pack"
)

// tally is the native version of enginetest's guest tally: its state is a hash of
// all messages and their order, so a message that is lost, doubled or handled on a
// wrong state shows in each later value.
func tally(t *testing.T) *codegen.Endpoint[int64, int64] {
	return &codegen.Endpoint[int64, int64]{
		Desc: offload.Desc{
			Name: "tally", Module: codegen.NewModule(enginetest.Guest(t, "tally")),
			Idempotent: true,
		},
		New: func() *codegen.Live[int64, int64] {
			var state int64
			return &codegen.Live[int64, int64]{
				Handle: func(_ context.Context, in int64, emit func(int64) error) error {
					state = after(state, in)
					return emit(state)
				},
				AppendState: func(b []byte) []byte { return appendFixed(b, state) },
				ReadState:   func(r *pack.Reader) { state = readFixed(r) },
			}
		},
		AppendIn: appendFixed, ReadIn: readFixed, AppendOut: appendFixed, ReadOut: readFixed,
	}
}

// after is the state after message in.
func after(state, in int64) int64 { return state*1_000_003 + in }

func appendFixed(b []byte, n int64) []byte {
	return pack.AppendBytes(b, binary.LittleEndian.AppendUint64(nil, uint64(n)))
}

func readFixed(r *pack.Reader) int64 {
	var whole [8]byte
	copy(whole[:], r.Bytes())
	return int64(binary.LittleEndian.Uint64(whole[:]))
}

// A flow sends the messages 1, 2, 3... through a channel and checks what comes
// back, until stop.
type flow struct {
	ch   *elastic.Channel[int64, int64]
	got  atomic.Uint64 // results
	pace time.Duration // between two messages
	quit chan struct{}
	wg   sync.WaitGroup

	mu     sync.Mutex
	events []elastic.Event
}

func flows(t *testing.T, cfg elastic.Config) *flow {
	t.Helper()
	return flowsOf(t, cfg, tally(t), 0)
}

func flowsOf(t *testing.T, cfg elastic.Config, e *codegen.Endpoint[int64, int64], pace time.Duration) *flow {
	t.Helper()
	ch, err := elastic.Open(e, cfg)
	if err != nil {
		t.Fatal(err)
	}
	f := &flow{ch: ch, pace: pace, quit: make(chan struct{})}
	events := ch.Events(context.Background())
	f.wg.Go(func() {
		for e := range events {
			f.mu.Lock()
			f.events = append(f.events, e)
			f.mu.Unlock()
		}
	})
	f.wg.Go(func() { f.send(t) })
	f.wg.Go(func() { f.check(t) })
	t.Cleanup(func() { ch.Close() })
	return f
}

func (f *flow) send(t *testing.T) {
	n, sending := int64(0), true
	again(f.quit, f.pace, func() bool {
		n++
		if err := f.ch.Send(context.Background(), n); err != nil {
			t.Errorf("send %d: %v", n, err)
			sending = false
		}
		return sending
	})
	if !sending {
		return
	}
	if err := f.ch.Shutdown(context.Background()); err != nil {
		t.Errorf("shutdown: %v", err)
	}
}

// again does what it is given again and again, every pace or, if that is zero, at once, until quit is closed
// or it returns false.
func again(quit <-chan struct{}, pace time.Duration, do func() bool) {
	at := make(chan time.Time)
	close(at)
	due := (<-chan time.Time)(at)
	if pace > 0 {
		ticker := time.NewTicker(pace)
		defer ticker.Stop()
		due = ticker.C
	}
	for {
		select {
		case <-quit:
			return
		case <-due:
			if !do() {
				return
			}
		}
	}
}

func (f *flow) check(t *testing.T) {
	var state int64
	var seq uint64
	for r, err := range f.ch.Results(context.Background()) {
		if err != nil {
			t.Errorf("result after %d: %v", seq, err)
			return
		}
		seq++
		state = after(state, int64(seq))
		if r.Seq != seq || r.Value != state || r.Err != nil {
			t.Errorf("result %d of %q: %+v; want value %d", seq, r.Host, r, state)
			return
		}
		f.got.Store(seq)
	}
	if sent := f.ch.Stats().Sent; seq != sent {
		t.Errorf("%d results of %d messages", seq, sent)
	}
}

// more waits for n more results.
func (f *flow) more(t *testing.T, n uint64) {
	t.Helper()
	want := f.got.Load() + n
	await(t, "results", func() bool { return f.got.Load() >= want || t.Failed() })
}

// stop ends the flow in order and returns what happened to the channel.
func (f *flow) stop() []elastic.Event {
	close(f.quit)
	f.wg.Wait()
	return f.events
}

// await waits until ok. It gives up long after what is awaited must have come.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(2 * time.Minute); !ok(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("waited 2 minutes for %s", what)
		}
	}
}

func (f *flow) move(t *testing.T, to elastic.Target, name string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := f.ch.Move(ctx, to); err != nil {
		t.Fatalf("move to %q: %v", name, err)
	}
	if got := f.ch.Where(); got != name {
		t.Errorf("after the move the far endpoint is on %q, want %q", got, name)
	}
}

// saw says whether an event of this kind has come.
func (f *flow) saw(k elastic.Kind) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.ContainsFunc(f.events, func(e elastic.Event) bool { return e.Kind == k })
}

// fellBack returns the fallbacks among events.
func fellBack(events []elastic.Event) (all []elastic.Event) {
	for _, e := range events {
		if e.Kind == elastic.FellBack {
			all = append(all, e)
		}
	}
	return all
}

// A channel with a real guest goes from the UE to host A, to host B and back, flat
// out; the state goes with it between native code and Wasm in every direction.
func TestChannelMovesUnderTraffic(t *testing.T) {
	a := startHost(t)
	b := startHost(t, "--certs", a.certs, "--name", "edge-2")
	h := startUE(t, a)
	f := flows(t, elastic.Config{Deadline: patience})
	f.more(t, 100)
	for range 3 {
		f.move(t, h.Target(a.addr), "edge-1")
		f.more(t, 300)
		f.move(t, h.Target(b.addr), "edge-2")
		f.more(t, 300)
		f.move(t, nil, "")
		f.more(t, 300)
	}
	if lost := fellBack(f.stop()); len(lost) > 0 {
		t.Errorf("fallbacks: %+v", lost)
	}
}

// kill -9 of the host: the standby takes over, then the UE. Nothing is lost or
// doubled, and the lifeline has told, not a timeout.
func TestHostIsKilledUnderAChannel(t *testing.T) {
	a := startHost(t)
	b := startHost(t, "--certs", a.certs, "--name", "edge-2")
	h := startUE(t, a)
	f := flows(t, elastic.Config{Standby: []elastic.Target{h.Target(b.addr)}, CheckpointMessages: 50, Deadline: patience})
	f.move(t, h.Target(a.addr), "edge-1")
	await(t, "a checkpoint, and the standby", func() bool { return f.ch.Stats().Checkpoints > 3 && f.saw(elastic.StandbyReady) })
	f.more(t, 500)
	a.kill()
	await(t, "the standby to take over", func() bool { return f.ch.Where() == "edge-2" || t.Failed() })
	f.more(t, 500)
	b.kill()
	await(t, "the UE to take over", func() bool { return f.ch.Where() == "" || t.Failed() })
	f.more(t, 500)
	lost := fellBack(f.stop())
	if len(lost) != 2 {
		t.Fatalf("%d fallbacks, want 2: %+v", len(lost), lost)
	}
	for _, e := range lost {
		t.Logf("%s to %q: %v; %d messages again", e.From, e.To, e.Took, e.Replayed)
		if !strings.Contains(e.Reason.Error(), "process has ended") {
			t.Errorf("left %s because %v; want what the lifeline tells", e.From, e.Reason)
		}
	}
}

// Without lifelines the end of a process shows later, by the silence of its address.
func TestHostWithoutLifelines(t *testing.T) {
	p := startHost(t, "--tcp=false")
	h := startUE(t, p)
	f := flows(t, elastic.Config{Deadline: 5 * time.Second}) // a machine may stand still for less
	f.move(t, h.Target(p.addr), "edge-1")
	f.more(t, 100)
	p.kill()
	await(t, "the UE to take over", func() bool { return f.ch.Where() == "" || t.Failed() })
	f.more(t, 100)
	lost := fellBack(f.stop())
	if len(lost) != 1 || !errors.Is(lost[0].Reason, offload.ErrDeadline) && !errors.Is(lost[0].Reason, elastic.ErrLost) ||
		strings.Contains(lost[0].Reason.Error(), "process has ended") {
		t.Errorf("fallbacks %+v; want one, by the silence: the deadline or the connection's, whichever is first", lost)
	}
}

// On another path the UE has another lifeline, and the messages stay in flight.
func TestLifelineAfterPathSwitch(t *testing.T) {
	p := startHost(t)
	h := startUE(t, p)
	f := flows(t, elastic.Config{Deadline: patience})
	f.move(t, h.Target(p.addr), "edge-1")
	f.more(t, 100)
	for range 3 {
		if err := h.SwitchPath(t.Context(), func() (net.PacketConn, error) { return net.ListenPacket("udp", "127.0.0.1:0") }); err != nil {
			t.Fatal(err)
		}
		f.more(t, 100)
	}
	if got := f.ch.Where(); got != "edge-1" {
		t.Errorf("after three switches of the path the far endpoint is on %q, want edge-1", got)
	}
	p.kill()
	await(t, "the UE to take over", func() bool { return f.ch.Where() == "" || t.Failed() })
	lost := fellBack(f.stop())
	if len(lost) != 1 || !strings.Contains(lost[0].Reason.Error(), "process has ended") {
		t.Errorf("fallbacks %+v; want one, by what the lifeline tells", lost)
	}
}

// A host that is started again is used again, and knows the module.
func TestChannelGoesBackToItsHost(t *testing.T) {
	p := startHost(t)
	h := startUE(t, p)
	f := flows(t, elastic.Config{Deadline: 2 * time.Second})
	for range 2 {
		f.goBack(t, h.Target(p.addr))
		f.more(t, 200)
		p.kill()
		await(t, "the UE to take over", func() bool { return f.ch.Where() == "" || t.Failed() })
		p.again(t) // without TCP if somebody has taken its TCP port
	}
	f.goBack(t, h.Target(p.addr))
	f.more(t, 200)
	f.stop()
}

// goBack moves the channel to a host of which the UE may not know yet that it has
// ended and is there again.
func (f *flow) goBack(t *testing.T, to elastic.Target) {
	t.Helper()
	await(t, "a move to the host", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		return f.ch.Move(ctx, to) == nil || t.Failed()
	})
}

// A message that breaks its guest costs that message, and the state is what the
// others left.
func TestMessageThatBreaksItsGuest(t *testing.T) {
	p := startHost(t)
	h := startUE(t, p)
	ch, err := elastic.Open(tally(t), elastic.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer ch.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := ch.Move(ctx, h.Target(p.addr)); err != nil {
		t.Fatal(err)
	}
	var state int64
	for seq, in := range []int64{5, 6, -1, 7, 8} {
		if err := ch.Send(ctx, in); err != nil {
			t.Fatal(err)
		}
		r, err := ch.Recv(ctx)
		if err != nil {
			t.Fatal(err)
		}
		var broke *offload.CallError
		if in == -1 {
			if !errors.As(r.Err, &broke) {
				t.Errorf("message %d: %+v, want a CallError", in, r)
			}
			continue
		}
		if state = after(state, in); r.Value != state || r.Err != nil || r.Seq != uint64(seq+1) {
			t.Errorf("message %d: %+v, want value %d", in, r, state)
		}
	}
}

// SIGTERM sends the channels away and then ends the host in order.
func TestSIGTERMSendsChannelsAway(t *testing.T) {
	p := startHost(t)
	h := startUE(t, p)
	f := flows(t, elastic.Config{})
	f.move(t, h.Target(p.addr), "edge-1")
	f.more(t, 100)
	p.cmd.Process.Signal(syscall.SIGTERM)
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("the host ended with %v, want exit status 0", err)
	}
	f.more(t, 100)
	if lost := fellBack(f.stop()); len(lost) > 1 {
		t.Errorf("fallbacks %+v; want one at most, because the host drained", lost)
	}
}

// A host that drains while it is a channel's standby is not kept from its end by that.
func TestStandbyDrains(t *testing.T) {
	a := startHost(t)
	b := startHost(t, "--certs", a.certs, "--name", "edge-2")
	h := startUE(t, a)
	f := flows(t, elastic.Config{Standby: []elastic.Target{h.Target(b.addr)}, Deadline: patience})
	f.move(t, h.Target(a.addr), "edge-1")
	await(t, "the standby", func() bool { return f.saw(elastic.StandbyReady) })
	b.cmd.Process.Signal(syscall.SIGTERM)
	if err := b.cmd.Wait(); err != nil {
		t.Errorf("the standby ended with %v, want exit status 0", err)
	}
	f.more(t, 100)
	if lost := fellBack(f.stop()); len(lost) > 0 {
		t.Errorf("fallbacks: %+v", lost)
	}
}
