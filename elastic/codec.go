package elastic

import (
	"bytes"
	"fmt"

	"github.com/bungee-xr/bungee/internal/abi"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
	"github.com/bungee-xr/bungee/offload/pack"
)

// A type with Msgpack methods of its own brings the application's code into a codec, so a
// codec may panic: in Send, in a Move, or at bytes that a host sent. That is an error.

// caught makes a panic an error. It is deferred by what calls a codec.
func caught(err *error, what string) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("%s: %w", what, offload.PanicError(abi.PanicLine(p)))
	}
}

// appendIn encodes a message behind room for its header.
func (c *Channel[In, Out]) appendIn(b []byte, room int, in In) (frame []byte, err error) {
	defer caught(&err, "encode a message of "+c.ep.Name)
	frame = c.ep.AppendIn(append(b, make([]byte, room)...), in)
	if n := len(frame) - room; n > wire.MaxPayload {
		return frame, tooLarge("message", n, wire.MaxPayload)
	}
	return frame, nil
}

// readIn decodes a message. Its value shares nothing with b: a Handle that is left behind may still
// read it when the log has released its frame.
func (c *Channel[In, Out]) readIn(b []byte) (in In, err error) {
	defer caught(&err, "decode a message of "+c.ep.Name)
	r := pack.NewReader(bytes.Clone(b))
	in = c.ep.ReadIn(&r)
	return in, r.Done()
}

// stateHere returns the state of the far endpoint on the UE. Nobody uses that meanwhile.
func (c *Channel[In, Out]) stateHere() (state []byte, err error) {
	defer caught(&err, "encode the state of "+c.ep.Name)
	state = c.here.live.AppendState(nil)
	if len(state) > wire.MaxState {
		return nil, tooLarge("state", len(state), wire.MaxState)
	}
	return state, nil
}

// load makes a far endpoint on the UE with the state of k.
func (c *Channel[In, Out]) load(k checkpoint) (n *native[In, Out], err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("%w: %w", ErrState, err)
		}
	}()
	defer caught(&err, "decode the state of "+c.ep.Name)
	live, err := c.ep.Load(k.state)
	if err != nil {
		return nil, err
	}
	n = c.native(live)
	n.has = k.seq
	return n, nil
}

// decode reads an outcome into b.
func (c *Channel[In, Out]) decode(host string, status byte, payload []byte, b *batch[Out]) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("%w: outcome: %w", ErrPeer, err)
		}
	}()
	defer caught(&err, "decode a result of "+c.ep.Name)
	clear(b.outs)
	b.outs = b.outs[:0]
	handled, broken := c.ep.ReadOutcome(abi.Status(status), payload, func(out Out) { b.outs = append(b.outs, out) })
	if p, ok := handled.(offload.PanicError); ok {
		handled = &offload.CallError{Func: c.ep.Name, Host: host, Code: offload.CodePanicked, Fate: offload.Ended, Err: p}
	}
	b.err = handled
	return broken
}

// tooLarge is the error for what is over a bound of the wire.
func tooLarge(what string, n, most int) error {
	return &channelError{offload.CodeTooLarge, fmt.Sprintf("%s of %d bytes, over %d", what, n, most)}
}
