package elastic

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
	"github.com/bungee-xr/bungee/offload/pack"
)

// An attachment is a far endpoint on an edge host, as the near endpoint sees it: a
// stream that messages go out on and outcomes come in on.
type attachment struct {
	// Set by attach, then constant.
	id     uint64
	target Target
	name   string // of the target, at the time
	host   Host
	st     Stream
	to     hearer
	alive  context.Context // ends with the attachment; so does what is under way on other streams
	die    context.CancelFunc
	stop   func()                                // ends the watch of the path
	feels  func(took time.Duration, missed bool) // is told how messages were

	writing lock // one frame at a time goes out
	giving  lock // one state at a time goes to the host; taken before the channel's mu

	// Guarded by the channel's mu.
	epoch    uint32      // it answers messages of this epoch; 0: it is no candidate yet
	next     uint64      // the message whose outcome comes next; 0: none is to come
	has      uint64      // the last message sent, or that of the state given
	credit   wire.Credit // what the host granted
	sent     wire.Credit // what was sent: Messages and Bytes
	restores int         // Restores sent
	acks     int         // credits that came: one follows each Restore
	state    checkpoint  // the last state that came from it
	stated   bool        // one has come since it was restored
	free     time.Time   // when it can begin the message whose outcome comes next; that may be sent later
	stalled  time.Time   // since when Send waits for its credit; zero: it does not wait
	drains   error       // why its host wants it to leave; nil: it does not
	useful   bool        // it has answered a message
	lost     error       // why it cannot be used any longer; nil while it can
}

// A hearer receives the frames that an attachment reads. The channel is one.
type hearer interface {
	outcome(a *attachment, o wire.Outcome, payload []byte) error
	credited(a *attachment, c wire.Credit) error
	halted(a *attachment, h wire.Halt) error
	rerouted(a *attachment)
	fail(a *attachment, why error)
}

// attach makes a far endpoint at t, without state and without messages.
func attach(ctx context.Context, t Target, d *offload.Desc, conf Config, to hearer) (*attachment, error) {
	host, err := t.Prepare(ctx, d)
	if err != nil {
		return nil, fmt.Errorf("prepare %s: %w", t.Name(), orElse(err, errUnready))
	}
	st, err := host.Open(ctx, conf.Priority)
	if err != nil {
		host.Release()
		return nil, fmt.Errorf("attach to %s: %w", t.Name(), explain(err))
	}
	a := &attachment{id: rand.Uint64(), target: t, name: t.Name(), host: host, st: st, to: to, writing: newLock(), giving: newLock()}
	a.stop = host.Watch(func() { to.rerouted(a) })
	a.feels = func(time.Duration, bool) {}
	if h, ok := host.(feeler); ok {
		a.feels = h.Felt
	}
	a.alive, a.die = context.WithCancel(context.Background())
	stop := context.AfterFunc(ctx, st.Reset)
	err = a.greet(d, conf)
	if !stop() {
		err = context.Cause(ctx) // it has reset the stream
	}
	if err != nil {
		if h, ok := host.(lacker); ok && offload.CodeOf(explain(err)) == offload.CodeNoModule {
			h.Lacks()
		}
		a.end()
		return nil, fmt.Errorf("attach to %s: %w", t.Name(), explain(err))
	}
	return a, nil
}

// A lacker is a Host whose target brings the channel's module again when it is told that the host has it
// no more.
type lacker interface{ Lacks() }

// A feeler is a Host that is told how each message there was: how long after it was sent its outcome came, and whether that was too late, or there
// was none. Felt does not wait.
type feeler interface {
	Felt(took time.Duration, missed bool)
}

// feel tells the host of a how a message was. It is called without locks.
func (c *Channel[In, Out]) feel(a *attachment, took time.Duration, failed bool) {
	if a.feels != nil { // else it is one of tests
		a.feels(took, failed || c.cfg.Deadline > 0 && took > c.cfg.Deadline)
	}
}

// greet sends Attach and waits for the first credit.
func (a *attachment) greet(d *offload.Desc, conf Config) error {
	frame := wire.AppendAttach(nil, wire.Attach{
		ID: a.id, Module: d.Module.Digest, Fn: d.Index,
		Latest: conf.Mode == Latest, Window: uint32(conf.Window), Deadline: max(conf.Deadline, 0),
	})
	if _, err := a.st.Write(frame); err != nil {
		return err
	}
	t, err := wire.ReadType(a.st)
	if err != nil {
		return err
	}
	switch t {
	case wire.TypeAttached:
		a.credit, err = wire.ReadCredit(a.st)
		return err
	case wire.TypeFail:
		return readRefusal(a.st)
	}
	return fmt.Errorf("%w: frame 0x%02x does not answer an Attach", wire.ErrFrame, t)
}

