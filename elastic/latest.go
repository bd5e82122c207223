package elastic

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// latest is mode Latest. The channel's mu guards its fields.
type latest[In, Out any] struct {
	*Channel[In, Out]
	waiting *queued[In] // the newest message, which has not begun; nil: none
	flying  int         // messages at an edge host
	working bool        // a message is handled on the UE
	gap     uint64      // messages without a result since the last result
	lates   int         // messages given up in a row
	broken  *attachment // whose guest is broken: nothing more is sent to it
	goneAt  time.Time   // when its host first said that the owner is gone; zero: it does not say so
}

type queued[In any] struct {
	Message[In]
	seq uint64
}

// latesBeforeLost is how many late messages in a row make the host count as silent: a
// radio loses one now and then.
const latesBeforeLost = 3

// send implements discipline: m is the one that goes next.
func (l *latest[In, Out]) send(ctx context.Context, m Message[In]) error {
	if l.inside(ctx) {
		return errInside
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.refusal != nil {
		return l.refusal
	}
	l.sent++
	if l.waiting != nil {
		l.stats.Skipped++
	}
	l.waiting = &queued[In]{m, l.sent}
	l.resumeLocked()
	return nil
}

// settledLocked implements discipline.
func (l *latest[In, Out]) settledLocked() bool { return l.flying == 0 && !l.working }

// emptyLocked implements discipline.
func (l *latest[In, Out]) emptyLocked() bool { return l.waiting == nil && l.settledLocked() }

// goesLocked says whether the message that waits may begin.
func (l *latest[In, Out]) goesLocked() bool {
	return l.waiting != nil && (l.phase == serving || l.phase == preparing)
}

// resumeLocked implements discipline: it begins the message that waits, if it can.
func (l *latest[In, Out]) resumeLocked() {
	switch {
	case !l.goesLocked():
	case l.owner == nil && !l.working:
		l.working = true
		l.goLocked(l.work)
	case l.owner != nil && l.owner.lost == nil && l.owner != l.broken && l.flying < l.cfg.InFlight:
		m, own := l.waiting, l.owner
		l.waiting = nil
		l.flying++
		l.goLocked(func() { l.fly(own, m) })
	}
}

// work handles messages on the UE until none waits.
func (l *latest[In, Out]) work() {
	for {
		l.mu.Lock()
		if !l.goesLocked() || l.owner != nil {
			l.working = false
			l.resumeLocked()
			l.changed.open()
			l.mu.Unlock()
			return
		}
		m := l.waiting
		l.waiting = nil
		l.mu.Unlock()
		h := l.here.apart(l.closing, m.Value, 0)
		l.mu.Lock()
		if h.broke {
			l.brokeLocked(m.seq, "", h.err)
		}
		l.landLocked(Result[Out]{Seq: m.seq, Captured: m.Captured, Tag: m.Tag}, h.outs, h.err)
		l.mu.Unlock()
	}
}

// landLocked delivers the outcome of a message, unless a newer one's has been. A
// near endpoint that does not keep up loses the oldest results.
func (l *latest[In, Out]) landLocked(r Result[Out], outs []Out, err error) {
	before := l.delivered
	if do := l.stepLocked(signal{kind: answered, seq: r.Seq}); do.refused {
		l.stats.Dropped++
		l.stats.Skipped++
		return
	}
	l.gap += r.Seq - before - 1
	if len(outs) > 0 || err != nil {
		r.Skipped, l.gap = l.gap, 0
		for l.inbox.len() >= l.cfg.Window {
			l.stats.Skipped += l.inbox.dropOldest(&r)
		}
		l.inbox.put(&r, outs, err)
	}
	l.saves.cover(l.delivered)
	l.wantSaveLocked()
}

// fly sends a message to the host of a and waits for its outcome.
func (l *latest[In, Out]) fly(a *attachment, m *queued[In]) {
	ctx, cancel := a.alive, context.CancelFunc(func() {})
	if l.cfg.Deadline > 0 {
		ctx, cancel = context.WithTimeoutCause(ctx, l.cfg.Deadline, offload.ErrDeadline)
	}
	defer cancel()
	b := l.batches.Get().(*batch[Out])
	defer l.batches.Put(b)
	begin := time.Now()
	err := l.single(ctx, a, m, b)
	if err == nil || a.alive.Err() == nil { // else the channel has left the host
		l.feel(a, time.Since(begin), err != nil)
	}
	l.mu.Lock()
	l.flying--
	lost := l.landedLocked(a, m, b, err, context.Cause(ctx))
	l.resumeLocked()
	l.changed.open()
	l.mu.Unlock()
	if lost != nil {
		l.fail(a, lost)
	}
}

// landedLocked takes the outcome of a message at a host, and says why the host is lost,
// nil if it is not.
func (l *latest[In, Out]) landedLocked(a *attachment, m *queued[In], b *batch[Out], err, late error) (lost error) {
	r := Result[Out]{Seq: m.seq, Captured: m.Captured, Tag: m.Tag, Host: a.name}
	var refusal *wire.Fail
	switch {
	case a != l.owner || !l.counts(a):
		l.stats.Dropped++
		l.stats.Skipped++
		return nil
	case err == nil:
		l.lates, l.goneAt = 0, time.Time{}
		l.servesLocked(a)
		l.landLocked(r, b.outs, b.err)
		return nil
	case errors.Is(late, offload.ErrDeadline):
		return l.lateLocked()
	case errors.As(err, &refusal) && brokeGuest(refusal.Code):
		why := l.brokenBy(a, refusal)
		l.brokeLocked(m.seq, a.name, why)
		l.servesLocked(a)
		l.landLocked(r, nil, why)
		return &brokenError{refusal, false}
	}
	l.stats.Skipped++
	if refusal == nil {
		return err
	}
	switch refusal.Code {
	case wire.CodeSkipped, offload.CodeOverloaded:
		return nil
	case wire.CodeGone:
		return l.goneLocked(err)
	}
	return err
}

// goneLocked takes a host's word that it has no such far endpoint. The attachment's own stream tells
// why; when that does not come, the host is lost.
func (l *latest[In, Out]) goneLocked(err error) (lost error) {
	if l.goneAt.IsZero() {
		l.goneAt = time.Now()
	}
	if time.Since(l.goneAt) < landTimeout {
		return nil
	}
	l.goneAt = time.Time{}
	return err
}

// lateLocked gives up a message that is over its deadline, and says why the host is lost
// when it was one too many.
func (l *latest[In, Out]) lateLocked() (lost error) {
	l.stats.Late++
	l.stats.Skipped++
	if l.lates++; l.lates < latesBeforeLost {
		return nil
	}
	l.lates = 0
	return fmt.Errorf("%w of %v, %d times in a row", offload.ErrDeadline, l.cfg.Deadline, latesBeforeLost)
}

// broke implements discipline. The message that broke the guest of a has its error for outcome; that comes
// on another stream, which may be slower, as do those of the others under way.
func (l *latest[In, Out]) broke(a *attachment, h wire.Halt) error {
	ctx, cancel := context.WithTimeout(a.alive, landTimeout)
	defer cancel()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.broken = a
	for a == l.owner && l.flying > 0 && l.unfitLocked(ctx, a) == nil {
		l.awaitLocked(ctx)
	}
	return &brokenError{&h.Fail, false}
}

// landTimeout is how long the outcomes of the messages at a broken guest are waited for.
const landTimeout = 2 * time.Second
