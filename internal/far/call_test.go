package far_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bungee-xr/bungee/internal/abi"
	"github.com/bungee-xr/bungee/internal/far"
	"github.com/bungee-xr/bungee/internal/far/native"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/link/linktest"
	"github.com/bungee-xr/bungee/internal/radio"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// connect serves one UE, in virtual time. ended has a note for each stream that the
// server is done with.
func connect(t *testing.T, cfg far.Config, f func(t *testing.T, ue *link.Conn, ended <-chan struct{})) {
	var s *far.Server // these two belong to the bubble
	var ended chan struct{}
	linktest.Connect(t, &radio.Air{OneWay: time.Millisecond}, func(st link.Stream) {
		if t, err := wire.ReadType(st); err == nil {
			s.Serve(st.Context(), t, st)
		}
		ended <- struct{}{}
	}, func(t *testing.T, ue *link.Conn) {
		s, ended = far.NewServer(cfg), make(chan struct{}, 16)
		t.Cleanup(s.Close)
		f(t, ue, ended)
	})
}

// echoes answers calls with their request; functions 1 and 3 fail, 2 waits for the end
// of its context.
var echoes = far.Config{
	Call: func(ctx context.Context, c wire.Call, request []byte, reply *far.Reply) error {
		switch c.Fn {
		case 1:
			return &wire.Fail{Code: offload.CodeTrapped, Started: true}
		case 2:
			<-ctx.Done()
			return context.Cause(ctx)
		case 3:
			return errors.New("disk full")
		}
		res := wire.Result{Size: len(request)}
		if err := reply.Room(ctx, res.HeaderSize()+len(request)); err != nil {
			return err
		}
		reply.Frame = append(wire.AppendResult(reply.Frame, res), request...)
		return nil
	},
	Open: func(context.Context, offload.Digest, uint32) (far.Endpoint, error) { return native.New(sums()), nil },
}

func open(t *testing.T, ue *link.Conn) link.Stream {
	t.Helper()
	st, err := ue.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func frame(fn uint32, request string) []byte {
	return append(wire.AppendCall(nil, wire.Call{Fn: fn, Size: len(request)}), request...)
}

// answer reads the answer of a call.
func answer(t *testing.T, st io.Reader) (reply string, fail *wire.Fail) {
	t.Helper()
	typ, err := wire.ReadType(st)
	if err != nil {
		t.Fatalf("no answer: %v", err)
	}
	if typ == wire.TypeFail {
		if fail, err = wire.ReadFail(st); err != nil {
			t.Fatal(err)
		}
		return "", fail
	}
	res, err := wire.ReadResult(st)
	if typ != wire.TypeResult || err != nil {
		t.Fatalf("a call was answered with frame 0x%02x, %v", typ, err)
	}
	b, err := wire.ReadPayload(st, nil, res.Size)
	if err != nil {
		t.Fatal(err)
	}
	return string(b), nil
}

func TestCallsFollowOneAnother(t *testing.T) {
	connect(t, echoes, func(t *testing.T, ue *link.Conn, ended <-chan struct{}) {
		st := open(t, ue)
		large := string(make([]byte, 300<<10))
		for _, request := range []string{"a", "", large, "b"} {
			st.Write(frame(0, request))
			if reply, fail := answer(t, st); reply != request || fail != nil {
				t.Errorf("call with %d bytes: %d bytes back, %v", len(request), len(reply), fail)
			}
		}
		st.Write(frame(1, ""))
		if _, fail := answer(t, st); fail == nil || fail.Code != offload.CodeTrapped || !fail.Started {
			t.Errorf("call that traps: %v", fail)
		}
		st.Write(frame(3, ""))
		if _, fail := answer(t, st); fail == nil || fail.Code != offload.CodeInternal {
			t.Errorf("call that fails for another reason: %v", fail)
		}
		// Several at once are answered in their order.
		st.Write(append(frame(0, "one"), frame(0, "two")...))
		for _, want := range []string{"one", "two"} {
			if reply, fail := answer(t, st); reply != want || fail != nil {
				t.Errorf("%q, %v; want %q", reply, fail, want)
			}
		}
		st.Close()
		if n, err := st.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("after the end of the calls: %d bytes, %v; want the end", n, err)
		}
		<-ended
	})
}

// Frames have a timeout, and the time between them has none.
func TestStreamOfCallsMayIdle(t *testing.T) {
	connect(t, echoes, func(t *testing.T, ue *link.Conn, ended <-chan struct{}) {
		st := open(t, ue)
		for range 3 {
			st.Write(frame(0, "x"))
			if reply, fail := answer(t, st); reply != "x" || fail != nil {
				t.Fatalf("%q, %v; want x", reply, fail)
			}
			time.Sleep(time.Hour)
		}
		st.Write(frame(0, "x")[:7])
		begin := time.Now()
		if _, fail := answer(t, st); fail == nil || fail.Code != offload.CodeProtocol {
			t.Errorf("half a frame: %v, want %v", fail, offload.CodeProtocol)
		}
		if took := time.Since(begin); took > 2*wire.FrameTimeout {
			t.Errorf("half a frame was refused after %v, want %v", took, wire.FrameTimeout)
		}
		<-ended
	})
}

