package elastic

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// fail notes that a cannot be used any longer. If it owns messages, a recovery begins.
func (c *Channel[In, Out]) fail(a *attachment, why error) {
	c.mu.Lock()
	do := c.failLocked(a, why)
	c.mu.Unlock()
	do.finish()
}

func (c *Channel[In, Out]) failLocked(a *attachment, why error) (do orders) {
	if a.lost != nil || !c.counts(a) {
		return do
	}
	a.lost = why
	if a == c.owner && !a.useful && !errors.As(why, new(*brokenError)) {
		c.rests.failed(a.target, time.Now())
		if c.log.len() > 0 {
			c.rests.vain++
		}
	}
	if a == c.standby {
		c.rests.failed(a.target, time.Now())
		c.save.set(c.cfg.CheckpointInterval) // prepares another one
		c.tellLocked(Event{Kind: StandbyLost, From: a.name, Reason: why})
	}
	return c.stepLocked(signal{kind: lost, at: a})
}

// recoverFromLocked begins a recovery, since a is lost. It ends the Move under way.
func (c *Channel[In, Out]) recoverFromLocked(a *attachment) {
	if c.interrupt != nil {
		c.interrupt(a.lost)
	}
	c.recoveries++
	c.saves.forget()
	c.goLocked(func() { c.recover(a) })
}

// halted takes a Halt: a host that drains wants the far endpoint to go elsewhere;
// a message broke its guest; or the host gives up.
func (c *Channel[In, Out]) halted(a *attachment, h wire.Halt) error {
	switch code := h.Fail.Code; {
	case code == offload.CodeDraining:
		c.mu.Lock()
		defer c.mu.Unlock()
		a.drains = &h.Fail
		c.heedLocked(a)
		return nil
	case code == offload.CodeProtocol:
		return fmt.Errorf("%w: %w", ErrPeer, &h.Fail)
	case !brokeGuest(code), code == offload.CodeDeadline && !h.Fail.Started: // it had no turn in time
		return &h.Fail
	}
	return c.mode.broke(a, h)
}

// brokeGuest says whether a message that ended with code broke its guest.
func brokeGuest(code offload.Code) bool {
	switch code {
	case offload.CodeTrapped, offload.CodePanicked, offload.CodeExited, offload.CodeOutOfStack, offload.CodeDeadlocked, offload.CodeOutOfMemory, offload.CodeOutOfFuel, offload.CodeDeadline, offload.CodeTooLarge:
		return true
	}
	return false
}

// A brokenError says that a message broke the attachment's guest. The host is fine.
type brokenError struct {
	cause *wire.Fail
	again bool // the message has another try, elsewhere
}

func (e *brokenError) Error() string { return "guest is broken: " + e.cause.Error() }
func (e *brokenError) Unwrap() error { return e.cause }

// An unsavedError says that the attachment's guest broke, and no message did it: its state could not be
// saved, or restored.
type unsavedError struct{ cause *wire.Fail }

func (e *unsavedError) Error() string { return "guest is broken: " + e.cause.Error() }
func (e *unsavedError) Unwrap() error { return e.cause }

// broke implements discipline: the message that broke its guest has the error for outcome, and replays
// skip it. One that overran its deadline for the first time is tried elsewhere.
func (c ordered[In, Out]) broke(a *attachment, h wire.Halt) error {
	why := &h.Fail
	if h.Seq == 0 {
		return &unsavedError{why}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case a.next == 0 || h.Seq < a.next: // in a quiet replay
		if e := c.log.at(h.Seq); e != nil && h.Seq <= c.delivered && !e.broke {
			return why // another place could handle it: this one is no good
		}
		return &brokenError{why, false} // it broke the owner before, too, or will
	}
	e, err := c.expectLocked(a, a.epoch, h.Seq)
	if e == nil {
		return err
	}
	if why.Code == offload.CodeDeadline {
		if e.overran++; e.overran < mostOverruns {
			err := &brokenError{why, true}
			do := c.failLocked(a, err) // at once: checkLate must not count this overrun, too
			c.goLocked(do.finish)
			return err
		}
	}
	e.broke = true
	reason := c.brokenBy(a, why)
	c.inbox.put(&Result[Out]{Seq: h.Seq, Captured: e.captured, Tag: e.tag, Host: a.name}, nil, reason)
	c.brokeLocked(h.Seq, a.name, reason)
	do := c.settleLocked(a, h.Seq)
	c.goLocked(do.finish)
	return &brokenError{why, false}
}

