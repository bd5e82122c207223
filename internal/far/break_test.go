package far_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/internal/abi"
	"github.com/bungee-xr/bungee/internal/far"
	"github.com/bungee-xr/bungee/internal/far/native"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/link/linktest"
	"github.com/bungee-xr/bungee/internal/radio"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
	"github.com/bungee-xr/bungee/offload/codegen"
	"github.com/bungee-xr/bungee/offload/pack"
)

// What the messages of unruly make it do.
const (
	behave  = iota
	panics  // while it handles the message
	ignores // its context, until the test ends
	waits   // for its context, as it should
	grows   // until its outcome is too large
)

// unruly returns an endpoint that does what it is told. block holds it up.
func unruly(block <-chan struct{}) *codegen.Endpoint[int64, int64] {
	ep := sums()
	sum := ep.New
	ep.New = func() *codegen.Live[int64, int64] {
		l := sum()
		handle := l.Handle
		l.Handle = func(ctx context.Context, n int64, emit func(int64) error) error {
			switch n {
			case panics:
				panic("on purpose")
			case ignores:
				<-block
			case waits:
				<-ctx.Done()
				return ctx.Err()
			}
			return handle(ctx, n, emit)
		}
		return l
	}
	return ep
}

// begin attaches a far endpoint with a deadline and returns its stream.
func begin(t *testing.T, ue *link.Conn, deadline time.Duration, latest bool) link.Stream {
	t.Helper()
	st := open(t, ue)
	st.Write(wire.AppendAttach(nil, wire.Attach{ID: 1, Window: 4, Deadline: deadline, Latest: latest}))
	typ, err := wire.ReadType(st)
	if err != nil || typ != wire.TypeAttached {
		t.Fatalf("attach was answered with frame 0x%02x, %v", typ, err)
	}
	if _, err := wire.ReadCredit(st); err != nil {
		t.Fatal(err)
	}
	return st
}

// tell sends message seq, which says n.
func tell(st link.Stream, seq uint64, n int64) {
	payload := pack.AppendInt(nil, n)
	st.Write(append(wire.AppendMessage(nil, wire.Message{Epoch: 1, Seq: seq, Size: len(payload)}), payload...))
}

// halted reads frames until a Halt.
func halted(t *testing.T, st io.Reader) wire.Halt {
	t.Helper()
	for {
		typ, err := wire.ReadType(st)
		switch {
		case err != nil:
			t.Fatalf("no halt: %v", err)
		case typ == wire.TypeHalt:
			h, err := wire.ReadHalt(st)
			if err != nil {
				t.Fatal(err)
			}
			return h
		case typ == wire.TypeOutcome:
			o, err := wire.ReadOutcome(st)
			if err == nil {
				_, err = wire.ReadPayload(st, nil, o.Size)
			}
			if err != nil {
				t.Fatal(err)
			}
		default:
			if _, err := wire.ReadCredit(st); err != nil || typ != wire.TypeCredit {
				t.Fatalf("frame 0x%02x, %v", typ, err)
			}
		}
	}
}

// A message that breaks its far endpoint is named by the Halt, with the reason, and nothing
// else of the host is touched: not even by native code that cannot be stopped.
func TestMessageThatBreaksItsFarEndpoint(t *testing.T) {
	for _, tt := range []struct {
		why  string
		n    int64
		want offload.Code
	}{
		{"a panic", panics, offload.CodePanicked},
		{"a Handle that ignores its deadline", ignores, offload.CodeDeadline},
		{"one that ends at its deadline is as late", waits, offload.CodeDeadline},
		{"an outcome that is too large", grows, offload.CodeTooLarge},
	} {
		var block chan struct{} // made in the bubble
		cfg := echoes
		cfg.Open = func(context.Context, offload.Digest, uint32) (far.Endpoint, error) {
			return large{native.New(unruly(block))}, nil
		}
		connect(t, cfg, func(t *testing.T, ue *link.Conn, ended <-chan struct{}) {
			block = make(chan struct{})
			defer close(block)
			st := begin(t, ue, 50*time.Millisecond, false)
			tell(st, 1, behave)
			tell(st, 2, tt.n)
			begun := time.Now()
			h := halted(t, st)
			if h.Seq != 2 || h.Fail.Code != tt.want || !h.Fail.Started {
				t.Errorf("%s: halt %+v; want code %v of message 2, started", tt.why, h, tt.want)
			}
			if took := time.Since(begun); took > 100*time.Millisecond {
				t.Errorf("%s: the halt came after %v", tt.why, took)
			}
			st.Close()
			<-ended // the endpoint is freed: nobody waits for a Handle that was left behind
		})
	}
}

