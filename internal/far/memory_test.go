package far_test

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/internal/abi"
	"github.com/bungee-xr/bungee/internal/budget"
	"github.com/bungee-xr/bungee/internal/far"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

const mib = 1 << 20

// narrow serves one UE whose tenant may hold 2 MiB, of a host that holds 8. Its calls echo; its far
// endpoints answer with their last message, which is also their state.
func narrow(t *testing.T, f func(t *testing.T, ue *link.Conn, share *budget.Share, ended <-chan struct{})) {
	var share *budget.Share
	cfg := echoes
	cfg.Open = func(context.Context, offload.Digest, uint32) (far.Endpoint, error) { return &lastSaid{}, nil }
	share = budget.New(8*mib).Share(1, 2*mib)
	cfg.Memory = share
	connect(t, cfg, func(t *testing.T, ue *link.Conn, ended <-chan struct{}) {
		f(t, ue, share, ended)
		ue.Close("")
		time.Sleep(time.Minute)
		if held := share.Stats().Held; held != 0 {
			t.Errorf("%d bytes are held when the UE has gone", held)
		}
	})
}

type lastSaid struct{ said []byte }

func (l *lastSaid) Handle(_ context.Context, request []byte) (abi.Status, []byte, error) {
	l.said = append(l.said[:0], request...)
	return abi.OK, l.said, nil
}
func (l *lastSaid) Save(context.Context) ([]byte, error) { return l.said, nil }
func (l *lastSaid) Restore(_ context.Context, state []byte) error {
	l.said = append(l.said[:0], state...)
	return nil
}
func (*lastSaid) Limit() time.Duration { return 0 }
func (*lastSaid) Close()               {}

// wantHeld wants that many MiB held.
func wantHeld(t *testing.T, what string, share *budget.Share, want int64) {
	t.Helper()
	if held := share.Stats().Held; held/mib != want {
		t.Errorf("%s: %d bytes held, want %d MiB and a little", what, held, want)
	}
}

// A call that finds no room is refused in time, and the next one on its stream is not.
func TestCallThatFindsNoRoom(t *testing.T) {
	narrow(t, func(t *testing.T, ue *link.Conn, share *budget.Share, _ <-chan struct{}) {
		st := open(t, ue)
		begin := time.Now()
		go st.Write(frame(0, string(make([]byte, 3*mib))))
		if _, fail := answer(t, st); fail == nil || fail.Code != offload.CodeOverloaded || fail.Started {
			t.Errorf("a request over what may be held: %v; want %v, not started", fail, offload.CodeOverloaded)
		}
		go st.Write(frame(0, string(make([]byte, 3*mib/2))))
		if _, fail := answer(t, st); fail == nil || fail.Code != offload.CodeOverloaded || !fail.Started {
			t.Errorf("a reply beside its request: %v; want %v, started", fail, offload.CodeOverloaded)
		}
		st.Write(frame(0, "x"))
		if reply, fail := answer(t, st); reply != "x" || fail != nil {
			t.Errorf("the next call: %q, %v; want x", reply, fail)
		}
		if took := time.Since(begin); took > 3*time.Second {
			t.Errorf("refused after %v; want within %v and what 4.5 MiB take", took, budget.Patience)
		}
	})
}

// A request waits for room, which another one gives back.
func TestCallWaitsForRoom(t *testing.T) {
	narrow(t, func(t *testing.T, ue *link.Conn, share *budget.Share, _ <-chan struct{}) {
		l, err := share.Try(2 * mib)
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(budget.Patience/2, l.Release)
		st := open(t, ue)
		st.Write(frame(0, "x"))
		if reply, fail := answer(t, st); reply != "x" || fail != nil {
			t.Errorf("%q, %v; want x", reply, fail)
		}
	})
}

