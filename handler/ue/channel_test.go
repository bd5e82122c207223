package ue_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/elastic"
	"github.com/bungee-xr/bungee/handler/host"
	"github.com/bungee-xr/bungee/handler/ue"
	"github.com/bungee-xr/bungee/handler/ue/policy"
	"github.com/bungee-xr/bungee/offload"
	"github.com/bungee-xr/bungee/offload/codegen"
	"github.com/bungee-xr/bungee/offload/pack"
)

// tally is an endpoint as offloadgen writes one. Its state is a hash of all
// messages and their order: a message that is lost, doubled or handled on a wrong
// state shows in each later value.
func tally() *codegen.Endpoint[int64, int64] {
	appendInt := func(b []byte, n int64) []byte { return pack.AppendInt(b, n) }
	readInt := func(r *pack.Reader) int64 { return r.Int() }
	return &codegen.Endpoint[int64, int64]{
		Desc: offload.Desc{
			Name: "tally", Module: codegen.NewModule([]byte("the module of tally")),
			Deadline: 200 * time.Millisecond, Idempotent: true,
		},
		New: func() *codegen.Live[int64, int64] {
			var state int64
			return &codegen.Live[int64, int64]{
				Handle: func(_ context.Context, in int64, emit func(int64) error) error {
					state = after(state, in)
					return emit(state)
				},
				AppendState: func(b []byte) []byte { return pack.AppendInt(b, state) },
				ReadState:   func(r *pack.Reader) { state = r.Int() },
			}
		},
		AppendIn: appendInt, ReadIn: readInt, AppendOut: appendInt, ReadOut: readInt,
	}
}

// after is the state after message in.
func after(state, in int64) int64 { return state*1_000_003 + in }

// A flow is messages through a channel, one each period, that are checked.
type flow struct {
	ch   *elastic.Channel[int64, int64]
	most atomic.Int64 // time between two results, in ns

	quit chan struct{}
	wg   sync.WaitGroup
}

const period = 10 * time.Millisecond

// flows sends 1, 2, 3... until stop.
func flows(t *testing.T, ch *elastic.Channel[int64, int64]) *flow {
	f := &flow{ch: ch, quit: make(chan struct{})}
	f.wg.Go(func() {
		for n := int64(1); ; n++ {
			if err := ch.Send(context.Background(), n); err != nil {
				t.Errorf("send %d: %v", n, err)
				return
			}
			select {
			case <-f.quit:
				if err := ch.Shutdown(context.Background()); err != nil {
					t.Errorf("shutdown after %d messages: %v", n, err)
				}
				return
			case <-time.After(period):
			}
		}
	})
	f.wg.Go(func() { f.check(t) })
	return f
}

// longest returns the longest time between two results.
func (f *flow) longest() time.Duration { return time.Duration(f.most.Load()) }

func (f *flow) check(t *testing.T) {
	var state int64
	var seq uint64
	last := time.Now()
	for r, err := range f.ch.Results(context.Background()) {
		if err != nil {
			t.Errorf("result after %d: %v", seq, err)
			return
		}
		f.most.Store(max(f.most.Load(), int64(time.Since(last))))
		last = time.Now()
		seq++
		state = after(state, int64(seq))
		if r.Seq != seq || r.Value != state || r.Err != nil {
			t.Errorf("result %d of %q: %+v; want value %d", seq, r.Host, r, state)
			return
		}
	}
	if sent := f.ch.Stats().Sent; seq != sent {
		t.Errorf("%d results of %d messages", seq, sent)
	}
}

// stop ends the flow in order.
func (f *flow) stop() {
	close(f.quit)
	f.wg.Wait()
}

// move moves the channel and checks where it is.
func (f *flow) move(t *testing.T, to elastic.Target, name string) {
	t.Helper()
	if err := f.ch.Move(context.Background(), to); err != nil {
		t.Errorf("move to %q: %v", name, err)
	}
	if got := f.ch.Where(); got != name {
		t.Errorf("after the move the far endpoint is on %q, want %q", got, name)
	}
}

// openTally opens a channel whose far endpoints the world's engine serves.
func (w *world) openTally(cfg elastic.Config) *elastic.Channel[int64, int64] {
	w.t.Helper()
	ep := tally()
	w.engine.far = ep.Serve
	cfg.Logger = w.log("channel")
	ch, err := elastic.Open(ep, cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { ch.Close() })
	return ch
}