// large answers message grows with more than can cross.
type large struct{ far.Endpoint }

func (l large) Handle(ctx context.Context, request []byte) (abi.Status, []byte, error) {
	if bytes.Equal(request, pack.AppendInt(nil, grows)) {
		return abi.OK, make([]byte, wire.MaxPayload+1), nil
	}
	return l.Endpoint.Handle(ctx, request)
}

// In mode Latest the message's own stream tells its failure, and the Halt names no message.
func TestLatestMessageThatBreaksItsFarEndpoint(t *testing.T) {
	for n, want := range map[int64]offload.Code{panics: offload.CodePanicked, ignores: offload.CodeDeadline} {
		var block chan struct{}
		cfg := echoes
		cfg.Open = func(context.Context, offload.Digest, uint32) (far.Endpoint, error) {
			return native.New(unruly(block)), nil
		}
		connect(t, cfg, func(t *testing.T, ue *link.Conn, ended <-chan struct{}) {
			block = make(chan struct{})
			defer close(block)
			st := begin(t, ue, 50*time.Millisecond, true)
			one := single(t, ue, 1, n)
			if _, fail := answer(t, one); fail == nil || fail.Code != want || !fail.Started {
				t.Errorf("message %d: %+v; want %v", n, fail, want)
			}
			if h := halted(t, st); h.Seq != 0 || h.Fail.Code != want {
				t.Errorf("halt %+v; want %v of message 0", h, want)
			}
			st.Close()
			<-ended
			<-ended
		})
	}
}

// single sends message seq, of value n, in mode Latest.
func single(t *testing.T, ue *link.Conn, seq uint64, n int64) link.Stream {
	st := open(t, ue)
	payload := pack.AppendInt(nil, n)
	st.Write(append(wire.AppendSingle(nil, wire.Message{ID: 1, Epoch: 1, Seq: seq, Size: len(payload)}), payload...))
	st.Close()
	return st
}

// A message of mode Latest that has begun goes on when the UE gives it up: its far endpoint
// keeps its state, and takes the next one.
func TestLatestMessageGivenUpGoesOn(t *testing.T) {
	var begun, proceed chan struct{}
	cfg := echoes
	cfg.Open = func(context.Context, offload.Digest, uint32) (far.Endpoint, error) {
		return gated{native.New(sums()), begun, proceed}, nil
	}
	connect(t, cfg, func(t *testing.T, ue *link.Conn, _ <-chan struct{}) {
		begun, proceed = make(chan struct{}, 2), make(chan struct{})
		begin(t, ue, 0, true)
		one := single(t, ue, 1, 5)
		<-begun
		one.Reset()
		two := single(t, ue, 2, 5)
		time.Sleep(10 * time.Millisecond) // virtual: both have come
		close(proceed)
		typ, err := wire.ReadType(two)
		if err != nil || typ != wire.TypeOutcome {
			t.Fatalf("after a message that was given up: frame 0x%02x, %v; want the next one's outcome", typ, err)
		}
	})
}

// A host that drains while it makes a far endpoint says Attached first, and then that it drains.
func TestDrainWhileAFarEndpointIsMade(t *testing.T) {
	var begun, proceed chan struct{}
	var s *far.Server
	cfg := echoes
	cfg.Open = func(context.Context, offload.Digest, uint32) (far.Endpoint, error) {
		begun <- struct{}{}
		<-proceed
		return native.New(sums()), nil
	}
	linktest.Connect(t, &radio.Air{OneWay: time.Millisecond}, func(st link.Stream) {
		if t, err := wire.ReadType(st); err == nil {
			s.Serve(st.Context(), t, st)
		}
	}, func(t *testing.T, ue *link.Conn) {
		begun, proceed = make(chan struct{}), make(chan struct{})
		s = far.NewServer(cfg)
		t.Cleanup(s.Close)
		st := open(t, ue)
		st.Write(wire.AppendAttach(nil, wire.Attach{ID: 1, Window: 4}))
		<-begun
		go s.Drain("the end is near")
		time.Sleep(10 * time.Millisecond) // virtual: it has begun
		close(proceed)
		if typ, err := wire.ReadType(st); err != nil || typ != wire.TypeAttached {
			t.Fatalf("first frame 0x%02x, %v; want Attached", typ, err)
		}
		wire.ReadCredit(st)
		if h := halted(t, st); h.Fail.Code != offload.CodeDraining {
			t.Errorf("then %+v, want that it drains", h)
		}
		st.Reset()
	})
}