// What is cut short, or is not read, is held for as long as a frame may take, and no longer.
func TestCutShort(t *testing.T) {
	cut := make([]byte, 2*mib-1)
	for _, tt := range []struct {
		name  string
		frame []byte
		on    func(t *testing.T, ue *link.Conn) link.Stream
	}{
		{"a call", wire.AppendCall(nil, wire.Call{Size: 2 * mib}), open},
		{"a message", wire.AppendMessage(nil, wire.Message{Epoch: 1, Seq: 1, Size: 2 * mib}), ordered},
		{"a restore", wire.AppendState(nil, wire.TypeRestore, wire.State{Size: 2 * mib}), ordered},
		{"a message of mode latest", wire.AppendSingle(nil, wire.Message{ID: 1, Epoch: 1, Seq: 1, Size: 2 * mib}), latest},
		{"a part", wire.AppendPart(nil, wire.Part{ID: 1, Epoch: 1, Seq: 1, Parts: 2, Size: 2 * mib}), latest},
	} {
		t.Run(tt.name, func(t *testing.T) {
			narrow(t, func(t *testing.T, ue *link.Conn, share *budget.Share, _ <-chan struct{}) {
				st := tt.on(t, ue)
				go st.Write(append(tt.frame, cut...))
				time.Sleep(wire.FrameTimeout * 3 / 4)
				wantHeld(t, "in the middle", share, 2)
				time.Sleep(wire.FrameTimeout * 2)
				wantHeld(t, "given up", share, 0)
			})
		})
	}
}

// ordered returns the stream of a far endpoint, and latest a stream beside one.
func ordered(t *testing.T, ue *link.Conn) link.Stream { return begin(t, ue, 0, false) }

func latest(t *testing.T, ue *link.Conn) link.Stream {
	begin(t, ue, 0, true)
	return open(t, ue)
}

// A message that never finds room ends its far endpoint with the code overloaded, and is not to blame.
func TestMessageThatFindsNoRoom(t *testing.T) {
	narrow(t, func(t *testing.T, ue *link.Conn, share *budget.Share, _ <-chan struct{}) {
		st := ordered(t, ue)
		go st.Write(append(wire.AppendMessage(nil, wire.Message{Epoch: 1, Seq: 1, Size: 3 * mib}), make([]byte, 3*mib)...))
		if h := halted(t, st); h.Fail.Code != offload.CodeOverloaded || h.Seq != 0 || h.Fail.Started {
			t.Errorf("halted with %+v; want %v, of no message, not started", h, offload.CodeOverloaded)
		}
	})
}

// A state that finds no room is refused at once, and the far endpoint goes on.
func TestStateThatFindsNoRoom(t *testing.T) {
	narrow(t, func(t *testing.T, ue *link.Conn, share *budget.Share, _ <-chan struct{}) {
		st := ordered(t, ue)
		st.Write(append(wire.AppendMessage(nil, wire.Message{Epoch: 1, Seq: 1, Size: 100 << 10}), make([]byte, 100<<10)...))
		if o, err := wire.ReadOutcome(typed(t, st, wire.TypeOutcome)); err != nil || o.Size != 100<<10 {
			t.Fatalf("outcome %+v, %v", o, err)
		}
		io.CopyN(io.Discard, st, 100<<10)
		l, err := share.Try(2*mib - 250<<10)
		if err != nil {
			t.Fatal(err)
		}
		ask := func() link.Stream {
			snap := open(t, ue)
			snap.Write(wire.AppendSnapshot(nil, wire.Snapshot{ID: 1, Have: wire.NoState}))
			snap.Close()
			return snap
		}
		if fail, err := wire.ReadFail(typed(t, ask(), wire.TypeFail)); err != nil || fail.Code != offload.CodeOverloaded {
			t.Errorf("a state without room: %v, %v; want %v", fail, err, offload.CodeOverloaded)
		}
		l.Release()
		if h, err := wire.ReadState(typed(t, ask(), wire.TypeState)); err != nil || h.Size != 100<<10 || h.Seq != 1 {
			t.Errorf("a state with room: %+v, %v", h, err)
		}
	})
}

// typed wants a frame of that type next.
func typed(t *testing.T, st link.Stream, want wire.Type) link.Stream {
	t.Helper()
	if typ, err := wire.ReadType(st); err != nil || typ != want {
		t.Fatalf("frame 0x%02x, %v; want 0x%02x", typ, err, want)
	}
	return st
}