func TestChannelMovesBetweenHosts(t *testing.T) {
	inBoth(t, func(t *testing.T, w *world) {
		ch := w.openTally(elastic.Config{})
		w.startHost(nil)
		b := w.start("edge-2", hostAddrB, nil)
		h := w.startUE(nil, nil)
		f := flows(t, ch)
		for range 5 {
			time.Sleep(200 * time.Millisecond)
			f.move(t, h.Target(""), "edge-1")
			time.Sleep(200 * time.Millisecond)
			f.move(t, h.Target(hostAddrB.String()), "edge-2")
			time.Sleep(200 * time.Millisecond)
			f.move(t, nil, "")
		}
		f.stop()
		if s := ch.Stats(); s.Moves != 15 || s.Fallbacks != 0 {
			t.Errorf("stats %+v; want 15 moves and no fallback", s)
		}
		h.Close()
		b.stop()
	})
}

// What becomes of a channel whose edge host is no more, or may be used no more.
func TestChannelOutlivesItsHost(t *testing.T) {
	tests := []struct {
		name   string
		lose   func(w *world, b *edgeHost)
		within time.Duration
		why    string
	}{
		{"closed", func(_ *world, b *edgeHost) { b.h.Close() }, 3 * oneWay, "its good-bye ends the streams"},
		{"silent", func(w *world, b *edgeHost) { w.air.Mute(b.addr.IP, true) }, 300 * time.Millisecond, "the deadline of 200 ms tells"},
		{"draining", func(_ *world, b *edgeHost) { b.h.Shutdown(context.Background()) }, 3 * oneWay, "it says so, and serves until the channel has left"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBoth(t, func(t *testing.T, w *world) {
				w.startHost(nil)
				b := w.start("edge-2", hostAddrB, nil)
				h := w.startUE(nil, nil)
				ch := w.openTally(elastic.Config{Standby: []elastic.Target{h.Target("")}})
				f := flows(t, ch)
				f.move(t, h.Target(hostAddrB.String()), "edge-2")
				time.Sleep(1500 * time.Millisecond) // a checkpoint is there, and the standby
				tt.lose(w, b)
				time.Sleep(time.Second)
				if got := ch.Where(); got != "edge-1" {
					t.Errorf("the channel is on %q, want the standby edge-1", got)
				}
				f.stop()
				if f.longest() > tt.within+period+2*oneWay {
					t.Errorf("%v without a result, want %v at most: %s", f.longest(), tt.within+period+2*oneWay, tt.why)
				}
				h.Close()
				b.stop()
			})
		})
	}
}

// A host that a channel has left for want of answers is asked whether it is there.
func TestSilentHostIsFoundOut(t *testing.T) {
	inBoth(t, func(t *testing.T, w *world) {
		w.startHost(nil)
		h := w.startUE(nil, nil)
		f := flows(t, w.openTally(elastic.Config{}))
		f.move(t, h.Target(""), "edge-1")
		time.Sleep(time.Second)
		w.air.Silence(true)
		time.Sleep(1500 * time.Millisecond) // the deadline of 200 ms, and 1 s without a pong
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := h.Target("").Prepare(ended, &tally().Desc); err == nil {
			t.Error("the silent host is still thought to be ready")
		}
		w.air.Silence(false)
		f.stop()
		h.Close()
	})
}

// A host that drains is left soon: nobody holds it up.
func TestDrainEndsWithTheChannels(t *testing.T) {
	inBoth(t, func(t *testing.T, w *world) {
		w.startHost(nil)
		h := w.startUE(nil, nil)
		f := flows(t, w.openTally(elastic.Config{}))
		f.move(t, h.Target(""), "edge-1")
		time.Sleep(time.Second)
		begin := time.Now()
		if err := w.host.Shutdown(context.Background()); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		if took := time.Since(begin); took > 500*time.Millisecond {
			t.Errorf("shutdown took %v with one channel, want less than 500ms", took)
		}
		f.stop()
		h.Close()
	})
}

