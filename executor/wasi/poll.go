package wasi

import (
	"math"
	"time"
)

// Sizes of the records of poll_oneoff, and the most that a call has.
const (
	subscriptionSize = 48
	eventSize        = 32
	maxSubscriptions = 64
)

// The kinds of subscription.
const (
	waitClock uint8 = iota
	waitRead
	waitWrite
)

// A subscription is one thing that poll_oneoff waits for.
type subscription struct {
	user  uint64
	kind  uint8
	left  time.Duration // until a clock is there; 0: at once
	bytes uint64        // that can be read
	flags uint16
	err   errno
}

// pollOneoff waits until a time comes. Files and streams are ready always.
func pollOneoff(in *instance, c call) error {
	n := c.i32(2)
	if n == 0 || n > maxSubscriptions {
		return eInvalid
	}
	asked, err := c.at(0, n*subscriptionSize)
	if err != nil {
		return err
	}
	events, err := c.at(1, n*eventSize)
	if err != nil {
		return err
	}
	// All are read before one event is written: the lists may overlap.
	var all [maxSubscriptions]subscription
	subs := all[:n]
	wait := time.Duration(math.MaxInt64)
	for i := range subs {
		if subs[i], err = in.subscribe(asked[i*subscriptionSize:][:subscriptionSize]); err != nil {
			return err
		}
		wait = min(wait, subs[i].left)
	}
	if err := in.clock.sleep(c.ctx, wait); err != nil {
		return err
	}
	return c.put32(3, tell(events, subs, wait))
}

// subscribe reads a subscription.
func (in *instance) subscribe(b []byte) (s subscription, err error) {
	s.user, s.kind = order.Uint64(b), b[8]
	switch s.kind {
	case waitClock:
		s.left, err = in.until(b[16:])
	case waitRead, waitWrite:
		s.bytes, s.flags, err = in.ready(s.kind, order.Uint32(b[16:]))
	default:
		return s, eInvalid
	}
	s.err = errnoOf(err)
	return s, nil
}

// until returns how long it is until the time that b asks for.
func (in *instance) until(b []byte) (time.Duration, error) {
	const absolute = 1
	now, err := in.clock.read(order.Uint32(b))
	if err != nil {
		return 0, err
	}
	t := order.Uint64(b[8:])
	if order.Uint16(b[24:])&absolute != 0 {
		t -= min(t, now)
	}
	return time.Duration(min(t, math.MaxInt64)), nil
}

// ready says what can be read from descriptor fd. The end of standard input has come.
func (in *instance) ready(kind uint8, fd uint32) (bytes uint64, flags uint16, err error) {
	const hangup = 1
	o, err := in.object(fd)
	if err != nil || kind == waitWrite {
		return 0, 0, err
	}
	switch o := o.(type) {
	case *stream:
		return 0, hangup, nil
	case *file:
		return o.left(), 0, nil
	}
	return 0, 0, nil
}

// tell writes an event for each of subs that is there after wait, and returns how
// many.
func tell(events []byte, subs []subscription, wait time.Duration) (n uint32) {
	for i := range subs {
		s := &subs[i]
		if s.left > wait {
			continue
		}
		b := events[n*eventSize:][:eventSize]
		clear(b)
		order.PutUint64(b, s.user)
		order.PutUint16(b[8:], uint16(s.err))
		b[10] = s.kind
		order.PutUint64(b[16:], s.bytes)
		order.PutUint16(b[24:], s.flags)
		n++
	}
	return n
}
