package control

import (
	"fmt"
	"time"

	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// soon returns when the UE must have sent, or taken, a frame.
func soon() time.Time { return time.Now().Add(wire.FrameTimeout) }

// Begin reads the type of the frame that st begins with: what the stream is for.
func Begin(st link.Stream) (wire.Type, error) {
	st.SetReadDeadline(soon())
	return wire.ReadType(st)
}

// read reads the rest of a frame.
func read(st link.Stream, body any) error {
	st.SetReadDeadline(soon())
	return wire.ReadControl(st, body)
}

// ReadHello reads a Hello, which Welcome or Refuse answers.
func ReadHello(st link.Stream) (h wire.Hello, err error) {
	return h, read(st, &h)
}

// Welcome answers a Hello. The stream stays open for GoAway.
func Welcome(st link.Stream, w wire.Welcome) error {
	st.SetWriteDeadline(soon())
	if _, err := st.Write(wire.AppendControl(nil, wire.TypeWelcome, w)); err != nil {
		st.Reset()
		return err
	}
	return nil
}

// GoAway tells the UE, on the stream of its Hello, that no new call is taken. It ends
// the stream.
func GoAway(st link.Stream, reason string) {
	last(st, wire.AppendControl(nil, wire.TypeGoAway, wire.GoAway{Reason: reason}))
}

// ReadHave reads a Have, which Loaded or Refuse answers.
func ReadHave(st link.Stream) (Digest, error) {
	var h wire.Have
	err := read(st, &h)
	return h.Digest, err
}

// ReadPut reads a Put and the module, which Loaded or Refuse answers. It does not
// compare the digest with the bytes. Before it makes room for the module it calls hold with
// its size, and returns the error of that.
func ReadPut(st link.Stream, hold func(size int) error) (d Digest, wasm []byte, err error) {
	var p wire.Put
	if err := read(st, &p); err != nil {
		return d, nil, err
	}
	if p.Size < 1 || p.Size > wire.MaxModule {
		text := fmt.Sprintf("module of %d bytes, not 1 to %d", p.Size, wire.MaxModule)
		return d, nil, &wire.Fail{Code: offload.CodeTooLarge, Text: text}
	}
	if err := hold(p.Size); err != nil {
		return d, nil, err
	}
	wasm = make([]byte, p.Size)
	return p.Digest, wasm, wire.ReadPaced(st, st, wasm)
}

// Loaded answers a Have or a Put.
func Loaded(st link.Stream, ready bool) {
	last(st, wire.AppendControl(nil, wire.TypeLoaded, wire.Loaded{Ready: ready}))
}

// Pong reads a Ping and answers it.
func Pong(st link.Stream) error {
	var p wire.Ping
	if err := read(st, &p); err != nil {
		return err
	}
	if len(p.Fill) > wire.MaxFill {
		return &wire.Fail{Code: offload.CodeProtocol, Text: fmt.Sprintf("a ping of %d bytes", len(p.Fill))}
	}
	last(st, wire.AppendControl(nil, wire.TypePong, p))
	return nil
}

// Refuse answers a request with err, and returns the Fail that it sent.
func Refuse(st link.Stream, err error) *wire.Fail {
	fail := wire.FailOf(err)
	last(st, wire.AppendFail(nil, *fail))
	return fail
}

// last sends the last bytes of a stream. It ignores a failure: then the UE is gone or has
// cancelled the request.
func last(st link.Stream, b []byte) {
	st.CloseRead()
	st.SetWriteDeadline(soon())
	if _, err := st.Write(b); err != nil {
		st.Reset()
		return
	}
	st.Close()
}
