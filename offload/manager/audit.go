package manager

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/bungee-xr/bungee/offload/placement"
)

// A record is what the audit says of one decision.
type record struct {
	now      time.Time
	what     string
	s        *session
	key      sessionKey // where there is no session
	host     string
	why      string
	decision *placement.Decision
}

// attrs returns what is logged. Nothing in it is a secret: no lease, no code.
func (r record) attrs() []slog.Attr {
	a := []slog.Attr{slog.String("what", r.what)}
	key := r.key
	if r.s != nil {
		key = r.s.key
	}
	if key.n != 0 || r.s != nil {
		a = append(a, slog.String("tenant", key.ue.Tenant), slog.String("ue", key.ue.Name), slog.Uint64("session", key.n))
	}
	if r.s != nil {
		a = append(a, slog.String("state", r.s.state.String()))
	}
	if r.host != "" {
		a = append(a, slog.String("host", r.host))
	}
	if d := r.decision; d != nil {
		a = append(a, slog.String("verdict", d.Verdict.String()), slog.String("from", d.From), slog.String("primary", d.Primary),
			slog.String("standby", d.Standby), slog.String("why", d.String()), slog.Duration("retry", d.RetryAfter))
	}
	if r.why != "" {
		a = append(a, slog.String("why", r.why))
	}
	return a
}

// Counts are what the manager has done since it began.
type Counts struct {
	Asks, Refused, Opened, Ended, Evicted uint64
	Decided                               [placement.Moves + 1]uint64 // by verdict
	Moves                                 uint64
	Orders, OrdersFailed, OrdersLate      uint64
	Probes, Beats                         uint64
	Adopted, LeasesRefused, Doubled       uint64
}

// maxAudits is how many records may wait to be written: those of a second in which all sessions are decided.
const maxAudits = 10_000

// audits writes records, after the decisions, in their order. A disk that is slow holds up no decision: what it does
// not come after with is lost, and counted.
type audits struct {
	log  *slog.Logger // nil: silent
	wait chan []slog.Attr
	lost atomic.Uint64
}

func newAudits(log *slog.Logger) *audits {
	return &audits{log: log, wait: make(chan []slog.Attr, maxAudits)}
}

// add takes a record. It never waits.
func (a *audits) add(r record) {
	if a.log == nil {
		return
	}
	select {
	case a.wait <- append(r.attrs(), slog.Time("at", r.now)):
	default:
		a.lost.Add(1)
	}
}

// run writes records until ctx ends, and then what is left.
func (a *audits) run(ctx context.Context) {
	for {
		select {
		case attrs := <-a.wait:
			a.write(attrs)
		case <-ctx.Done():
			for len(a.wait) > 0 {
				a.write(<-a.wait)
			}
			return
		}
	}
}

func (a *audits) write(attrs []slog.Attr) {
	a.log.LogAttrs(context.Background(), slog.LevelInfo, "audit", attrs...)
}
