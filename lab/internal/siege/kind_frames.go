package siege

import (
	"context"
	"encoding/binary"
	"math/rand/v2"

	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// asks makes a hostile call of frames.
func asks(make func(r *rand.Rand) []byte) func(context.Context, *caller) (Response, error) {
	return func(ctx context.Context, c *caller) (Response, error) { return c.ask(ctx, make(c.rand)) }
}

// protocolViolated is the answer to what breaks the protocol.
var protocolViolated = either(fail(offload.CodeProtocol))

// Frames that are none, that are out of their bounds, that end too early, or that are out of place.
var wrongFrames = []Kind{
	{Name: "frame-unknown", Share: 50, Allowed: protocolViolated, do: asks(unknownFrame)},
	{Name: "frame-of-hosts", Share: 50, Allowed: protocolViolated, do: asks(hostsFrame)},
	{Name: "control-long", Share: 20, Allowed: protocolViolated, do: asks(func(r *rand.Rand) []byte {
		return append([]byte{byte(wire.TypeHave)}, 0xff, byte(r.Uint32()), 1, 2, 3)
	})},
	{Name: "control-garbage", Share: 50, Allowed: either(fail(offload.CodeProtocol), Response{Type: wire.TypeLoaded}), do: asks(controlGarbage)},
	{Name: "control-cut", Share: 20, Allowed: protocolViolated, do: asks(func(r *rand.Rand) []byte {
		return cut(r, wire.AppendControl(nil, wire.TypeHave, wire.Have{}))
	})},
	{Name: "hello-again", Share: 20, Allowed: protocolViolated, do: asks(func(r *rand.Rand) []byte {
		return wire.AppendControl(nil, wire.TypeHello, wire.Hello{Name: "again", Session: r.Uint64()})
	})},
	{Name: "ping-large", Share: 20, Allowed: protocolViolated, do: asks(func(r *rand.Rand) []byte {
		return wire.AppendControl(nil, wire.TypePing, wire.Ping{Fill: make([]byte, wire.MaxFill+1+r.IntN(1000))})
	})},
	{Name: "call-cut", Share: 50, Allowed: protocolViolated, do: asks(func(r *rand.Rand) []byte {
		return cut(r, hostileCall(fnEcho, 0, zeros()[:20]))
	})},
	{Name: "call-large", Share: 20, Allowed: protocolViolated, do: asks(func(r *rand.Rand) []byte {
		return wire.AppendCall(nil, wire.Call{Module: hostileDigest, Size: wire.MaxPayload + 1 + r.IntN(1<<20)})
	})},
	{Name: "call-extensions", Share: 20, Allowed: protocolViolated, do: asks(wrongExtensions)},
	{Name: "call-no-module", Share: 50, Allowed: either(fail(offload.CodeNoModule)), do: asks(func(r *rand.Rand) []byte {
		return frame(wire.Call{Module: randomDigest(r), Fn: r.Uint32()}, zeros()[:r.IntN(100)])
	})},
	{Name: "call-then-garbage", Share: 50, Allowed: protocolViolated, do: callThenGarbage},
	{Name: "have-unknown", Share: 20, Allowed: either(Response{Type: wire.TypeLoaded}), do: asks(func(r *rand.Rand) []byte {
		return wire.AppendControl(nil, wire.TypeHave, wire.Have{Digest: randomDigest(r)})
	})},
	{Name: "attach-bounds", Share: 20, Allowed: protocolViolated, do: asks(func(r *rand.Rand) []byte {
		return wire.AppendAttach(nil, wire.Attach{ID: r.Uint64(), Module: hostileDigest, Fn: fnHostileHandle, Window: uint32(r.IntN(2)) * (wire.MaxWindow + 1)})
	})},
	{Name: "message-flags", Share: 20, Allowed: protocolViolated, do: asks(func(r *rand.Rand) []byte {
		b := wire.AppendSingle(nil, wire.Message{ID: r.Uint64(), Epoch: 1, Seq: 1})
		b[1+8+4+8] = byte(4 + r.IntN(250))
		return b
	})},
	{Name: "part-bounds", Share: 20, Allowed: protocolViolated, do: asks(func(r *rand.Rand) []byte {
		return wire.AppendPart(nil, wire.Part{ID: r.Uint64(), Epoch: 1, Seq: 1, Index: 3 + r.IntN(9), Parts: r.IntN(3)})
	})},
}

// unknownFrame is a frame of a type that there is not.
func unknownFrame(r *rand.Rand) []byte {
	return append([]byte{byte(0x30 + r.IntN(0xd0))}, randomBytes(r, r.IntN(200))...)
}

// hostsFrame is a frame that only hosts send, or that belongs on another stream.
func hostsFrame(r *rand.Rand) []byte {
	all := []wire.Type{wire.TypeWelcome, wire.TypeGoAway, wire.TypeLoaded, wire.TypeResult, wire.TypeFail, wire.TypeAttached,
		wire.TypeRestore, wire.TypeMessage, wire.TypeOutcome, wire.TypeCredit, wire.TypeHalt, wire.TypeState, wire.TypePong}
	return append([]byte{byte(all[r.IntN(len(all))])}, randomBytes(r, r.IntN(200))...)
}

// controlGarbage is a Have whose body is random. A body that happens to decode asks for a module that is not there.
func controlGarbage(r *rand.Rand) []byte {
	body := randomBytes(r, r.IntN(200))
	return append(binary.BigEndian.AppendUint16([]byte{byte(wire.TypeHave)}, uint16(len(body))), body...)
}

// wrongExtensions is a call whose block of extensions is too long, or does not end where it says.
func wrongExtensions(r *rand.Rand) []byte {
	b := hostileCall(fnEcho, 0, nil)
	if r.IntN(2) == 0 {
		binary.BigEndian.PutUint16(b[wire.CallHeader-2:], wire.MaxExtensions+1)
		return append(b, zeros()[:wire.MaxExtensions+1]...)
	}
	binary.BigEndian.PutUint16(b[wire.CallHeader-2:], 4)
	return append(b, 0x80, 0xff, 0xff, 0)
}

// callThenGarbage makes an honest call, and on the same stream sends what is no call, and after it another call,
// which is not answered any more.
func callThenGarbage(ctx context.Context, c *caller) (a Response, err error) {
	st, err := c.Open(ctx)
	if err != nil {
		return a, err
	}
	defer st.Reset()
	c.limit(st)
	if _, _, err := Exchange(st, wire.Call{Module: hostileDigest, Fn: fnEcho}, []byte("first")); err != nil {
		return a, err
	}
	st.Write(append(unknownFrame(c.rand), hostileCall(fnEcho, 0, nil)...)) // the answer says what becomes of it
	st.Close()
	if a, _, err = readAnswer(st); err != nil {
		return a, err
	}
	return a, readEnd(st)
}

// cut returns b without some of its end: at least a byte, and not all.
func cut(r *rand.Rand, b []byte) []byte { return b[:1+r.IntN(len(b)-1)] }

func randomBytes(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func randomDigest(r *rand.Rand) (d [32]byte) {
	copy(d[:], randomBytes(r, len(d)))
	return d
}
