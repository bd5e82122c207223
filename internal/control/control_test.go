package control_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/internal/control"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/link/linktest"
	"github.com/bungee-xr/bungee/internal/radio"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

const oneWay = 5 * time.Millisecond

// connect gives f a UE's connection to a host that answers each of its streams, in
// virtual time.
func connect(t *testing.T, answer func(st link.Stream), f func(t *testing.T, ue *link.Conn)) {
	linktest.Connect(t, &radio.Air{OneWay: oneWay}, answer, f)
}

func open(t *testing.T, ue *link.Conn) link.Stream {
	t.Helper()
	st, err := ue.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return st
}

var welcome = wire.Welcome{Name: "edge", Cores: 2, Lifeline: 7000}

// host answers as an edge host does. It has the module {1} and takes others of at least
// two bytes.
func host(leave <-chan string, heard func(wire.Hello)) func(st link.Stream) {
	return func(st link.Stream) {
		t, err := control.Begin(st)
		switch t {
		case wire.TypeHello:
			var h wire.Hello
			if h, err = control.ReadHello(st); err == nil {
				heard(h)
				control.Welcome(st, welcome)
				if reason, ok := <-leave; ok {
					control.GoAway(st, reason)
				}
			}
		case wire.TypeHave:
			var d control.Digest
			if d, err = control.ReadHave(st); err == nil {
				control.Loaded(st, d == control.Digest{1})
			}
		case wire.TypePut:
			var wasm []byte
			if _, wasm, err = control.ReadPut(st, holds); err == nil && len(wasm) < 2 {
				err = &wire.Fail{Code: offload.CodeBadModule}
			}
			if err == nil {
				control.Loaded(st, true)
			}
		case wire.TypePing:
			err = control.Pong(st)
		}
		if err != nil {
			control.Refuse(st, err)
		}
	}
}

func TestBothEnds(t *testing.T) {
	var leave chan string // made in the bubble of the test
	var heard wire.Hello
	answer := func(st link.Stream) { host(leave, func(h wire.Hello) { heard = h })(st) }
	connect(t, answer, func(t *testing.T, ue *link.Conn) {
		leave = make(chan string, 1)
		said := wire.Hello{Name: "ue", Session: 7}
		session := open(t, ue)
		if w, err := control.Hello(t.Context(), session, said); w != welcome || err != nil || heard.Name != "ue" || heard.Session != 7 {
			t.Errorf("hello: %+v, %v, and the host heard %+v; want %+v and %+v", w, err, heard, welcome, said)
		}
		for _, tt := range []struct {
			d    control.Digest
			want bool
		}{{control.Digest{1}, true}, {control.Digest{2}, false}} {
			if ready, err := control.Have(t.Context(), open(t, ue), tt.d); ready != tt.want || err != nil {
				t.Errorf("have %x: %v, %v; want %v", tt.d[:1], ready, err, tt.want)
			}
		}
		if err := control.Put(t.Context(), open(t, ue), control.Digest{2}, make([]byte, 1<<20)); err != nil {
			t.Errorf("put: %v", err)
		}
		var fail *wire.Fail
		if err := control.Put(t.Context(), open(t, ue), control.Digest{2}, []byte{1}); !errors.As(err, &fail) || fail.Code != offload.CodeBadModule {
			t.Errorf("put of a bad module: %v, want %v", err, offload.CodeBadModule)
		}
		if took, err := control.Ping(t.Context(), open(t, ue)); took != 2*oneWay || err != nil {
			t.Errorf("ping: %v, %v; want %v", took, err, 2*oneWay)
		}
		time.Sleep(time.Hour) // a session may last
		leave <- "maintenance"
		if reason, err := control.AwaitGoAway(session); reason != "maintenance" || err != nil {
			t.Errorf("go away: %q, %v; want maintenance", reason, err)
		}
	})
}

// asks are what a UE may ask, each on a stream of its own.
var asks = map[string]func(context.Context, link.Stream) error{
	"hello": func(ctx context.Context, st link.Stream) error {
		_, err := control.Hello(ctx, st, wire.Hello{Name: "ue"})
		return err
	},
	"have": func(ctx context.Context, st link.Stream) error {
		_, err := control.Have(ctx, st, control.Digest{1})
		return err
	},
	"put": func(ctx context.Context, st link.Stream) error {
		return control.Put(ctx, st, control.Digest{1}, make([]byte, 8<<20))
	},
	"ping": func(ctx context.Context, st link.Stream) error {
		_, err := control.Ping(ctx, st)
		return err
	},
	"go away": func(_ context.Context, st link.Stream) error {
		st.Write([]byte{0})
		_, err := control.AwaitGoAway(st)
		return err
	},
}

