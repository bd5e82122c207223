package elastic

import (
	"time"

	"github.com/bungee-xr/bungee/offload"
)

// saves are the checkpoints of a far endpoint on an edge host, as a machine:
//
//	         +---------------- failed, and its rest is over --------------+
//	         v                                                           |
//	open --> idle --due--> taking --failed-------------------------> resting
//	         ^ ^              |
//	         | +--came: all its outcomes are delivered
//	         |                |
//	         |              came: some of its outcomes are under way
//	         |                v
//	         +--delivered-- covering
//
//	any --begun anew: another far endpoint is the owner--> idle
//
// A checkpoint counts when the outcomes of all messages that it covers are delivered: a
// recovery that begins with it could not bring them back. Until then no other one is
// taken, since it would not count either.
type saves struct {
	phase  savePhase
	last   checkpoint // where a recovery begins
	coming checkpoint // replaces last when it counts
	upTo   uint64     // the message up to which no checkpoint is wanted
	fails  int        // attempts that failed in a row
	why    error      // of the last one of these
	until  time.Time  // the end of the rest after it
}

type savePhase uint8

const (
	idle savePhase = iota
	taking
	covering
	resting
)

// A need says whether to take a checkpoint.
type need uint8

const (
	notNow need = iota
	inTime      // after the interval, or the rest
	atOnce
)

// due says whether a checkpoint is due when message delivered is the last one answered.
// every is the number of messages after which one is taken, full says that the log is
// half full.
func (s *saves) due(delivered, every uint64, full bool) need {
	switch {
	case s.phase == resting:
		return inTime
	case s.phase != idle || delivered <= s.upTo:
		return notNow
	case full || delivered-s.upTo >= every:
		return atOnce
	}
	return inTime
}

// begin begins a checkpoint.
func (s *saves) begin() { s.phase = taking }

// came takes a checkpoint. upTo is the message up to which the next one need not reach.
func (s *saves) came(k checkpoint, upTo, delivered uint64) {
	s.coming, s.upTo = k, upTo
	s.fails, s.why, s.phase = 0, nil, covering
	s.cover(delivered)
}

// cover makes the coming checkpoint the one that recoveries begin with, if it counts.
func (s *saves) cover(delivered uint64) {
	if s.phase == covering && s.coming.seq <= delivered {
		s.last, s.coming, s.phase = s.coming, checkpoint{}, idle
	}
}

// failed notes that a checkpoint could not be taken at the time now, because of why. It
// returns how long none is taken.
func (s *saves) failed(why error, now time.Time) (rest time.Duration) {
	s.fails++
	rest = backOff(s.fails)
	s.phase, s.why, s.until = resting, why, now.Add(rest)
	return rest
}

// rested ends the rest, if it is over at the time now.
func (s *saves) rested(now time.Time) {
	if s.phase == resting && !now.Before(s.until) {
		s.phase = idle
	}
}

// reset begins anew with k, since another far endpoint is the owner. Its checkpoints are
// wanted for messages after upTo.
func (s *saves) reset(k checkpoint, upTo uint64) { *s = saves{last: k, upTo: upTo} }

// forget gives up what is under way: its far endpoint is not the owner any longer.
func (s *saves) forget() {
	s.phase, s.coming, s.upTo = idle, checkpoint{}, min(s.upTo, s.last.seq)
	s.fails, s.why = 0, nil
}

// hopeless says that the state has been too large to be copied for 3 s. Attempts go on: it
// may shrink.
func (s *saves) hopeless() bool { return s.fails >= 6 && offload.CodeOf(s.why) == offload.CodeTooLarge }

// backOff is the wait after so many failures in a row: 100 ms, doubling to 30 s.
func backOff(failures int) time.Duration {
	const least, most = 100 * time.Millisecond, 30 * time.Second
	return min(most, least<<min(max(failures-1, 0), 10))
}

// rests remembers the edge hosts that failed to take a far endpoint over. They are not
// tried again for a while that grows.
type rests struct {
	places []rest
	vain   int // owners in a row that were lost with messages to handle and answered none
}

// mostVain is how many of these send a recovery to the UE: what no host can replay, the UE
// may.
const mostVain = 2

type rest struct {
	at       Target
	failures int
	until    time.Time
}

// failed notes that t failed at the time now.
func (r *rests) failed(t Target, now time.Time) {
	for i := range r.places {
		if e := &r.places[i]; e.at == t {
			e.failures++
			e.until = now.Add(backOff(e.failures))
			return
		}
	}
	r.places = append(r.places, rest{t, 1, now.Add(backOff(1))})
}

// served forgets the failures of t, which serves the far endpoint.
func (r *rests) served(t Target) {
	for i, e := range r.places {
		if e.at == t {
			r.places = append(r.places[:i], r.places[i+1:]...)
			return
		}
	}
}

// over says whether t may be tried at the time now.
func (r *rests) over(t Target, now time.Time) bool {
	for _, e := range r.places {
		if e.at == t {
			return !now.Before(e.until)
		}
	}
	return true
}
