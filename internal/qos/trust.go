package qos

import (
	"cmp"
	"slices"
	"time"
)

const (
	// trustCalls is how many calls say whether a host tells the truth.
	trustCalls = 20
	// trustShare and trustTime are what the median that UEs felt may be over what the host says: both together.
	trustShare = 0.2
	trustTime  = 2 * time.Millisecond
	// trustAge is how long a report counts.
	trustAge = 60 * time.Second
	// trustSessions is how many must say so before it counts for those who have not been there: any one may lie itself.
	trustSessions = 3
	// maxReports bounds the sessions that a Trust keeps; of further ones the oldest go.
	maxReports = 256
	// maxFactor bounds what a report can do.
	maxFactor = 100
)

// A Trust compares how long a host says that calls take there with what sessions felt. The zero Trust
// trusts the host. It belongs to one goroutine.
type Trust struct{ reports map[string]*report }

// A report is what one session felt.
type report struct {
	calls      float64 // of these sums
	felt, told float64 // s times calls
	factor     float64
	at         time.Time
}

// Felt adds the calls of a session: how many, what their median was, of which rtt was on the network, and what the host says
// that its median was. After each 20 calls they are compared.
func (t *Trust) Felt(now time.Time, session string, calls uint64, median, rtt, told time.Duration) {
	if calls == 0 || median <= 0 || told <= 0 {
		return
	}
	r := t.report(now, session)
	n := min(float64(calls), trustCalls)
	r.calls += n
	r.felt += n * max(0, median-max(0, rtt)).Seconds()
	r.told += n * told.Seconds()
	r.at = now
	if r.calls < trustCalls {
		return
	}
	felt, says := r.felt/r.calls, r.told/r.calls
	r.factor = 1
	if felt > says*(1+trustShare)+trustTime.Seconds() {
		r.factor = min(felt/says, maxFactor)
	}
	r.calls, r.felt, r.told = 0, 0, 0
}

func (t *Trust) report(now time.Time, session string) *report {
	if r := t.reports[session]; r != nil {
		return r
	}
	if t.reports == nil {
		t.reports = map[string]*report{}
	}
	if len(t.reports) >= maxReports {
		delete(t.reports, t.oldest())
	}
	r := &report{at: now, factor: 1}
	t.reports[session] = r
	return r
}

// oldest returns the session that was heard of the longest ago.
func (t *Trust) oldest() string {
	var oldest string
	for session, r := range t.reports {
		o := t.reports[oldest]
		if o == nil || cmp.Or(r.at.Compare(o.at), cmp.Compare(session, oldest)) < 0 {
			oldest = session
		}
	}
	return oldest
}

// Forget forgets a session.
func (t *Trust) Forget(session string) { delete(t.reports, session) }

// Factor returns how many times longer calls of a session take in the host than it says: 1 if that is the truth, or
// nothing is known.
func (t *Trust) Factor(now time.Time, session string) float64 {
	if r := t.reports[session]; r != nil && now.Sub(r.at) < trustAge {
		return r.factor
	}
	return 1
}

// Host returns how many times longer calls take in the host than it says, for sessions that have not been there: the median of what
// sessions felt, or 1 while fewer than three have.
func (t *Trust) Host(now time.Time) float64 {
	var all []float64
	for _, r := range t.reports {
		if now.Sub(r.at) < trustAge {
			all = append(all, r.factor)
		}
	}
	if len(all) < trustSessions {
		return 1
	}
	slices.Sort(all)
	return all[(len(all)-1)/2]
}
