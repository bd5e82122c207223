package check

import (
	"strings"
	"sync/atomic"
	"time"

	"github.com/bungee-xr/bungee/elastic"
	"github.com/bungee-xr/bungee/offload"
)

// A judge knows what one channel did besides its results, and whether the script
// explains it. It judges only in scripts with an adversary.
type judge struct {
	l       *life
	opened  time.Time
	changed time.Time // when the far endpoint went elsewhere last, or a standby was lost
	at      Host      // where events say that the far endpoint is
	warm    Host      // where events say that the standby is; "" for nowhere
	left    int       // hosts left without a fault of theirs
	ended   bool

	before atomic.Value // the Host that it left last, which may still have messages to answer; movers ask
}

// goes notes that the far endpoint has gone elsewhere.
func (j *judge) goes(e elastic.Event) {
	j.before.Store(hostOf(e.From))
	j.at, j.changed = hostOf(e.To), time.Now()
	if j.at == j.warm {
		j.warm = ""
	}
}

// event judges an event.
func (j *judge) event(e elastic.Event) {
	switch {
	case !j.l.w.adversary:
		return
	case j.ended:
		j.l.w.fail("an event after Ended: %s, from %s to %s: %v", e.Kind, e.From, e.To, e.Reason)
	case e.Kind == elastic.Ended:
		j.ended = true
	case e.Kind == elastic.FellBack:
		j.l.fell.Add(1)
		j.took(e)
		j.leaves(e)
		j.skips(e)
		j.goes(e)
	case e.Kind == elastic.Moved:
		j.goes(e)
	case e.Kind == elastic.StandbyReady:
		j.warm = hostOf(e.To)
	case e.Kind == elastic.StandbyLost:
		j.warm, j.changed = "", time.Now()
	}
}

// took judges the time of a fallback.
func (j *judge) took(e elastic.Event) {
	if most := j.l.recovery(); e.Took > most {
		j.l.w.fail("fallback takes too long: %v, over %v, from %s to %s, with %d messages replayed: %v", e.Took, most, e.From, e.To, e.Replayed, e.Reason)
	}
}

// leaves judges that a host was left: only for its fault, or for a message that overran,
// which may cost two hosts.
func (j *judge) leaves(e elastic.Event) {
	from := hostOf(e.From)
	if from == hostOf(e.To) || from == UE || hostOf(e.To) == j.at || e.Missed > 0 || j.l.mayLeave(from) {
		return
	}
	j.left++
	n := int(j.l.overruns.Load())
	switch {
	case n == 0 && j.l.settings.Deadline == 0 && offload.CodeOf(e.Reason) == offload.CodeDeadline:
		j.l.w.fail("left without deadline: the healthy host %s, for %s: %v", from, hostOf(e.To), e.Reason)
	case n == 0:
		j.l.w.fail("left for %s: the healthy host %s, for %s: %v", inWord(e.Reason), from, hostOf(e.To), e.Reason)
	case j.left > 2*n:
		j.l.w.fail("hosts left without end: %s for %s, the %d. time, with %d messages that overran: %v", from, hostOf(e.To), j.left, n, e.Reason)
	}
}

// stays judges where the far endpoint is when host h has drained for long enough.
func (j *judge) stays(h Host) {
	l := j.l
	if l.w.adversary && hostOf(l.ch.Where()) == h && !l.ended.Load() && l.leeway.underway() == 0 && !l.mayLeave(h) && l.broken.Load()+l.overruns.Load() == 0 {
		l.w.fail("drain not heeded: the far endpoint is still on %s: %+v", h, l.ch.Stats())
	}
}

// standbyTime is how long a channel may take to have its standby ready.
const standbyTime = 5 * time.Second

// skips judges that a fallback went to the UE: not past the first standby, if that is healthy. Only one
// standby is warm: when it fails, the UE is next.
func (j *judge) skips(e elastic.Event) {
	l := j.l
	_, since := l.standbys()
	if hostOf(e.To) != UE || time.Since(j.changed) < standbyTime || time.Since(since) < standbyTime || l.overruns.Load() > 0 || l.broken.Load() > 0 {
		return
	}
	if h := j.due(hostOf(e.From)); h != "" && !l.w.blame.ever(h) {
		l.w.fail("passed over: first standby, healthy: from %s to the UE, and not to %s: %v", e.From, h, e.Reason)
	}
}