// brokenBy is the outcome of a message that broke its guest.
func (c *Channel[In, Out]) brokenBy(a *attachment, why *wire.Fail) error {
	e := &offload.CallError{Func: c.ep.Name, Host: a.name, Code: why.Code, Fate: offload.Stopped, Err: why}
	if why.Code == offload.CodePanicked {
		e.Fate, e.Err = offload.Ended, offload.PanicError(why.Text)
	}
	return e
}

// heedLocked takes a away from a host that drains: the far endpoint, if a is the owner, and else the standby, of
// which the host would wait for the end. The Halt may have come before a was that.
func (c *Channel[In, Out]) heedLocked(a *attachment) {
	switch {
	case a.drains == nil:
	case a == c.owner:
		c.goLocked(func() { c.leave(a) })
	case a == c.standby:
		do := c.failLocked(a, a.drains)
		c.goLocked(do.finish)
	}
}

// leave moves the far endpoint away from a host that drains. It has until the host ends.
func (c *Channel[In, Out]) leave(a *attachment) {
	c.mu.Lock()
	standbys := c.standbys
	c.mu.Unlock()
	for _, t := range standbys {
		if t != a.target && c.Move(a.alive, t) == nil {
			return
		}
	}
	c.Move(a.alive, nil) // where that fails, the host's end begins a recovery
}

// recover finds a new owner for the messages whose outcomes the lost owner has not
// delivered. lost is that owner, or the one before, which had still to answer.
//
//	fenced --> restore the last checkpoint --> replay what was answered --> lead --> answer the rest
//	               | at the same host, if only its guest broke
//	               | at the standby
//	               | on the UE
//
// A host that fails on the way is passed over, and rests. The UE fails only when the state
// does not decode, or a message that was answered cannot be replayed there: that ends the channel.
func (c *Channel[In, Out]) recover(lost *attachment) {
	if c.moving.take(c.closing) != nil {
		return
	}
	defer c.moving.release()
	if c.takeTurn(c.closing) != nil {
		return
	}
	defer c.releaseTurn()
	if !c.isFenced() { // it has ended
		return
	}
	for _, waited := range c.unanswered() {
		c.feel(lost, waited, true)
	}
	if !c.recoverable() {
		c.end(fmt.Errorf("%w: %s on %s is not idempotent: %w", ErrLost, c.ep.Name, lost.name, lost.lost))
		return
	}
	r := recovery{begin: time.Now(), lost: lost}
	n, err := c.recoverAt(&r)
	if err == nil {
		c.found(&r)
		err = c.answerRest(&r, n)
	}
	if err != nil {
		c.end(err)
		return
	}
	c.told(r.event())
}

// unanswered returns how long each message without an outcome has waited for it.
func (c *Channel[In, Out]) unanswered() (waited []time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for seq := c.delivered + 1; seq <= c.sent; seq++ {
		if e := c.log.at(seq); e != nil {
			waited = append(waited, time.Since(e.sent))
		}
	}
	return waited
}

func (c *Channel[In, Out]) isFenced() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.phase == fenced
}

// A recovery is a recovery under way.
type recovery struct {
	begin    time.Time
	lost     *attachment
	passed   error         // why hosts were passed over
	to       string        // where the far endpoint went
	took     time.Duration // until it was there
	replayed int
}