// A Snapshot that the UE gives up leaves its far endpoint in use.
func TestSnapshotGivenUp(t *testing.T) {
	var begun, proceed chan struct{}
	cfg := echoes
	cfg.Open = func(context.Context, offload.Digest, uint32) (far.Endpoint, error) {
		return gated{native.New(sums()), begun, proceed}, nil
	}
	connect(t, cfg, func(t *testing.T, ue *link.Conn, _ <-chan struct{}) {
		begun, proceed = make(chan struct{}, 2), make(chan struct{})
		st := begin(t, ue, 0, false)
		snap := open(t, ue)
		snap.Write(wire.AppendSnapshot(nil, wire.Snapshot{ID: 1}))
		<-begun
		snap.Reset()
		time.Sleep(10 * time.Millisecond) // virtual: the host has seen that
		close(proceed)
		tell(st, 1, 5)
		if typ, err := wire.ReadType(st); err != nil || typ != wire.TypeOutcome {
			t.Errorf("after a snapshot that was given up: frame 0x%02x, %v; want the outcome of a message", typ, err)
		}
	})
}

// gated handles a message, and saves its state, when it may proceed, unless its context has ended.
type gated struct {
	far.Endpoint
	begun, proceed chan struct{}
}

func (g gated) Handle(ctx context.Context, request []byte) (abi.Status, []byte, error) {
	g.begun <- struct{}{}
	<-g.proceed
	if ctx.Err() != nil {
		return 0, nil, &wire.Fail{Code: offload.CodeCanceled, Started: true}
	}
	return g.Endpoint.Handle(ctx, request)
}

func (g gated) Save(ctx context.Context) ([]byte, error) {
	g.begun <- struct{}{}
	<-g.proceed
	if ctx.Err() != nil {
		return nil, &wire.Fail{Code: offload.CodeCanceled, Started: true}
	}
	return g.Endpoint.Save(ctx)
}

// The end of the server waits for no Handle, whether or not it has a deadline.
func TestCloseLeavesANativeHandleBehind(t *testing.T) {
	for _, deadline := range []time.Duration{0, time.Hour} {
		var block chan struct{}
		cfg := echoes
		cfg.Open = func(context.Context, offload.Digest, uint32) (far.Endpoint, error) {
			return native.New(unruly(block)), nil
		}
		connect(t, cfg, func(t *testing.T, ue *link.Conn, ended <-chan struct{}) {
			block = make(chan struct{})
			defer close(block)
			begun := time.Now()
			st := begin(t, ue, deadline, false)
			tell(st, 1, ignores)
			time.Sleep(10 * time.Millisecond)
			st.Reset()
			<-ended
			if took := time.Since(begun); took > time.Second {
				t.Errorf("deadline %v: the attachment ended after %v, want at once", deadline, took)
			}
		})
	}
}

// A state that is too large, or that nobody had the time to save, is no reason to end its far
// endpoint: there is no snapshot of it, and messages go on.
func TestStateThatCannotBeHad(t *testing.T) {
	busy := &wire.Fail{Code: offload.CodeDeadline, Text: "while it waited for its turn"}
	for _, tt := range []struct {
		why  string
		size int
		err  error
		want offload.Code
	}{
		{"over what can cross", wire.MaxState + 1, nil, offload.CodeTooLarge},
		{"so says a native far endpoint", -1, nil, offload.CodeTooLarge},
		{"no turn came in time", 0, busy, offload.CodeDeadline},
	} {
		cfg := echoes
		cfg.Open = func(context.Context, offload.Digest, uint32) (far.Endpoint, error) {
			if tt.size < 0 {
				return native.New(bloated()), nil
			}
			return unsaved{native.New(sums()), tt.size, tt.err}, nil
		}
		connect(t, cfg, func(t *testing.T, ue *link.Conn, _ <-chan struct{}) {
			st := begin(t, ue, 0, false)
			for seq := range uint64(2) {
				tell(st, seq+1, 5)
				typ, err := wire.ReadType(st)
				if err == nil && typ == wire.TypeCredit { // half of the window was used
					wire.ReadCredit(st)
					typ, err = wire.ReadType(st)
				}
				if err != nil || typ != wire.TypeOutcome {
					t.Fatalf("%s: message %d: frame 0x%02x, %v; want an outcome", tt.why, seq+1, typ, err)
				}
				o, err := wire.ReadOutcome(st)
				if err == nil {
					_, err = wire.ReadPayload(st, nil, o.Size)
				}
				if err != nil {
					t.Fatal(err)
				}
				snap := open(t, ue)
				snap.Write(wire.AppendSnapshot(nil, wire.Snapshot{ID: 1}))
				snap.Close()
				if _, fail := answer(t, snap); fail == nil || fail.Code != tt.want {
					t.Errorf("%s: snapshot answered with %+v, want %v", tt.why, fail, tt.want)
				}
			}
		})
	}
}