// Silence on a channel's stream is no fault of it.
func TestIdleChannelStays(t *testing.T) {
	inBoth(t, func(t *testing.T, w *world) {
		w.startHost(nil)
		h := w.startUE(nil, nil)
		ch := w.openTally(elastic.Config{})
		if err := ch.Move(t.Context(), h.Target("")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute)
		if err := ch.Send(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		if r, err := ch.Recv(t.Context()); err != nil || r.Host != "edge-1" {
			t.Errorf("after 10 minutes: %+v, %v; want a result of edge-1", r, err)
		}
		ch.Close()
		h.Close()
	})
}

// The UE goes from Wi-Fi to cellular under traffic; then Wi-Fi is gone.
func TestPathSwitch(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.startHost(nil)
		b := w.start("edge-2", hostAddrB, nil)
		h := w.startUEWith(ue.Config{Edge: hostAddr.String(), Stripes: 2})
		f := flows(t, w.openTally(elastic.Config{}))
		g := flows(t, w.openTally(elastic.Config{}))
		f.move(t, h.Target(""), "edge-1")
		g.move(t, h.Target(hostAddrB.String()), "edge-2")
		changed := make(chan elastic.Event, 8)
		events := f.ch.Events(t.Context())
		go func() {
			for e := range events {
				if e.Kind == elastic.PathChanged {
					changed <- e
				}
			}
		}()
		time.Sleep(500 * time.Millisecond)
		if err := h.SwitchPath(context.Background(), w.listenAt(cellular)); err != nil {
			t.Errorf("switch: %v", err)
		}
		w.air.Cut(wifi, true)
		time.Sleep(20 * time.Second) // longer than any timeout of the connection
		if e := <-changed; e.To != "edge-1" {
			t.Errorf("the channel tells of %+v, want a path to edge-1", e)
		}
		for _, f := range []*flow{f, g} {
			f.stop()
			if s := f.ch.Stats(); s.Fallbacks != 0 || f.longest() > 2*period+2*oneWay {
				t.Errorf("%d fallbacks, %v without a result; want none and %v at most", s.Fallbacks, f.longest(), 2*period+2*oneWay)
			}
		}
		w.stopHost()
		time.Sleep(time.Second)
		w.startHost(nil)
		w.ready(h, &tally().Desc) // over the path that is left
		h.Close()
		b.stop()
	})
}

// Wi-Fi is gone first, with more under way than can be sent without an answer;
// then the UE is told to leave it.
func TestPathSwitchFromADeadNetwork(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		f := doubler("dead", true, double)
		f.Deadline = time.Second
		f.AppendIn = func(b []byte, n int64) []byte { return pack.AppendBytes(pack.AppendInt(b, n), make([]byte, 100_000)) }
		f.ReadIn = func(r *pack.Reader) int64 { defer r.Bytes(); return r.Int() }
		w.engine.set(f.Serve, nil)
		w.startHost(nil)
		h := w.startUE(policy.Always(policy.OnEdge), nil)
		w.ready(h, &f.Desc)
		var calls sync.WaitGroup
		for n := range int64(100) {
			calls.Go(func() {
				if got, err := f.Call(context.Background(), n); got != 2*n || err != nil {
					t.Errorf("call %d: %d, %v", n, got, err)
				}
			})
			time.Sleep(16 * time.Millisecond)
			switch n {
			case 40:
				w.air.Cut(wifi, true)
			case 50:
				calls.Go(func() {
					if err := h.SwitchPath(context.Background(), w.listenAt(cellular)); err != nil {
						t.Errorf("switch: %v", err)
					}
				})
			}
		}
		calls.Wait()
		if s := h.Stats(); s.Edge != 100 || w.connections() != 1 {
			t.Errorf("stats %+v, %d connections; want 100 calls on the edge host over one connection", s, w.connections())
		}
		h.Close()
	})
}

// A path that leads nowhere is not taken.
func TestPathSwitchThatFails(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.startHost(nil)
		h := w.startUE(nil, nil)
		f := flows(t, w.openTally(elastic.Config{}))
		f.move(t, h.Target(""), "edge-1")
		w.air.Cut(cellular, true)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := h.SwitchPath(ctx, w.listenAt(cellular)); err == nil {
			t.Error("a switch to a dead path gave no error")
		}
		broken := errors.New("no such interface")
		err := h.SwitchPath(context.Background(), func() (net.PacketConn, error) { return nil, broken })
		if !errors.Is(err, broken) {
			t.Errorf("a switch without a socket: %v, want %v", err, broken)
		}
		time.Sleep(time.Second)
		f.stop()
		if s := f.ch.Stats(); s.Fallbacks != 0 {
			t.Errorf("stats %+v, want no fallback", s)
		}
		h.Close()
	})
}

// Four connections to one host are one UE: what one attached, all reach.
func TestStripes(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.startHost(nil)
		h := w.startUEWith(ue.Config{Edge: hostAddr.String(), Stripes: 4})
		f := flows(t, w.openTally(elastic.Config{CheckpointMessages: 8}))
		f.move(t, h.Target(""), "edge-1")
		latest := w.openTally(elastic.Config{Mode: elastic.Latest, InFlight: 4})
		if err := latest.Move(context.Background(), h.Target("")); err != nil {
			t.Fatal(err)
		}
		for n := range int64(50) {
			if err := latest.Send(context.Background(), n); err != nil {
				t.Fatal(err)
			}
			if r, err := latest.Recv(context.Background()); err != nil || r.Err != nil || r.Host != "edge-1" {
				t.Fatalf("message %d: %+v, %v; want a result of edge-1", n, r, err)
			}
		}
		f.stop()
		if n := w.connections(); n != 4 {
			t.Errorf("%d connections, want 4", n)
		}
		if s := f.ch.Stats(); s.Checkpoints < 5 || s.Fallbacks != 0 {
			t.Errorf("stats %+v; want checkpoints, which come over other connections, and no fallback", s)
		}
		latest.Close()
		h.Close()
	})
}