// due returns where the far endpoint should go when host from is lost: the standby, or, where there is
// none yet, the first host that could have been. "" is the UE.
func (j *judge) due(from Host) Host {
	if j.warm != "" {
		return j.warm
	}
	all, _ := j.l.standbys()
	for _, h := range all {
		if h != from {
			return h
		}
	}
	return ""
}

// inWord returns the code of an error in one word.
func inWord(err error) string { return strings.ReplaceAll(offload.CodeOf(err).String(), " ", "-") }

// mayLeave says whether the script explains that the channel leaves host h.
func (l *life) mayLeave(h Host) bool {
	b, broken := &l.w.blame, l.broken.Load() > 0
	switch {
	case b.lost(h), l.settings.Deadline > 0 && (b.has(h, laggard) || l.tight()):
		return true
	case broken && b.has(h, refusing, unwilling): // its guest does not come back there
		return true
	}
	return b.has(h, unwilling) && b.has(h, withholding)
}

// tight says whether messages may miss the deadline with no fault at all.
func (l *life) tight() bool {
	rounds := time.Duration(4)
	if l.settings.Pad > 0 || l.largest.Load() > 1000 {
		rounds = 20 // the connection begins slowly
	}
	flying := 2
	if l.settings.Latest {
		flying = 2 * (1 + l.settings.withDefaults().InFlight)
	}
	if l.broken.Load() > 0 { // a replay goes first, and a host that has become slow takes longer for it than before
		flying += min(int(l.sent.Load()), l.settings.withDefaults().Window)
	}
	return l.settings.Deadline < 40*time.Millisecond || l.w.delay*rounds+l.w.blame.takes(flying, l.settings.Pad+int(l.largest.Load())) > l.settings.Deadline/2
}

// handover is how long a move may take, with no fault.
func (l *life) handover() time.Duration {
	s := l.settings.withDefaults()
	kept := min(4*s.Window, int(l.sent.Load()))
	return stall + l.transfers() + 8*l.w.delay*time.Duration(4+kept/s.Window)
}

// stall is how long elastic lets a transfer go without a byte.
const stall = 5 * time.Second

// transfers is how long the slowest link takes for a state and what replays need, beside as much of
// each other channel.
func (l *life) transfers() time.Duration {
	s := l.settings.withDefaults()
	kept := min(4*s.Window, int(l.sent.Load()))
	bytes := 4*s.Pad + min(s.Bytes, kept*int(l.largest.Load()))
	return l.w.blame.takes(kept, bytes*max(1, l.w.channels))
}

// recovery is how long a fallback may take: several places may be tried.
func (l *life) recovery() time.Duration {
	places := time.Duration(max(1, len(l.settings.Standby)) + 2) // a Place names one
	l.w.blame.mu.Lock()
	pauses := l.w.blame.pauses
	l.w.blame.mu.Unlock()
	late := time.Duration(l.overruns.Load()) * 2 * l.settings.Deadline
	return pauses + places*(l.handover()+late)
}

// sums judges what the channel counted, when it has ended.
func (j *judge) sums(s elastic.Stats) {
	if !j.l.w.adversary {
		return
	}
	set := j.l.settings.withDefaults()
	// A message that overruns breaks two far endpoints.
	turns := uint64(j.l.attempts.Load() + j.l.fell.Load() + j.l.broken.Load() + 2*j.l.overruns.Load() + 2*j.l.w.drains.Load())
	intervals := uint64(time.Since(j.opened) / set.Interval)
	if most := 64 + 3*s.Sent + 3*intervals + 4*turns; s.Checkpoints > most {
		j.l.w.fail("checkpoints without need: %d, over %d, in %v: %+v", s.Checkpoints, most, time.Since(j.opened), s)
	}
	if most := (turns + 1) * 4 * uint64(set.Window); s.Replayed > most {
		j.l.w.fail("replays without end: %d messages, over %d: %+v", s.Replayed, most, s)
	}
}
