package siege

import (
	"context"
	"fmt"

	"github.com/bungee-xr/bungee/internal/abi"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// What a message has the hostile guest's endpoint do.
const (
	handleWell = iota
	handleTrap
	handleSpin
	handleNoOutcome
	handleEmpty
)

// gone is the answer to who names a far endpoint that there is not.
var gone = either(fail(wire.CodeGone))

// Channels whose far endpoints break, and who speaks to far endpoints that have ended, or never were.
var wrongChannels = []Kind{
	{Name: "message-trap", Share: 20, Allowed: either(halt(offload.CodeTrapped)), do: message(handleTrap)},
	{Name: "message-fuel", Share: 2, Allowed: either(halt(offload.CodeOutOfFuel)), do: message(handleSpin)},
	{Name: "message-empty-outcome", Share: 20, Allowed: either(halt(offload.CodeTrapped)), do: message(handleEmpty)},
	{Name: "message-no-outcome", Share: 20, Allowed: either(Response{wire.TypeOutcome, byte(abi.OK)}), do: message(handleNoOutcome)},
	{Name: "message-cut", Share: 20, Allowed: either(halt(offload.CodeProtocol)), do: toEndpoint(func(c *caller) []byte {
		return cut(c.rand, messageFrame(1, 1, handleWell))
	})},
	{Name: "message-backwards", Share: 20, Allowed: either(halt(offload.CodeProtocol)), do: messageBackwards},
	{Name: "restore-refused", Share: 20, Allowed: either(halt(offload.CodeProtocol)), do: toEndpoint(func(c *caller) []byte {
		state := randomBytes(c.rand, 2+c.rand.IntN(100))
		return append(wire.AppendState(nil, wire.TypeRestore, wire.State{Seq: c.rand.Uint64(), Size: len(state)}), state...)
	})},
	{Name: "channel-garbage", Share: 20, Allowed: either(halt(offload.CodeProtocol)), do: toEndpoint(func(c *caller) []byte { return unknownFrame(c.rand) })},
	{Name: "attach-no-module", Share: 20, Allowed: either(fail(offload.CodeNoModule)), do: func(ctx context.Context, c *caller) (Response, error) {
		return c.ask(ctx, wire.AppendAttach(nil, wire.Attach{ID: c.rand.Uint64(), Module: randomDigest(c.rand), Window: 1}))
	}},
	{Name: "attach-twice", Share: 20, Allowed: protocolViolated, do: attachTwice},
	{Name: "single-gone", Share: 20, Allowed: gone, do: func(ctx context.Context, c *caller) (Response, error) {
		return c.ask(ctx, wire.AppendSingle(nil, wire.Message{ID: c.rand.Uint64(), Epoch: 1, Seq: 1, Size: 4}), request(handleWell))
	}},
	{Name: "part-gone", Share: 20, Allowed: gone, do: func(ctx context.Context, c *caller) (Response, error) {
		return c.ask(ctx, wire.AppendPart(nil, wire.Part{ID: c.rand.Uint64(), Epoch: 1, Seq: 1, Parts: 2, Size: 4}), request(handleWell))
	}},
	{Name: "snapshot-gone", Share: 20, Allowed: gone, do: func(ctx context.Context, c *caller) (Response, error) {
		return c.ask(ctx, wire.AppendSnapshot(nil, wire.Snapshot{ID: c.rand.Uint64(), Have: wire.NoState}))
	}},
	{Name: "snapshot-after-halt", Share: 20, Allowed: gone, do: afterHalt},
}

// messageFrame is a message that has the endpoint do what.
func messageFrame(epoch uint32, seq uint64, what int) []byte {
	q := request(what)
	return append(wire.AppendMessage(nil, wire.Message{Epoch: epoch, Seq: seq, Size: len(q)}), q...)
}

// attached makes a far endpoint of the hostile guest.
func (c *caller) attached(ctx context.Context) (uint64, link.Stream, error) {
	id, st, err := attach(ctx, c.UE, wire.Attach{Fn: fnHostileHandle, Module: hostileDigest})
	if err == nil {
		c.limit(st)
	}
	return id, st, err
}

// message makes a far endpoint and sends it one message.
func message(what int) func(context.Context, *caller) (Response, error) {
	return toEndpoint(func(*caller) []byte { return messageFrame(1, 1, what) })
}

// toEndpoint makes a far endpoint, sends it a frame, and reads the one answer to that.
func toEndpoint(make func(c *caller) []byte) func(context.Context, *caller) (Response, error) {
	return func(ctx context.Context, c *caller) (a Response, err error) {
		_, st, err := c.attached(ctx)
		if err != nil {
			return a, err
		}
		defer st.Reset()
		return say(st, make(c))
	}
}

// say sends the last frames on a channel's stream and reads what answers them.
func say(st link.Stream, frames []byte) (a Response, err error) {
	st.Write(frames) // what becomes of it, the answer says
	st.Close()
	if a, _, err = readAnswer(st); err != nil {
		return a, err
	}
	for {
		t, err := wire.ReadType(st)
		if err != nil {
			return a, nil
		}
		if t != wire.TypeCredit {
			return a, fmt.Errorf("%w: frame 0x%02x", errMore, byte(t))
		}
		if _, err := wire.ReadCredit(st); err != nil {
			return a, err
		}
	}
}

// messageBackwards sends a message, and then one of an earlier epoch or number.
func messageBackwards(ctx context.Context, c *caller) (a Response, err error) {
	_, st, err := c.attached(ctx)
	if err != nil {
		return a, err
	}
	defer st.Reset()
	if _, err := st.Write(messageFrame(5, 5, handleWell)); err != nil {
		return a, err
	}
	if a, _, err = readAnswer(st); err != nil || a.Type != wire.TypeOutcome {
		return a, err
	}
	back := messageFrame(4, 6, handleWell)
	if c.rand.IntN(2) == 0 {
		back = messageFrame(5, c.rand.Uint64N(6), handleWell)
	}
	return say(st, back)
}

// attachTwice makes two far endpoints of one number.
func attachTwice(ctx context.Context, c *caller) (a Response, err error) {
	id, st, err := c.attached(ctx)
	if err != nil {
		return a, err
	}
	defer st.Reset()
	return c.ask(ctx, wire.AppendAttach(nil, wire.Attach{ID: id, Module: hostileDigest, Fn: fnHostileHandle, Window: 1}))
}

// afterHalt breaks a far endpoint and then asks for its state.
func afterHalt(ctx context.Context, c *caller) (a Response, err error) {
	id, st, err := c.attached(ctx)
	if err != nil {
		return a, err
	}
	defer st.Reset()
	if a, err = say(st, messageFrame(1, 1, handleTrap)); err != nil {
		return a, err
	}
	return c.ask(ctx, wire.AppendSnapshot(nil, wire.Snapshot{ID: id, Have: wire.NoState}))
}
