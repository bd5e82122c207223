package offloadtest

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/internal/abi"
	"github.com/bungee-xr/bungee/offload/codegen"
)

const (
	maxConversations = 40 // of messages to one endpoint; with -short a tenth
	maxMessages      = 8  // in one
)

// Endpoint compares the native far endpoint of e with the one in m: messages, what they
// come to, and the state after each. The state moves from the one to the other after some number
// of messages. A second native endpoint gets the same messages, so that a Handle which depends
// on more than state and message is found out.
func Endpoint[In, Out any](t *testing.T, m *Module, e *codegen.Endpoint[In, Out]) {
	t.Helper()
	m.run(t)
	begin := time.Now()
	n, messages, discarded, left := maxConversations, 0, 0, 0
	if testing.Short() {
		n /= 10
	}
	for seed := range n {
		if t.Failed() || time.Since(begin) > maxTest || left >= maxLeft {
			break
		}
		c := conversation[In, Out]{e: e, in: instance{m: m}}
		for i := range seed % (maxMessages + 1) {
			c.requests = append(c.requests, e.AppendIn(nil, value[In](uint64(seed*maxMessages+i))))
		}
		switch why, fate := c.compare(seed / (maxMessages + 1)); {
		case fate == leftBehind:
			left++
			fallthrough
		case fate == outOfBounds:
			discarded++
		case why != "":
			t.Errorf("%s, messages %x: %s", e.Name, c.requests, why)
		default:
			messages += len(c.requests)
		}
		c.in.close()
	}
	t.Logf("%s: %d messages alike; %d conversations discarded", e.Name, messages, discarded)
}

// A fate says whether a conversation can be compared.
type fate int

const (
	compared fate = iota
	outOfBounds
	leftBehind // natively it goes on
)

// A conversation is messages to an endpoint.
type conversation[In, Out any] struct {
	e        *codegen.Endpoint[In, Out]
	in       instance
	requests [][]byte
}

// A record is what the messages of a conversation came to. It ends with a panic.
type record struct {
	outcomes [][]byte
	states   [][]byte // before the first message, and after each
}

func (r record) equal(o record) bool {
	return slices.EqualFunc(r.outcomes, o.outcomes, sameOutcome) && slices.EqualFunc(r.states, o.states, bytes.Equal)
}

// compare has the messages handled in the module, natively, and once more in the module
// from the native state after move messages on. It returns what differs, "" for nothing.
func (c *conversation[In, Out]) compare(move int) (why string, f fate) {
	there, err := c.inModule(record{}, 0)
	if discard(last(there.outcomes), err) {
		return "", outOfBounds
	}
	here, ok := within(c.native)
	if !ok {
		return "", leftBehind
	}
	again, ok := within(c.native)
	switch {
	case !ok:
		return "", leftBehind
	case !here.equal(again):
		return fmt.Sprintf("Handle depends on more than state and message: natively they came to %x and left %x, and a second time to %x and %x",
			here.outcomes, here.states, again.outcomes, again.states), compared
	case err != nil:
		return "the module: " + err.Error(), compared
	case !here.equal(there):
		return fmt.Sprintf("natively they came to %x and left %x, in the module to %x and %x", here.outcomes, here.states, there.outcomes, there.states), compared
	case len(here.states) == 0:
		return "", compared
	}
	move %= len(here.states)
	moved, err := c.inModule(here, move)
	if rest := (record{here.outcomes[min(move, len(here.outcomes)):], here.states[move:]}); err != nil || !rest.equal(moved) {
		return fmt.Sprintf("after a move behind %d messages they came in the module to %x and left %x, %v; natively %x and %x", move, moved.outcomes, moved.states, err, rest.outcomes, rest.states), compared
	}
	return "", compared
}

func last(list [][]byte) []byte {
	if len(list) == 0 {
		return nil
	}
	return list[len(list)-1]
}

// native has the messages handled natively.
func (c *conversation[In, Out]) native() (r record) {
	s := c.e.Serve()
	save := func() { r.states = append(r.states, s.Save(context.Background(), nil, nil)) }
	save()
	for _, m := range c.requests {
		out := handle(s, m)
		r.outcomes = append(r.outcomes, out)
		if abi.Status(out[0]) == abi.Panic {
			break
		}
		save()
	}
	return r
}

// inModule has the messages from number from on handled in a new instance of the module, with
// the state before it that is in begin, or without one.
func (c *conversation[In, Out]) inModule(begin record, from int) (r record, err error) {
	c.in.close()
	var state []byte
	if len(begin.states) > from {
		state = begin.states[from][1:]
	}
	reply, err := c.in.call(c.e.Restore(), state)
	if err == nil && reply[0] != byte(abi.OK) {
		err = fmt.Errorf("it does not restore state %x: %x", state, reply)
	}
	if err != nil {
		return r, err
	}
	for n := from; ; n++ {
		saved, err := c.in.call(c.e.Save(), nil)
		if err != nil {
			return r, err
		}
		r.states = append(r.states, saved)
		if n >= len(c.requests) {
			return r, nil
		}
		out, err := c.in.call(c.e.Index, c.requests[n])
		if err != nil {
			return r, err
		}
		r.outcomes = append(r.outcomes, out)
		if abi.Status(out[0]) == abi.Panic {
			return r, nil
		}
	}
}

// handle handles a message. A panic becomes a reply.
func handle(s codegen.Serving, request []byte) (out []byte) {
	defer func() {
		if v := recover(); v != nil {
			out = abi.AppendPanic([]byte{byte(abi.Panic)}, v)
		}
	}()
	return s.Handle(context.Background(), slices.Clone(request), nil)
}

func sameOutcome(a, b []byte) bool {
	if len(a) > 0 && len(b) > 0 && a[0] == byte(abi.Panic) && b[0] == a[0] {
		return panicText(a) == panicText(b)
	}
	return bytes.Equal(a, b)
}
