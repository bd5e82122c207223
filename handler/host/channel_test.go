package host_test

import (
	"bytes"
	"crypto/sha256"
	"io"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// greet says hello for a session.
func greet(t *testing.T, c *link.Conn, session uint64) {
	t.Helper()
	st, err := c.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	st.Write(wire.AppendControl(nil, wire.TypeHello, wire.Hello{Name: "ue", Session: session}))
	var w wire.Welcome
	if err := wire.ExpectControl(st, wire.TypeWelcome, &w); err != nil {
		t.Fatal(err)
	}
}

// attach returns the stream of a far endpoint, or the host's refusal.
func attach(t *testing.T, c *link.Conn, id uint64) (link.Stream, *wire.Fail) {
	t.Helper()
	return attachTo(t, c, id, wasm)
}

// attachTo is attach of a far endpoint of a module.
func attachTo(t *testing.T, c *link.Conn, id uint64, wasm []byte) (link.Stream, *wire.Fail) {
	t.Helper()
	st, err := c.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	st.Write(wire.AppendAttach(nil, wire.Attach{ID: id, Module: sha256.Sum256(wasm), Window: 8}))
	typ, err := wire.ReadType(st)
	if err != nil {
		t.Fatal(err)
	}
	if typ == wire.TypeFail {
		f, err := wire.ReadFail(st)
		if err != nil {
			t.Fatal(err)
		}
		return nil, f
	}
	if _, err := wire.ReadCredit(st); typ != wire.TypeAttached || err != nil {
		t.Fatalf("attach was answered with frame 0x%02x, %v", typ, err)
	}
	return st, nil
}

// message has a far endpoint that echoes handle one, and returns the payload.
func message(t *testing.T, st link.Stream, seq uint64, payload string) string {
	t.Helper()
	m := wire.Message{Epoch: 1, Seq: seq, Size: len(payload)}
	st.Write(append(wire.AppendMessage(nil, m), payload...))
	typ, err := wire.ReadType(st)
	if err != nil || typ != wire.TypeOutcome {
		t.Fatalf("message %d was answered with frame 0x%02x, %v", seq, typ, err)
	}
	o, err := wire.ReadOutcome(st)
	if err != nil || o.Seq != seq {
		t.Fatalf("outcome %+v, %v; want one of message %d", o, err, seq)
	}
	b := make([]byte, o.Size)
	if _, err := io.ReadFull(st, b); err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// isState says whether an answer is a State.
func isState(answer []byte) bool {
	return len(answer) > 0 && wire.Type(answer[0]) == wire.TypeState
}

func TestChannelNeedsHello(t *testing.T) {
	dial(t, func(t *testing.T, c *link.Conn) {
		ask(t, c, put(wasm), true)
		if _, fail := attach(t, c, 1); fail == nil || fail.Code != offload.CodeProtocol {
			t.Errorf("attach before hello: %v, want %v", fail, offload.CodeProtocol)
		}
		greet(t, c, 7)
		st, fail := attach(t, c, 1)
		if fail != nil {
			t.Fatalf("attach after hello: %v", fail)
		}
		if got := message(t, st, 1, "hi"); got != "hi" {
			t.Errorf("echo %q, want hi", got)
		}
	})
}

// A channel may say nothing for as long as it likes: frames have a timeout, and
// the time between them has none.
func TestSilentChannelIsServed(t *testing.T) {
	dial(t, func(t *testing.T, c *link.Conn) {
		ask(t, c, put(wasm), true)
		greet(t, c, 7)
		st, fail := attach(t, c, 1)
		if fail != nil {
			t.Fatal(fail)
		}
		message(t, st, 1, "a")
		time.Sleep(time.Hour)
		if got := message(t, st, 2, "b"); got != "b" {
			t.Errorf("echo %q after an hour, want b", got)
		}
	})
}

// The connections of one session share its channels, and no others do.
func TestSessionsShareChannels(t *testing.T) {
	dialEach(t, 4, func(t *testing.T, conns []*link.Conn) {
		c, same, other, none := conns[0], conns[1], conns[2], conns[3]
		ask(t, c, put(wasm), true)
		greet(t, c, 7)
		greet(t, same, 7)
		greet(t, other, 8)
		greet(t, none, 0)
		if _, fail := attach(t, c, 1); fail != nil {
			t.Fatal(fail)
		}
		snapshot := wire.AppendSnapshot(nil, wire.Snapshot{ID: 1})
		if answer := ask(t, same, snapshot, true); !isState(answer) {
			t.Errorf("the session's other connection got %.40x, want the state", answer)
		}
		wantFail(t, "another session", ask(t, other, snapshot, true), wire.CodeGone)
		wantFail(t, "no session", ask(t, none, snapshot, true), wire.CodeGone)
		c.Close("")
		time.Sleep(time.Second)
		wantFail(t, "after the end of the connection that attached it", ask(t, same, snapshot, true), wire.CodeGone)
		if _, fail := attach(t, same, 1); fail != nil {
			t.Errorf("attach on the connection that is left: %v", fail)
		}
	})
}

// Far endpoints are bounded over all UEs, and what has ended counts no more.
func TestChannelsAreBounded(t *testing.T) {
	dialEach(t, 2, func(t *testing.T, conns []*link.Conn) {
		ask(t, conns[0], put(wasm), true)
		greet(t, conns[0], 7)
		greet(t, conns[1], 8)
		first, fail := attach(t, conns[0], 1)
		if fail != nil {
			t.Fatal(fail)
		}
		if _, fail := attach(t, conns[0], 2); fail != nil {
			t.Fatal(fail)
		}
		if _, fail := attach(t, conns[1], 1); fail == nil || fail.Code != offload.CodeOverloaded {
			t.Errorf("third far endpoint of two: %v, want %v", fail, offload.CodeOverloaded)
		}
		first.Reset()
		time.Sleep(time.Second)
		if _, fail := attach(t, conns[1], 1); fail != nil {
			t.Errorf("a far endpoint in place of one that has ended: %v", fail)
		}
	})
}

// A module that is not there is no reason to hold anything.
func TestAttachOfAnUnknownModule(t *testing.T) {
	dial(t, func(t *testing.T, c *link.Conn) {
		greet(t, c, 7)
		for id := range uint64(5) {
			if _, fail := attach(t, c, id); fail == nil || fail.Code != offload.CodeNoModule {
				t.Errorf("attach: %v, want %v", fail, offload.CodeNoModule)
			}
		}
		ask(t, c, put(wasm), true)
		if _, fail := attach(t, c, 9); fail != nil {
			t.Errorf("attach once the module is there: %v", fail)
		}
	})
}

// Half a frame that begins a channel holds a stream, and ends with its connection.
func TestHalfAChannel(t *testing.T) {
	dial(t, func(t *testing.T, c *link.Conn) {
		greet(t, c, 7)
		begin := time.Now()
		single := wire.AppendSingle(nil, wire.Message{ID: 1, Size: 100})
		answer := ask(t, c, single[:10], false)
		if took := time.Since(begin); took > 10*time.Second || bytes.Contains(answer, []byte{byte(wire.TypeOutcome)}) {
			t.Errorf("half a message was answered with %x after %v", answer, took)
		}
	})
}