// start reads what the host sends, until the stream ends.
func (a *attachment) start() { a.to.fail(a, explain(a.read())) }

// read returns why the stream ended.
func (a *attachment) read() error {
	r := bufio.NewReaderSize(a.st, 2<<10)
	var payload []byte
	for {
		t, err := wire.ReadType(r)
		if err != nil {
			return err
		}
		switch t {
		case wire.TypeOutcome:
			payload, err = a.readOutcome(r, payload)
		case wire.TypeCredit:
			var c wire.Credit
			if c, err = wire.ReadCredit(r); err == nil {
				err = a.to.credited(a, c)
			}
		case wire.TypeHalt:
			var h wire.Halt
			if h, err = wire.ReadHalt(r); err == nil {
				err = a.to.halted(a, h)
			}
		default:
			err = fmt.Errorf("%w: frame 0x%02x on a channel's stream", ErrPeer, t)
		}
		if err != nil {
			return err
		}
	}
}

func (a *attachment) readOutcome(r *bufio.Reader, buf []byte) ([]byte, error) {
	o, err := wire.ReadOutcome(r)
	if err != nil {
		return buf, err
	}
	if o.Size >= pack.OwnedSize { // it is given to whoever receives the result
		payload, err := wire.ReadPayload(r, nil, o.Size)
		if err == nil {
			err = a.to.outcome(a, o, payload)
		}
		return buf, err
	}
	if buf, err = wire.ReadPayload(r, buf, o.Size); err == nil {
		err = a.to.outcome(a, o, buf)
	}
	return buf, err
}

// write sends whole frames.
func (a *attachment) write(frames ...[]byte) error {
	a.writing.acquire()
	defer a.writing.release()
	for _, f := range frames {
		if _, err := a.st.Write(f); err != nil {
			return fmt.Errorf("%w: %w", ErrLost, err)
		}
	}
	return nil
}

// restore sends the far endpoint the state of k.
func (a *attachment) restore(ctx context.Context, k checkpoint) error {
	a.writing.acquire()
	defer a.writing.release()
	st := watch(ctx, a.st, stallTimeout)
	_, err := st.Write(wire.AppendState(nil, wire.TypeRestore, wire.State{Seq: k.seq, Size: len(k.state)}))
	if err == nil {
		_, err = st.Write(k.state)
	}
	return st.end(err)
}

// snapshot asks for the far endpoint's state. If the result is the same, its state is that
// of the snapshot before, which was as of message have.
func (a *attachment) snapshot(ctx context.Context, have uint64) (k checkpoint, err error) {
	raw, err := a.host.Open(ctx, Low)
	if err != nil {
		return k, explain(err)
	}
	defer raw.Reset()
	defer context.AfterFunc(a.alive, raw.Reset)()
	st := watch(ctx, raw, stallTimeout)
	if _, err = st.Write(wire.AppendSnapshot(nil, wire.Snapshot{ID: a.id, Have: have})); err == nil {
		k, err = readState(st)
	}
	return k, st.end(err)
}

// readState reads the answer to a Snapshot.
func readState(st Stream) (checkpoint, error) {
	t, err := wire.ReadType(st)
	switch {
	case err != nil:
		return checkpoint{}, err
	case t == wire.TypeFail:
		return checkpoint{}, readRefusal(st)
	case t != wire.TypeState:
		return checkpoint{}, fmt.Errorf("%w: frame 0x%02x does not answer a Snapshot", ErrPeer, t)
	}
	h, err := wire.ReadState(st)
	if err != nil {
		return checkpoint{}, err
	}
	state, err := wire.ReadPayload(st, nil, h.Size)
	return checkpoint{h.Seq, state, h.Same, h.Took}, err
}

// readRefusal reads a Fail and returns it as an error.
func readRefusal(st Stream) error {
	f, err := wire.ReadFail(st)
	if err != nil {
		return err
	}
	return f
}

// cut ends everything that is under way with the host.
func (a *attachment) cut() {
	a.die()
	a.st.Reset() // a Send in the middle of a frame returns
}

// end ends the attachment and gives its host back, which frees the far endpoint. It is
// called once.
func (a *attachment) end() {
	a.cut()
	a.stop()
	a.host.Release()
}
