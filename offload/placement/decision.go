package placement

import (
	"fmt"
	"strings"
	"time"
)

// A Verdict is what becomes of a session.
type Verdict int

// The verdicts.
const (
	Local  Verdict = iota // it runs on its UE: no host is feasible
	Placed                // it is admitted to a host
	Stays                 // where it is, though its standby may be another
	Moves                 // to another host
)

// String returns the verdict's name.
func (v Verdict) String() string {
	if v < Local || v > Moves {
		return "unknown"
	}
	return [...]string{"local", "placed", "stays", "moves"}[v]
}

// A Cause is why a session is looked at, or why it leaves its host.
type Cause int

// The causes.
const (
	Fine        Cause = iota // nothing is wrong
	Asked                    // it has no host
	FeltMisses               // its calls were late or lost
	WouldMiss                // they will be, as predicted
	CannotStay               // its host may not keep it: Decision.Rejected begins with the reason
	UnknownHere              // it is no session of the snapshot
)

// String returns what a person reads.
func (c Cause) String() string {
	if c < Fine || c > UnknownHere {
		return "for an unknown reason"
	}
	return [...]string{"nothing is wrong", "it asked", "its calls miss their bound", "its calls are expected to miss their bound", "its host cannot keep it", "nothing is known of it"}[c]
}

// A Bound is what a host can fail by.
type Bound int

// The bounds, in the order in which a host is held to them.
const (
	NoBound         Bound = iota
	HostState             // the host takes no sessions
	Labels                // it lacks one
	Price                 // money an hour
	Distance              // round-trip time, in ms, over ThetaNet
	TooSlow               // latency on it without any other session, in ms
	Memory                // bytes for instances
	Turns                 // on average in use, over qos.MaxLoad of those there are
	Latency               // predicted for the session, in ms
	OthersLatency         // predicted for a session that is there, in shares of what it may be
	Arriving              // sessions that are on their way there
	TooLittleBetter       // latency in ms, over Gain of what it is where the session is
	Sessions              // of Algorithm 1: over the host's limit
	Inference             // of Algorithm 1: the probe's time in ms, over ThetaInf
	Unprobed              // of Algorithm 1: no probe has been answered
)

// A Rejection says which bound failed at which host, and by how much.
type Rejection struct {
	Host       string
	Bound      Bound
	Have, Most float64 // in the unit of the bound
	Detail     string  // the state, the label, or the session
}

// String returns what a person reads.
func (r Rejection) String() string {
	switch r.Bound {
	case HostState:
		return fmt.Sprintf("%s is %s", r.Host, r.Detail)
	case Labels:
		return fmt.Sprintf("%s lacks %q", r.Host, r.Detail)
	case Price:
		return fmt.Sprintf("%s costs %.4g an hour, over %.4g", r.Host, r.Have, r.Most)
	case Distance:
		return fmt.Sprintf("%s is %.1f ms away, over %.1f", r.Host, r.Have, r.Most)
	case Memory:
		return fmt.Sprintf("%s would need %.0f MiB, over %.0f", r.Host, r.Have/(1<<20), r.Most/(1<<20))
	case Turns:
		return fmt.Sprintf("%s would use %.2f turns, over %.2f", r.Host, r.Have, r.Most)
	case TooSlow, Latency:
		return fmt.Sprintf("%s would take %.1f ms, over %.1f", r.Host, r.Have, r.Most)
	case OthersLatency:
		return fmt.Sprintf("%s would take %.2f times longer, over %.2f, for session %s", r.Host, r.Have, r.Most, r.Detail)
	case Arriving:
		return fmt.Sprintf("%s has %.0f sessions on their way already", r.Host, r.Have)
	case TooLittleBetter:
		return fmt.Sprintf("%s would take %.1f ms, over %.1f, so little better", r.Host, r.Have, r.Most)
	case Sessions:
		return fmt.Sprintf("%s has %.0f sessions of %.0f", r.Host, r.Have, r.Most)
	case Inference:
		return fmt.Sprintf("%s infers in %.1f ms, over %.1f", r.Host, r.Have, r.Most)
	case Unprobed:
		return fmt.Sprintf("%s has answered no probe", r.Host)
	}
	return r.Host + " is feasible"
}

// excess orders rejections: how far the host is from being feasible.
func (r Rejection) excess() float64 {
	if r.Most > 0 && r.Have >= r.Most {
		return r.Have / r.Most
	}
	return 1e12
}

// MaxRejected is how many rejections a Decision keeps: those of the hosts that come closest.
const MaxRejected = 8

// A Decision says where a session runs from now on, and why.
type Decision struct {
	Session  string
	Verdict  Verdict
	From     string // its primary until now; "": none
	Primary  string // "": on its UE
	Standby  string // another host that would be feasible; "": there is none
	Cause    Cause
	Rejected []Rejection // why not elsewhere: at most MaxRejected
	// By is within which time the UE should have moved. Zero means at once.
	By time.Duration
	// RetryAfter is when to ask again if the verdict is Local. Zero means never, unless less is needed.
	RetryAfter time.Duration
	Predicted  Prediction // at Primary
}

// String returns a sentence for people.
func (d Decision) String() string {
	var b strings.Builder
	switch d.Verdict {
	case Local:
		b.WriteString("no host")
	case Placed:
		fmt.Fprintf(&b, "placed on %s", d.Primary)
	case Stays:
		fmt.Fprintf(&b, "stays on %s", d.Primary)
	case Moves:
		fmt.Fprintf(&b, "moves from %s to %s", d.From, d.Primary)
	}
	fmt.Fprintf(&b, ", since %s", d.Cause)
	if d.Primary != "" {
		fmt.Fprintf(&b, " (predicted: %.1f ms, of which %.1f in the host, %.0f %% of its turns)",
			ms(d.Predicted.Latency), ms(d.Predicted.Inference), 100*d.Predicted.Load)
	}
	for i, r := range d.Rejected {
		b.WriteString([]string{"; ", ": "}[boolToInt(i == 0)])
		b.WriteString(r.String())
	}
	return b.String()
}

func boolToInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

func ms(d time.Duration) float64 { return d.Seconds() * 1e3 }

// reject notes a rejection, if it is one of the closest.
func (d *Decision) reject(r Rejection) {
	i := len(d.Rejected)
	for i > 0 && before(r, d.Rejected[i-1]) {
		i--
	}
	switch {
	case i == MaxRejected:
		return
	case len(d.Rejected) < MaxRejected:
		d.Rejected = append(d.Rejected, Rejection{})
	}
	copy(d.Rejected[i+1:], d.Rejected[i:])
	d.Rejected[i] = r
}

func before(a, b Rejection) bool {
	if x, y := a.excess(), b.excess(); x != y {
		return x < y
	}
	return a.Host < b.Host
}