// Channels under all that can happen to a UE at once: each gets each result.
func TestChannelHammer(t *testing.T) {
	seed := rand.Uint64()
	inBoth(t, func(t *testing.T, w *world) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		w.startHost(nil)
		b := w.start("edge-2", hostAddrB, nil)
		h := w.startUEWith(ue.Config{Edge: hostAddr.String(), Stripes: 2})
		targets := []elastic.Target{h.Target(""), h.Target(hostAddrB.String())}
		var all []*flow
		for range 4 {
			all = append(all, flows(t, w.openTally(elastic.Config{Standby: targets})))
		}
		for range 100 {
			time.Sleep(time.Duration(rnd.IntN(200)) * time.Millisecond)
			switch rnd.IntN(5) {
			case 0:
				ip := []net.IP{wifi, cellular}[rnd.IntN(2)]
				if err := h.SwitchPath(context.Background(), w.listenAt(ip)); err != nil {
					t.Logf("switch: %v", err)
				}
			case 1:
				w.air.Mute(b.addr.IP, rnd.IntN(3) == 0)
			default:
				ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
				if err := all[rnd.IntN(len(all))].ch.Move(ctx, append(targets, nil)[rnd.IntN(3)]); err != nil {
					t.Logf("move: %v", err)
				}
				cancel()
			}
		}
		w.air.Mute(b.addr.IP, false)
		for _, f := range all {
			f.stop()
		}
		h.Close()
		b.stop()
	})
	if t.Failed() {
		t.Logf("seed %d", seed)
	}
}

// A host that is known is ready a round trip after the first packet.
func TestResume(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.startHost(nil)
		h := w.startUE(nil, nil)
		desc := tally().Desc
		w.ready(h, &desc)
		took := time.Since(w.dialled(0))
		time.Sleep(time.Second)
		sockets := w.made()
		w.air.Silence(true)
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		for h.Prepare(ended, &desc) == nil {
			time.Sleep(10 * time.Millisecond) // less than the wait before the next dial
		}
		w.air.Silence(false)
		w.ready(h, &desc)
		if again := time.Since(w.dialled(sockets)); again != 2*oneWay {
			t.Errorf("ready %v after the second dial, want %v; it was %v after the first", again, 2*oneWay, took)
		}
		h.Close()
	})
}

// A target says why it cannot be used.
func TestTargetsThatCannotBeUsed(t *testing.T) {
	inBoth(t, func(t *testing.T, w *world) {
		ch := w.openTally(elastic.Config{})
		none, err := ue.Start(context.Background(), ue.Config{})
		if err != nil {
			t.Fatal(err)
		}
		defer none.Close()
		h := w.startUEWith(ue.Config{})
		ended := w.startUEWith(ue.Config{})
		ended.Close()
		full := w.start("edge-2", hostAddrB, func(c *host.Config) { c.Channels = 1 })
		defer full.stop()
		other := w.openTally(elastic.Config{})
		if err := other.Move(context.Background(), h.Target(hostAddrB.String())); err != nil {
			t.Fatal(err)
		}
		tests := []struct {
			name   string
			target elastic.Target
			want   string
		}{
			{"no edge host is configured", h.Target(""), "no edge host"},
			{"no certificate", none.Target(hostAddr.String()), "Config.TLS"},
			{"the handler has ended", ended.Target(hostAddr.String()), "has ended"},
			{"nobody there", h.Target("10.9.9.9:1"), "no answer"},
			{"no address", h.Target("nowhere"), "it has no port; write nowhere:4433"},
			{"a host that is full", h.Target(hostAddrB.String()), "overloaded"},
		}
		for _, tt := range tests {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			err := ch.Move(ctx, tt.target)
			cancel()
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: %v; want an error with %q", tt.name, err, tt.want)
			}
		}
		if h.Target("x:1") != h.Target("x:1") || h.Target("x:1") == h.Target("x:2") {
			t.Error("targets are equal where their addresses are not, or the other way round")
		}
		other.Close()
		h.Close()
	})
}