// event tells of a recovery.
func (r *recovery) event() Event {
	e := Event{Kind: FellBack, From: r.lost.name, To: r.to, Reason: r.lost.lost, Took: r.took, Switch: r.took, Replayed: r.replayed}
	if r.to == r.lost.name {
		e.Kind = Restarted
	}
	if r.passed != nil {
		e.Reason = fmt.Errorf("%w; %w", e.Reason, r.passed)
	}
	return e
}

// recoverAt finds a new owner.
func (c *Channel[In, Out]) recoverAt(r *recovery) (newcomer, error) {
	for _, t := range c.refuges(r.lost) {
		h, err := c.newCandidateWithin(t)
		if err == nil {
			err = c.restart(r, h)
		}
		if err == nil {
			r.to = h.a.name
			return h, nil
		}
		c.passOver(t)
		r.passed = fmt.Errorf("passed over %s: %w", t.Name(), err)
	}
	u := &onUE[In, Out]{Channel: c}
	return u, c.restart(r, u)
}

func (c *Channel[In, Out]) newCandidateWithin(t Target) (*onHost[In, Out], error) {
	ctx, cancel := context.WithTimeoutCause(c.closing, attachTimeout, offload.ErrDeadline)
	defer cancel()
	a, err := c.attachFor(ctx, t)
	if err != nil {
		return nil, err
	}
	return c.choose(ctx, t, a)
}

// restart gives n the last checkpoint and the messages since that were answered, and makes it
// the owner.
func (c *Channel[In, Out]) restart(r *recovery, n newcomer) error {
	c.mu.Lock()
	k, known := c.saves.last, c.delivered
	c.mu.Unlock()
	err := n.take(c.closing, k)
	if err == nil && c.replays() {
		var replayed int
		replayed, err = n.replay(c.closing, known)
		r.replayed += replayed
	}
	if err != nil {
		return err
	}
	return n.lead(known + 1)
}

// passOver gives up the candidate at t, which rests.
func (c *Channel[In, Out]) passOver(t Target) {
	c.mu.Lock()
	c.rests.failed(t, time.Now())
	do := c.stepLocked(signal{kind: moveFails})
	c.mu.Unlock()
	do.finish()
}

// refuges returns the edge hosts where the far endpoint may go after lost was, best
// first. It ends on the UE when it finds none of them fit.
func (c *Channel[In, Out]) refuges(lost *attachment) (hosts []Target) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.log.at(c.delivered + 1); e != nil && e.overran >= mostOverruns || c.rests.vain >= mostVain {
		return nil // two hosts could not: let the UE try
	}
	if errors.As(lost.lost, new(*unsavedError)) {
		return nil // another guest would break, too; the UE saves no state
	}
	for _, a := range []*attachment{c.owner, lost} { // two, if the owner before had still to answer
		if c.serves(a) && !slices.Contains(hosts, a.target) {
			hosts = append(hosts, a.target)
		}
	}
	if c.standby != nil {
		hosts = append(hosts, c.standby.target)
	}
	return hosts
}

// serves says whether a's host can have the far endpoint again: a message broke its guest at most.
func (c *Channel[In, Out]) serves(a *attachment) bool {
	var broken *brokenError
	fine := a.lost == nil || errors.As(a.lost, &broken) && !broken.again
	return fine && c.rests.over(a.target, time.Now())
}

// found counts a recovery that has found a new owner.
func (c *Channel[In, Out]) found(r *recovery) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r.took = time.Since(r.begin)
	c.stats.Replayed += uint64(r.replayed)
	if r.to != r.lost.name {
		c.stats.Fallbacks++
	}
}

// answerRest has the new owner answer what the lost one has not, and lets the channel go on.
func (c *Channel[In, Out]) answerRest(r *recovery, n newcomer) error {
	replayed, err := n.answer()
	r.replayed += replayed
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats.Replayed += uint64(replayed)
	c.wantStandbyLocked()
	c.wantSaveLocked()
	c.mode.resumeLocked()
	c.changed.open()
	return err
}