// An application that does not read its outcomes may take its time, unless its tenant holds much.
func TestOutcomesThatAreNotRead(t *testing.T) {
	for _, much := range []bool{false, true} {
		narrow(t, func(t *testing.T, ue *link.Conn, share *budget.Share, _ <-chan struct{}) {
			st := ordered(t, ue)
			const size = 400 << 10 // two and a half of them fit into a stream's window that is not read
			for seq := range uint64(4) {
				go st.Write(append(wire.AppendMessage(nil, wire.Message{Epoch: 1, Seq: seq + 1, Size: size}), make([]byte, size)...))
				time.Sleep(time.Second)
			}
			if much {
				l, err := share.Try(500 << 10)
				if err != nil {
					t.Fatal(err)
				}
				defer l.Release()
			} else {
				time.Sleep(time.Hour)
			}
			time.Sleep(time.Minute)
			_, err := io.CopyN(io.Discard, st, 4*size)
			if much == (err == nil) {
				t.Errorf("outcomes that waited, the tenant holds much: %v; got %v", much, err)
			}
		})
	}
}

// Parts whose others never come are let go, the first one or not; a message that comes whole
// is answered, and holds nothing afterwards.
func TestPartsThatStayAlone(t *testing.T) {
	narrow(t, func(t *testing.T, ue *link.Conn, share *budget.Share, _ <-chan struct{}) {
		begin(t, ue, 0, true)
		send := func(seq uint64, index int, size int) link.Stream {
			st := open(t, ue)
			p := wire.Part{ID: 1, Epoch: 1, Seq: seq, Index: index, Parts: 2, Size: size}
			st.Write(append(wire.AppendPart(nil, p), make([]byte, size)...))
			st.Close()
			return st
		}
		for index := range 2 {
			st := send(uint64(index+1), index, mib)
			time.Sleep(time.Second)
			wantHeld(t, "one part of two", share, 1)
			time.Sleep(wire.FrameTimeout)
			wantHeld(t, "one part that stayed alone", share, 0)
			if fail, err := wire.ReadFail(typed(t, st, wire.TypeFail)); err != nil || fail.Code != wire.CodeSkipped {
				t.Errorf("part %d stayed alone: %v, %v; want that it was skipped", index, fail, err)
			}
		}
		second := send(3, 1, 100<<10)
		first := send(3, 0, 100<<10)
		if o, err := wire.ReadOutcome(typed(t, first, wire.TypeOutcome)); err != nil || o.Size != 200<<10 {
			t.Errorf("two parts: %+v, %v", o, err)
		}
		if n, err := second.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("the other part's stream: %d bytes, %v; want its end", n, err)
		}
		first.Reset()
		time.Sleep(time.Second)
		if held := share.Stats().Held; held != 0 {
			t.Errorf("%d bytes held after a message in parts", held)
		}
	})
}

// A UE whose tenant holds much may send less ahead, and its channel goes on.
func TestCreditUnderPressure(t *testing.T) {
	narrow(t, func(t *testing.T, ue *link.Conn, share *budget.Share, _ <-chan struct{}) {
		l, err := share.Try(3 * mib / 2)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Release()
		st := open(t, ue)
		st.Write(wire.AppendAttach(nil, wire.Attach{ID: 1, Window: 1000}))
		c, err := wire.ReadCredit(typed(t, st, wire.TypeAttached))
		if err != nil || c.Bytes > mib {
			t.Fatalf("first credit %+v, %v; want little", c, err)
		}
		const size = 10 << 10
		for sent := uint64(0); sent < 100*size; sent += size {
			for sent >= c.Bytes { // as a UE does, which may exceed it by one message
				if c, err = wire.ReadCredit(typed(t, st, wire.TypeCredit)); err != nil {
					t.Fatal(err)
				}
			}
			m := wire.Message{Epoch: 1, Seq: sent/size + 1, Quiet: true, Size: size}
			st.Write(append(wire.AppendMessage(nil, m), make([]byte, size)...))
		}
	})
}
