package elastic

// A phase is what a channel is doing.
type phase uint8

const (
	// serving: the owner answers the messages.
	serving phase = iota
	// preparing: it does, and a Move brings a candidate up.
	preparing
	// switching: no message is sent; the candidate gets what it lacks.
	switching
	// fenced: the owner is lost, and a recovery looks for the next one.
	fenced
	// ended: the channel was closed, or cannot go on.
	ended
)

var phaseNames = [...]string{"serving", "preparing", "switching", "fenced", "ended"}

func (p phase) String() string { return phaseNames[p] }

// owners are a channel's far endpoints on edge hosts. No two of them are at one host. What
// any other attachment sends is dropped.
type owners struct {
	owner     *attachment // answers the messages; nil: the UE does. In the phases fenced and ended it is the last one, which does not count
	old       *attachment // the owner before, until its last outcome is delivered
	standby   *attachment // has the last checkpoint, to take over when the owner is lost
	candidate *attachment // is brought up to be the next owner
}

// A state is all that decides what becomes of a channel's far endpoints. Its functions are
// pure: the channel does what [state.next] says.
type state struct {
	phase
	owners
	epoch     uint32 // the last one given out: each candidate gets the next one
	sent      uint64 // the last message
	delivered uint64 // the last message whose outcome has been delivered; in mode Latest the newest
	oldLast   uint64 // the last message that old answers
	spare     bool   // the candidate is the standby if the Move fails
}

// A signal is something that happens to a channel.
type signal struct {
	kind  signalKind
	at    *attachment // which it is about; nil: the UE
	seq   uint64      // the message that it is about
	spare bool        // at a chosen one: its host may have the standby
}

type signalKind uint8

const (
	moveBegins signalKind = iota // a Move begins
	chosen                       // at, which is attached, is to become the owner
	held                         // no message is sent until the Move is over
	tookOver                     // at has the state and every message that was answered. The owner before answers those up to seq, 0 for none
	moveFails                    // the Move changes nothing
	lost                         // at cannot be used any longer
	stoodBy                      // at has the last checkpoint
	answered                     // the outcome of message seq is delivered
	closes                       // the channel ends
)

var signalNames = [...]string{"move begins", "chosen", "held", "took over", "move fails", "lost", "stood by", "answered", "closes"}

func (k signalKind) String() string { return signalNames[k] }

// orders are what a channel must do after a signal.
type orders struct {
	refused bool           // the signal has no place in this state, and has changed nothing
	release [4]*attachment // to be given back; nils do not count
	recover bool           // find a new owner; the Move under way, if any, is over
}

// add orders that a is released.
func (o *orders) add(a *attachment) {
	for i := range o.release {
		if o.release[i] == nil {
			o.release[i] = a
			return
		}
	}
}

// next returns the state after g, and what is to be done.
//
//	           +---- move fails: nothing has changed ----+
//	           v                |                        |
//	open --> serving --move begins--> preparing --held--> switching
//	          ^  ^ |                      |                |    |
//	          |  | |                      |      took over |    |
//	          |  +-|----------------------|----------------+    |
//	          |    |                      |                     |
//	          |    +-------- lost --------+---------------------+
//	          |                |          the owner, or the old one
//	          |                v
//	          +--took over-- fenced
//
//	any --closes--> ended
//
// An attachment that is lost in another role only gives that role up. When the last
// message of the old owner is answered, it is released.
func (s state) next(g signal) (state, orders) {
	if s.phase == ended {
		return s.refuse(g)
	}
	switch g.kind {
	case moveBegins:
		return s.begin(g)
	case chosen:
		return s.choose(g)
	case held:
		if s.phase != preparing {
			return s.refuse(g)
		}
		s.phase = switching
		return s, orders{}
	case tookOver:
		return s.takeOver(g)
	case moveFails:
		return s.giveUp(g)
	case lost:
		return s.lose(g)
	case stoodBy:
		return s.standBy(g)
	case answered:
		return s.answer(g)
	}
	return s.end()
}

// refuse changes nothing. A far endpoint that was to get a role, and has none, is released.
func (s state) refuse(g signal) (state, orders) {
	o := orders{refused: true}
	if (g.kind == chosen || g.kind == stoodBy) && !s.counts(g.at) {
		o.add(g.at)
	}
	return s, o
}

// counts says whether a has a role: what it sends is for the channel.
func (s *state) counts(a *attachment) bool {
	return a == s.owner && s.phase < fenced || a == s.old || a == s.standby || a == s.candidate
}