// A Save that breaks its far endpoint ends the attachment at once, and no message is blamed: not the one
// that has come meanwhile either.
func TestSaveThatBreaksItsFarEndpoint(t *testing.T) {
	for _, waits := range []bool{false, true} {
		var begun, proceed chan struct{}
		cfg := echoes
		cfg.Open = func(context.Context, offload.Digest, uint32) (far.Endpoint, error) {
			broke := &wire.Fail{Code: offload.CodeOutOfMemory, Started: true}
			return gated{unsaved{native.New(sums()), 0, broke}, begun, proceed}, nil
		}
		connect(t, cfg, func(t *testing.T, ue *link.Conn, ended <-chan struct{}) {
			begun, proceed = make(chan struct{}, 2), make(chan struct{})
			st := begin(t, ue, 0, false)
			snap := open(t, ue)
			snap.Write(wire.AppendSnapshot(nil, wire.Snapshot{ID: 1}))
			snap.Close()
			<-begun
			if waits {
				tell(st, 1, 5)
				time.Sleep(10 * time.Millisecond) // virtual: it has come
			}
			close(proceed)
			if h := halted(t, st); h.Seq != 0 || h.Fail.Code != offload.CodeOutOfMemory || !h.Fail.Started {
				t.Errorf("halt %+v; want %v of no message", h, offload.CodeOutOfMemory)
			}
			if _, fail := answer(t, snap); fail == nil || fail.Code != offload.CodeOutOfMemory {
				t.Errorf("snapshot answered with %+v, want %v", fail, offload.CodeOutOfMemory)
			}
			again := open(t, ue)
			again.Write(wire.AppendSnapshot(nil, wire.Snapshot{ID: 1}))
			again.Close()
			if _, fail := answer(t, again); fail == nil || fail.Code != wire.CodeGone {
				t.Errorf("the next snapshot answered with %+v, want %v", fail, wire.CodeGone)
			}
			st.Close()
			<-ended
		})
	}
}

// bloated returns an endpoint whose state is too large.
func bloated() *codegen.Endpoint[int64, int64] {
	ep := sums()
	sum := ep.New
	ep.New = func() *codegen.Live[int64, int64] {
		l := sum()
		l.AppendState = func(b []byte) []byte { return append(b, make([]byte, wire.MaxState+1)...) }
		return l
	}
	return ep
}

// unsaved has a state of that size, or an error in its place.
type unsaved struct {
	far.Endpoint
	size int
	err  error
}

func (u unsaved) Save(context.Context) ([]byte, error) { return make([]byte, u.size), u.err }

// A state that does not decode, or whose reading panics, is refused with the reason, before
// any message is taken.
func TestRestoreThatFails(t *testing.T) {
	for _, tt := range []struct {
		why   string
		read  func(*pack.Reader)
		want  offload.Code
		state []byte
	}{
		{"a state that does not decode", func(r *pack.Reader) { r.Int() }, offload.CodeProtocol, []byte{0xc1}},
		{"a panic", func(*pack.Reader) { panic("on purpose") }, offload.CodePanicked, []byte{1}},
	} {
		cfg := echoes
		cfg.Open = func(context.Context, offload.Digest, uint32) (far.Endpoint, error) {
			ep := sums()
			sum := ep.New
			ep.New = func() *codegen.Live[int64, int64] { l := sum(); l.ReadState = tt.read; return l }
			return native.New(ep), nil
		}
		connect(t, cfg, func(t *testing.T, ue *link.Conn, _ <-chan struct{}) {
			st := begin(t, ue, 0, false)
			st.Write(append(wire.AppendState(nil, wire.TypeRestore, wire.State{Seq: 7, Size: len(tt.state)}), tt.state...))
			tell(st, 8, 5)
			if h := halted(t, st); h.Seq != 0 || h.Fail.Code != tt.want || h.Fail.Text == "" {
				t.Errorf("%s: halt %+v; want %v, a reason, and no message", tt.why, h, tt.want)
			}
			if _, err := wire.ReadType(st); !errors.Is(err, io.EOF) {
				t.Errorf("%s: after the halt: %v, want the end", tt.why, err)
			}
		})
	}
}