// What breaks the protocol on a stream of calls is refused, and ends the stream.
func TestRudeCallers(t *testing.T) {
	for _, tt := range []struct {
		name  string
		bytes []byte
	}{
		{"garbage", []byte{0xee, 1, 2, 3}},
		{"a message", wire.AppendMessage(nil, wire.Message{Seq: 1})},
		{"an attachment", wire.AppendAttach(nil, wire.Attach{ID: 1, Window: 4})},
		{"a huge request", wire.AppendCall(nil, wire.Call{Size: wire.MaxPayload + 1})},
	} {
		connect(t, echoes, func(t *testing.T, ue *link.Conn, ended <-chan struct{}) {
			st := open(t, ue)
			st.Write(append(frame(0, "good"), tt.bytes...))
			if reply, fail := answer(t, st); reply != "good" || fail != nil {
				t.Errorf("the call before %s: %q, %v", tt.name, reply, fail)
			}
			if _, fail := answer(t, st); fail == nil || fail.Code != offload.CodeProtocol || fail.Started {
				t.Errorf("%s: %v, want %v", tt.name, fail, offload.CodeProtocol)
			}
			if _, err := st.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("%s: %v after the refusal, want the end", tt.name, err)
			}
			<-ended
		})
	}
}

// A UE gives a call up by a reset: its context ends, and the stream with it.
func TestResetEndsTheCall(t *testing.T) {
	connect(t, echoes, func(t *testing.T, ue *link.Conn, ended <-chan struct{}) {
		begin := time.Now()
		st := open(t, ue)
		st.Write(frame(2, ""))
		synctest.Wait()
		st.Reset()
		<-ended
		if took := time.Since(begin); took > time.Second {
			t.Errorf("the server was done with the stream after %v, want at once", took)
		}
	})
}

// A UE that does not take its answer loses the stream, and no more.
func TestAnswerThatNobodyTakes(t *testing.T) {
	connect(t, echoes, func(t *testing.T, ue *link.Conn, ended <-chan struct{}) {
		st := open(t, ue)
		begin := time.Now()
		go st.Write(frame(0, string(make([]byte, 4<<20))))
		<-ended
		if took := time.Since(begin); took > time.Minute {
			t.Errorf("the server held an answer for %v, want about %v", took, wire.FrameTimeout)
		}
		st = open(t, ue)
		st.Write(frame(0, "x"))
		if reply, fail := answer(t, st); reply != "x" || fail != nil {
			t.Errorf("%q, %v; want x", reply, fail)
		}
	})
}

// The shorter of the channel's deadline and the endpoint's limit bounds a message.
func TestMessagesAreBounded(t *testing.T) {
	for _, tt := range []struct{ deadline, limit, want time.Duration }{
		{0, 0, 0}, {time.Second, 0, time.Second}, {0, time.Second, time.Second},
		{time.Second, time.Minute, time.Second}, {time.Minute, time.Second, time.Second},
	} {
		cfg := echoes
		var got chan time.Duration // made in the bubble of the test
		cfg.Open = func(context.Context, offload.Digest, uint32) (far.Endpoint, error) {
			return bounded{native.New(sums()), tt.limit, got}, nil
		}
		connect(t, cfg, func(t *testing.T, ue *link.Conn, _ <-chan struct{}) {
			got = make(chan time.Duration, 1)
			st := open(t, ue)
			st.Write(wire.AppendAttach(nil, wire.Attach{ID: 1, Window: 4, Deadline: tt.deadline}))
			st.Write(append(wire.AppendMessage(nil, wire.Message{Epoch: 1, Seq: 1, Size: 1}), 5))
			if left := <-got; left != tt.want {
				t.Errorf("deadline %v, limit %v: a message may take %v, want %v", tt.deadline, tt.limit, left, tt.want)
			}
		})
	}
}

// bounded tells how long a message may take.
type bounded struct {
	far.Endpoint
	limit time.Duration
	left  chan<- time.Duration
}

func (b bounded) Limit() time.Duration { return b.limit }

func (b bounded) Handle(ctx context.Context, request []byte) (abi.Status, []byte, error) {
	left := time.Duration(0)
	if d, ok := ctx.Deadline(); ok {
		left = time.Until(d)
	}
	b.left <- left
	return b.Endpoint.Handle(ctx, request)
}
