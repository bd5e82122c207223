package elastic

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload/codegen"
)

// A Channel is an elastic channel. Its near endpoint is what the application calls:
// Send and Recv. Its far endpoint is a value of a marked type: it begins on the UE as
// that type's zero value, and goes where Move takes it, state included.
//
// A Channel may be used by many goroutines at once. Config bounds what it keeps: the
// messages that a recovery may need, the results that wait for Recv, and two checkpoints.
// During a move and a Shutdown, the results of the messages under way come on top.
//
// Handle must not use its own channel: with the context that Handle was given, or one
// derived from it, Send, Recv, Move and Shutdown fail at once; with another one they may wait for
// that Handle until their context ends.
type Channel[In, Out any] struct {
	// Set by Open, then constant.
	ep      *codegen.Endpoint[In, Out]
	cfg     Config
	mode    discipline[In]
	closing context.Context // ends when the channel does
	stop    context.CancelFunc

	batches  sync.Pool // of *batch[Out]
	finished func()    // finishHere

	wg sync.WaitGroup // all goroutines; begun under mu, while the channel has not ended

	// Lock order: moving, turn, mu.
	moving lock // a Move, or a recovery

	// For the holder of turn. In mode Latest: for whoever set working.
	here *native[In, Out] // the far endpoint, where that is on the UE

	mu        sync.Mutex // leaf
	state                // who answers, and how far they are
	turn      turn
	log       replay
	saves     saves
	inbox     inbox[Out]
	rests     rests
	interrupt context.CancelCauseFunc // ends the Move under way; nil: none is
	refusal   error                   // why Send takes no message: a Shutdown, or the end; nil: it does
	standbys  []Target                // that the standby is one of, the best first
	seeking   bool                    // a standby is being brought up
	changed   gate                    // anything that a goroutine waits for, but results
	late      deadline                // of the oldest message without an outcome
	save      alarm                   // of the next checkpoint, and the next attempt at a standby
	stats     Stats
	subs      map[*subscriber]struct{}

	recoveries uint64 // that have begun
}

// A discipline is what the modes do differently.
type discipline[In any] interface {
	// send sends m, or says why it does not.
	send(ctx context.Context, m Message[In]) error
	// settledLocked says that no message is under way at the owner.
	settledLocked() bool
	// emptyLocked says that it is settled and no message waits to be sent.
	emptyLocked() bool
	// resumeLocked begins what waits. It is called when the phase or the owner has changed.
	resumeLocked()
	// broke takes the news that a message broke the guest of a, and returns why a is lost.
	broke(a *attachment, h wire.Halt) error
}

// Open opens a channel whose far endpoint is on the UE.
func Open[In, Out any](ep *codegen.Endpoint[In, Out], cfg Config) (*Channel[In, Out], error) {
	if ep == nil {
		return nil, errors.New("elastic: Open needs an endpoint, which offloadgen writes")
	}
	if cfg.Mode != Ordered && cfg.Mode != Latest {
		return nil, errors.New("elastic: Config.Mode is neither Ordered nor Latest")
	}
	if err := allUsable(cfg.Standby); err != nil {
		return nil, err
	}
	c := &Channel[In, Out]{ep: ep, cfg: cfg.withDefaults(ep.Deadline), moving: newLock()}
	c.closing, c.stop = context.WithCancel(context.Background())
	c.batches.New = func() any { return new(batch[Out]) }
	c.finished = c.finishHere
	c.here = c.native(ep.New())
	c.standbys = slices.Clone(cfg.Standby)
	c.inbox.window = c.cfg.Window
	c.late.fire, c.save.fire = c.checkLate, c.checkSave
	c.mode = ordered[In, Out]{c}
	if cfg.Mode == Latest {
		c.mode = &latest[In, Out]{Channel: c}
	}
	return c, nil
}

// recoverable says whether the far endpoint can be brought back after a crash.
func (c *Channel[In, Out]) recoverable() bool { return c.ep.Idempotent || c.cfg.Mode == Latest }

// replays says whether messages are handled again to bring a far endpoint up. In mode
// Latest none is handled twice: after a crash, what was under way is lost.
func (c *Channel[In, Out]) replays() bool { return c.ep.Idempotent && c.cfg.Mode == Ordered }

// Where returns the name of the edge host that serves the far endpoint, "" when
// that is on the UE. While a lost host is being replaced it is still that one.
func (c *Channel[In, Out]) Where() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.whereLocked()
}

func (c *Channel[In, Out]) whereLocked() string {
	if c.owner == nil {
		return ""
	}
	return c.owner.name
}

// Shutdown takes no further message, waits until the outcome of each message has been
// delivered or ctx ends, and closes the channel. Recv still returns the results that wait.
func (c *Channel[In, Out]) Shutdown(ctx context.Context) error {
	if err := c.misused(ctx); err != nil {
		return err
	}
	c.mu.Lock()
	if c.refusal == nil {
		c.refusal = ErrClosed
		c.inbox.exceed() // for good
	}
	c.changed.open()
	for c.phase != ended && !c.mode.emptyLocked() && ctx.Err() == nil {
		c.awaitLocked(ctx)
	}
	var err error
	switch {
	case c.phase == ended && !errors.Is(c.refusal, ErrClosed):
		err = c.refusal
	case !c.mode.emptyLocked():
		err = context.Cause(ctx)
	}
	c.mu.Unlock()
	return errors.Join(err, c.Close())
}

// Close ends the channel at once and returns when its last goroutine has ended.
// It gives up the far endpoint and the messages under way; Recv still returns the results
// that wait. Further calls do nothing. Close does not wait for a Handle on the UE beyond the
// deadline of its message, or 1 s where there is none.
func (c *Channel[In, Out]) Close() error {
	c.end(ErrClosed)
	c.wg.Wait()
	return nil
}

// end ends the channel because of why, unless it has ended.
func (c *Channel[In, Out]) end(why error) {
	c.mu.Lock()
	at := c.whereLocked()
	do := c.stepLocked(signal{kind: closes})
	if do.refused {
		c.mu.Unlock()
		return
	}
	c.refusal = why
	c.late.stop()
	c.save.stop()
	c.inbox.arrived.open()
	c.mu.Unlock()
	c.told(Event{Kind: Ended, From: at, To: at, Reason: why})
	c.stop()
	do.finish()
}

// stepLocked gives a signal to the machine. The caller finishes the orders, without mu.
func (c *Channel[In, Out]) stepLocked(g signal) orders {
	next, do := c.state.next(g)
	if do.refused {
		return do
	}
	c.state = next
	if do.recover {
		c.recoverFromLocked(g.at)
	}
	c.changed.open()
	if c.standby != nil {
		c.heedLocked(c.standby)
	}
	return do
}

// finish gives back what a signal took from its role.
func (o *orders) finish() {
	for _, a := range o.release {
		if a != nil {
			a.end()
		}
	}
}

// goLocked starts a goroutine of the channel, unless that has ended.
func (c *Channel[In, Out]) goLocked(f func()) {
	if c.phase != ended {
		c.wg.Go(f)
	}
}

// awaitLocked releases mu until something has changed, or ctx ends.
func (c *Channel[In, Out]) awaitLocked(ctx context.Context) {
	changed := c.changed.wait()
	c.mu.Unlock()
	select {
	case <-changed:
	case <-ctx.Done():
	}
	c.mu.Lock()
}