// uses says whether a far endpoint is at t.
func (s *state) uses(t Target) bool {
	at := func(a *attachment) bool { return a != nil && a.target == t }
	return at(s.owner) && s.phase < fenced || at(s.old) || at(s.standby) || at(s.candidate)
}

// begin begins a Move. One begins after the other: the owner before has answered all.
func (s state) begin(g signal) (state, orders) {
	if s.phase != serving || s.old != nil {
		return s.refuse(g)
	}
	s.phase = preparing
	return s, orders{}
}

// choose makes an attachment the candidate: the standby, or one that is new.
func (s state) choose(g signal) (state, orders) {
	var o orders
	if s.phase != preparing && s.phase != fenced || s.candidate != nil {
		return s.refuse(g)
	}
	before := s
	s.spare = g.spare || s.standby == g.at
	if s.standby != nil && s.standby.target == g.at.target {
		if s.standby != g.at {
			o.add(s.standby)
		}
		s.standby = nil
	}
	if s.uses(g.at.target) {
		return before.refuse(g)
	}
	s.candidate = g.at
	s.epoch++
	return s, o
}

// takeOver makes the candidate the owner, or the UE.
func (s state) takeOver(g signal) (state, orders) {
	var o orders
	if s.phase != switching && s.phase != fenced || s.candidate != g.at || g.at == nil && g.seq > 0 {
		return s.refuse(g)
	}
	switch {
	case s.phase == fenced || s.owner == nil: // nobody to be released
	case g.seq > s.delivered:
		s.old, s.oldLast = s.owner, g.seq
	default:
		o.add(s.owner)
	}
	s.owner, s.candidate = g.at, nil
	if g.at == nil { // the UE needs no standby
		o.add(s.standby)
		s.standby = nil
	}
	s.phase = serving
	return s, o
}

// giveUp ends an attempt to bring a candidate up.
func (s state) giveUp(g signal) (state, orders) {
	var o orders
	switch {
	case s.phase == serving:
		return s.refuse(g)
	case s.phase != fenced && s.spare && s.standby == nil && s.owner != nil:
		s.standby, s.candidate = s.candidate, nil
	}
	if s.phase != fenced {
		s.phase = serving
	}
	o.add(s.candidate)
	s.candidate = nil
	return s, o
}

// lose takes its role from an attachment.
func (s state) lose(g signal) (state, orders) {
	var o orders
	if g.at == nil || !s.counts(g.at) {
		return s.refuse(g)
	}
	switch g.at {
	case s.standby:
		s.standby = nil
		o.add(g.at)
	case s.candidate:
		s.candidate = nil
		o.add(g.at)
	default: // its messages need another owner
		o.add(s.owner)
		o.add(s.old)
		if s.standby == nil { // the Move's host is as good
			s.standby, s.candidate = s.candidate, nil
		}
		o.add(s.candidate)
		s.old, s.candidate = nil, nil
		s.phase = fenced
		o.recover = true
	}
	return s, o
}

// standBy makes an attachment the standby, if there should be one at its host.
func (s state) standBy(g signal) (state, orders) {
	if s.phase >= fenced || s.owner == nil || s.standby != nil || s.uses(g.at.target) {
		return s.refuse(g)
	}
	s.standby = g.at
	return s, orders{}
}

// answer counts a delivered outcome.
func (s state) answer(g signal) (state, orders) {
	var o orders
	if g.seq <= s.delivered || g.seq > s.sent {
		return s.refuse(g)
	}
	s.delivered = g.seq
	if s.old != nil && g.seq >= s.oldLast {
		o.add(s.old)
		s.old = nil
	}
	return s, o
}

// end gives everything up.
func (s state) end() (state, orders) {
	var o orders
	if s.phase != fenced {
		o.add(s.owner)
	}
	o.add(s.old)
	o.add(s.standby)
	o.add(s.candidate)
	s.owners, s.phase = owners{owner: s.owner}, ended // for its name
	return s, o
}

// A verdict is what becomes of an outcome.
type verdict uint8

const (
	due   verdict = iota // it is the next one
	early                // outcomes before it are still to come, from the owner before
	stale                // its sender does not count: another owner answers the message
	wrong                // no honest host sends it
)

// judge returns what becomes of an outcome of message seq and epoch that a sent.
func (s *state) judge(a *attachment, epoch uint32, seq uint64) verdict {
	switch {
	case !s.counts(a):
		return stale
	case epoch != a.epoch || seq != a.next || seq > a.has || seq > s.sent:
		return wrong
	case s.delivered != seq-1:
		return early
	}
	return due
}
