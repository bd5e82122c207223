package check

import (
	"context"
	"errors"
	"time"

	"github.com/bungee-xr/bungee/elastic"
	"github.com/bungee-xr/bungee/offload"
)

// A place is where a far endpoint is, and how often it has gone elsewhere.
type place struct {
	at        Host
	moves     uint64
	fallbacks uint64
	attempts  int64 // of moves, begun and ended
}

func (l *life) place() place {
	s := l.ch.Stats()
	return place{l.w.sabotage.where(hostOf(l.ch.Where())), s.Moves, s.Fallbacks, l.attempts.Load()}
}

// mover moves, or has another goroutine do it.
func (l *life) mover(s Step) {
	if !s.Beside {
		l.move(s)
		return
	}
	l.wg.Go(func() { defer l.w.caught(); l.move(s) })
}

func (l *life) move(s Step) error {
	limit := l.w.patience()
	if s.Patience > 0 {
		limit = s.Patience
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	l.leeway.begin()
	defer l.leeway.end()
	l.attempts.Add(1)
	begin, before := time.Now(), l.place()
	var to elastic.Target
	if s.Host != UE {
		to = l.w.targets[s.Host]
	}
	err := l.w.sabotage.move(l.ch.Move(ctx, to))
	if took := time.Since(begin); took > limit+time.Second || s.Patience == 0 && took > l.w.patience()/2 {
		l.w.hangs("move hangs: it took %v, to %s: %v", took, s.Host, err)
	}
	l.moved(s, before, err)
	l.judge.move(s, before, time.Since(begin), err)
	l.attempts.Add(1)
	return err
}

// alone says whether no other move ran since before, which was taken in the one that is judged.
func (l *life) alone(before place) bool {
	return l.attempts.Load() == before.attempts && l.leeway.underway() == 1
}

// moved judges what Move returned.
func (l *life) moved(s Step, before place, err error) {
	// A channel leaves a host by itself that misses its deadline, on a slow network too.
	at, well := hostOf(l.ch.Where()), !l.w.harmed() && !l.over() && l.settings.Deadline == 0
	well = well && l.alone(before) // asked last: at is of that time
	switch {
	case well && err == nil && at != s.Host:
		l.w.fail("the far endpoint is on %s after a move to %s", at, s.Host)
	case well && err != nil && s.Patience == 0 && !l.w.adversary, errors.Is(err, elastic.ErrClosed) && !l.closable():
		l.w.fail("move to %s, with nothing amiss: %v", s.Host, err)
	case err == nil:
		l.w.count.Moves.Add(1)
	default:
		l.w.count.MovesFailed.Add(1)
	}
}

// move judges a move: where it was to go, what there was before, and what came of it.
func (j *judge) move(s Step, before place, took time.Duration, err error) {
	l := j.l
	if !l.w.adversary || l.closable() || l.ended.Load() {
		return
	}
	now := l.place()
	if err != nil && now.at != before.at { // a recovery tells at its end that it was
		pass(l.ctx, time.Millisecond)
		now = l.place()
	}
	alone := l.alone(before)
	if err != nil && alone && now.moves == before.moves && now.fallbacks == before.fallbacks && now.at != before.at && l.broken.Load() == 0 {
		l.w.fail("failed move changed where the far endpoint is: %s, not %s: %v", now.at, before.at, err)
	}
	if !alone || s.Patience > 0 || l.broken.Load()+l.overruns.Load() > 0 || l.troubled(before.at) || l.troubled(s.Host) {
		return
	}
	if offload.CodeOf(err) == offload.CodeUnavailable && j.recoversOld() {
		return // that recovery goes first
	}
	if errors.Is(err, offload.ErrDeadline) && l.transfers() > stall {
		return // the state stood still behind what other channels sent
	}
	if err != nil {
		l.w.fail("move without fault failed: from %s to %s: %v", before.at, s.Host, err)
		return
	}
	most := l.handover()
	if now.fallbacks > 0 { // a Move waits for a recovery, which takes as long, and tells of it at its end
		most *= 2
	}
	if took > most {
		l.w.fail("move without fault lasted %v, over %v, from %s to %s: %+v", took, most, before.at, s.Host, l.ch.Stats())
	}
}

// troubled says whether a move from or to h may fail or take long.
func (l *life) troubled(h Host) bool {
	return h != UE && (l.mayLeave(h) || l.w.blame.has(h, doomed, gone, unwilling, refusing, withholding))
}

// recoversOld says whether a recovery may be for the owner before: its host is in trouble, and may still
// have had messages to answer.
func (j *judge) recoversOld() bool {
	pass(j.l.ctx, time.Millisecond) // a move tells at its end where the owner was before
	h, ok := j.before.Load().(Host)
	return ok && j.l.troubled(h)
}