// A Fail in place of an answer is the error, also while the UE still sends; any other
// frame, and an end, are errors too.
func TestAnswersThatAreNone(t *testing.T) {
	tests := []struct {
		name   string
		answer []byte
		is     func(error) bool
	}{
		{"fail", wire.AppendFail(nil, wire.Fail{Code: offload.CodeOverloaded, Text: "full"}), func(err error) bool {
			var f *wire.Fail
			return errors.As(err, &f) && f.Code == offload.CodeOverloaded
		}},
		{"another frame", wire.AppendSnapshot(nil, wire.Snapshot{}), func(err error) bool { return errors.Is(err, wire.ErrFrame) }},
		{"the end", nil, func(err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) }},
		{"half a Fail", wire.AppendFail(nil, wire.Fail{Text: "full"})[:6], func(err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) }},
	}
	for _, tt := range tests {
		answer := func(st link.Stream) {
			control.Begin(st)
			st.CloseRead()
			st.Write(tt.answer)
			st.Close()
		}
		connect(t, answer, func(t *testing.T, ue *link.Conn) {
			for name, ask := range asks {
				if err := ask(t.Context(), open(t, ue)); !tt.is(err) {
					t.Errorf("%s, answered with %s: %v", name, tt.name, err)
				}
			}
		})
	}
}

// A host that does not answer is waited for until ctx ends.
func TestSilentHost(t *testing.T) {
	var quit chan struct{} // made in the bubble of the test
	connect(t, func(link.Stream) { <-quit }, func(t *testing.T, ue *link.Conn) {
		quit = make(chan struct{})
		for name, ask := range asks {
			if name == "go away" { // which is for the host to say, or not
				continue
			}
			begin := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			err := ask(ctx, open(t, ue))
			cancel()
			if took := time.Since(begin); !errors.Is(err, context.DeadlineExceeded) || took != time.Second {
				t.Errorf("%s: %v after %v; want the end of its ctx after 1s", name, err, took)
			}
		}
		close(quit)
	})
}

// A UE that sends half a request is refused in time.
func TestSlowUE(t *testing.T) {
	put := wire.AppendControl(nil, wire.TypePut, wire.Put{Size: 100})
	tests := []struct {
		name  string
		bytes []byte
		limit time.Duration
	}{
		{"half a hello", wire.AppendControl(nil, wire.TypeHello, wire.Hello{Name: "ue"})[:4], wire.FrameTimeout},
		{"half a have", wire.AppendControl(nil, wire.TypeHave, wire.Have{})[:20], wire.FrameTimeout},
		{"half a ping", wire.AppendControl(nil, wire.TypePing, wire.Ping{})[:1], wire.FrameTimeout},
		{"half a put", put[:9], wire.FrameTimeout},
		{"a put without the module", put, wire.FrameTimeout},
	}
	connect(t, host(nil, func(wire.Hello) {}), func(t *testing.T, ue *link.Conn) {
		for _, tt := range tests {
			begin := time.Now()
			st := open(t, ue)
			st.Write(tt.bytes)
			b, err := io.ReadAll(st)
			if len(b) == 0 || wire.Type(b[0]) != wire.TypeFail || err != nil {
				t.Errorf("%s: %x, %v; want a Fail", tt.name, b, err)
			}
			if took := time.Since(begin); took < tt.limit || took > tt.limit+time.Second {
				t.Errorf("%s: refused after %v, want %v", tt.name, took, tt.limit)
			}
		}
	})
}

// holds is a host's word on a module's size: one of 3,333 bytes finds no room.
func holds(size int) error {
	if size == 3333 {
		return &wire.Fail{Code: offload.CodeOverloaded}
	}
	return nil
}

// A module that finds no room is refused before it has come.
func TestPutThatFindsNoRoom(t *testing.T) {
	connect(t, host(nil, func(wire.Hello) {}), func(t *testing.T, ue *link.Conn) {
		begin := time.Now()
		st := open(t, ue)
		st.Write(wire.AppendControl(nil, wire.TypePut, wire.Put{Size: 3333}))
		var fail *wire.Fail
		if err := wire.ExpectControl(st, wire.TypeLoaded, new(wire.Loaded)); !errors.As(err, &fail) || fail.Code != offload.CodeOverloaded {
			t.Errorf("a module without room: %v, want %v", err, offload.CodeOverloaded)
		}
		if took := time.Since(begin); took > time.Second {
			t.Errorf("refused after %v, want at once", took)
		}
	})
}

func TestPutIsBounded(t *testing.T) {
	connect(t, host(nil, func(wire.Hello) {}), func(t *testing.T, ue *link.Conn) {
		for _, size := range []int{-1, 0, wire.MaxModule + 1} {
			st := open(t, ue)
			st.Write(wire.AppendControl(nil, wire.TypePut, wire.Put{Size: size}))
			var fail *wire.Fail
			if err := wire.ExpectControl(st, wire.TypeLoaded, new(wire.Loaded)); !errors.As(err, &fail) || fail.Code != offload.CodeTooLarge {
				t.Errorf("module of %d bytes: %v, want %v", size, err, offload.CodeTooLarge)
			}
		}
	})
}
