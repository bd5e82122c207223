package notifier

import (
	"context"
	"fmt"
	"iter"
	"math"
	"time"
)

// A Side is where of a threshold a rule is met.
type Side uint8

// The sides.
const (
	Above Side = iota
	Below
)

// String returns "above" or "below".
func (s Side) String() string {
	if s == Below {
		return "below"
	}
	return "above"
}

// A Rule says when something is to be told: "the temperature is above 70 °C, for a second at least; until it has fallen to 65".
//
//	notifier.Rule{Metric: notifier.Temperature, Threshold: 70, Hysteresis: 5, Dwell: time.Second}
type Rule struct {
	Metric Metric
	// Side is where the rule is met: above Threshold, which is the zero Side, or below it.
	Side      Side
	Threshold float64
	// Hysteresis is how far back from Threshold a value has to come until the rule is met no more, in the metric's
	// unit. Zero is for metrics that do not waver.
	Hysteresis float64
	// Dwell is how long values have to stay on the other side until that is told. So two events are at least so far
	// apart. Zero tells at once.
	Dwell time.Duration
}

// Check says what is wrong with a rule.
func (r Rule) Check() error {
	finite := func(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
	switch {
	case r.Metric >= numMetrics:
		return fmt.Errorf("notifier: there is no %v", r.Metric)
	case r.Side > Below:
		return fmt.Errorf("notifier: a rule of %v has a side that is neither Above nor Below", r.Metric)
	case !finite(r.Threshold):
		return fmt.Errorf("notifier: a rule of %v has the threshold %v", r.Metric, r.Threshold)
	case !finite(r.Hysteresis) || r.Hysteresis < 0:
		return fmt.Errorf("notifier: a rule of %v has the hysteresis %v; use 0 or more", r.Metric, r.Hysteresis)
	case r.Dwell < 0:
		return fmt.Errorf("notifier: a rule of %v has the dwell %v; use 0 or more", r.Metric, r.Dwell)
	}
	return nil
}

// A State is what is known of a rule.
type State uint8

// The states.
const (
	Unclear State = iota // the metric is unknown
	Clear                // the rule is not met
	Met                  // the rule is met
)

// String returns "unclear", "clear" or "met".
func (s State) String() string {
	return [...]string{"unclear", "clear", "met"}[min(s, Met)]
}

// An Event says that a rule has another state.
type Event struct {
	Rule    Rule
	State   State
	Before  State
	Reading Reading // with which it was decided
	At      time.Time
}

// A watch is where a rule stands.
//
//	                      beyond Threshold, for Dwell
//	clear, unclear ---------------------------------------> met
//	               <---------------------------------------
//	                back from it by Hysteresis, for Dwell
//
//	clear, met --unknown for Dwell--> unclear --known, not beyond Threshold, for Dwell--> clear
//
// A gap, in which nobody looked, begins Dwell anew.
type watch struct {
	state State
	wish  State     // where the values have been since
	since time.Time // it is not state
}

// next takes a sample's reading, made at now, and says whether there is another state.
func (w *watch) next(now time.Time, gap bool, reading Reading, r *Rule) bool {
	wish := r.of(reading, w.state)
	if wish == w.state {
		w.wish = wish
		return false
	}
	if wish != w.wish || gap {
		w.wish, w.since = wish, now
	}
	if now.Sub(w.since) < r.Dwell {
		return false
	}
	w.state = wish
	return true
}

// of returns the state that a reading is one of, when the rule's is state.
func (r *Rule) of(reading Reading, state State) State {
	if !reading.Known() {
		return Unclear
	}
	beyond := reading.Value - r.Threshold
	if r.Side == Below {
		beyond = -beyond
	}
	if beyond > 0 || state == Met && beyond > -r.Hysteresis {
		return Met
	}
	return Clear
}

// Subscribe calls f at each change of the rule's state, from Unclear on: the first event tells where it stands. f is called by one goroutine
// of the subscription's own, with the newest sample: what f takes holds nothing else up. stop ends the subscription; f may still run once
// when stop returns, as stop may be called by f. So does [Notifier.Close], which waits for f. The error says what is wrong with the rule.
func (n *Notifier) Subscribe(r Rule, f func(Event)) (stop func(), err error) {
	if err := r.Check(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closing {
		cancel()
		return cancel, nil
	}
	n.wg.Go(func() {
		defer cancel()
		for e := range n.Events(ctx, r) {
			f(e)
		}
	})
	return cancel, nil
}

// Events yields what [Notifier.Subscribe] tells, until ctx ends, the notifier is closed or the loop is left. A rule that
// [Rule.Check] refuses yields nothing.
func (n *Notifier) Events(ctx context.Context, r Rule) iter.Seq[Event] {
	return func(yield func(Event) bool) {
		if r.Check() != nil {
			return
		}
		var w watch
		for s := range n.Watch(ctx) {
			before, reading := w.state, s.Get(r.Metric)
			if w.next(s.At, s.Gap, reading, &r) && !yield(Event{Rule: r, State: w.state, Before: before, Reading: reading, At: s.At}) {
				return
			}
		}
	}
}
