package ue

import (
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/bungee-xr/bungee/handler/ue/policy"
	"github.com/bungee-xr/bungee/internal/explain"
)

// ExplainFile makes a log of decisions for Config.Explain that is bounded on disk: when it has size bytes, it becomes PATH.1 and begins anew.
// "bungee explain" reads it. It is to be closed after the handler.
func ExplainFile(path string, size int64) (io.WriteCloser, error) { return explain.Create(path, size) }

// decisionsKept is how many decisions there may be between two views, which write them: 5,000 a second. Of more the last ones are
// written, and that there were more.
const decisionsKept = 256

// A decision is a call, and what was decided, on which view.
type decision struct {
	at       time.Duration
	view     *policy.View
	call     policy.Call
	decided  policy.Decision
	fallback error
}

// An explainer writes the log of decisions. Calls leave their decisions without a lock; the viewer writes them. A nil one writes nothing.
type explainer struct {
	to    io.Writer
	began time.Time

	turn      atomic.Uint64
	decisions [decisionsKept]atomic.Pointer[decision]

	// Owned by the viewer.
	written uint64       // turns that are written, or lost
	missing uint64       // what written was when the next one was missing
	view    *policy.View // the last one that was written
	out     []byte
	failed  error // the writer's; nothing is written after
}

// decided takes note of a decision. Unless there is a log, it costs nothing.
func (e *explainer) decided(d *decision) {
	d.at = time.Since(e.began)
	e.decisions[e.turn.Add(1)%decisionsKept].Store(d)
}

// begin writes the head.
func (e *explainer) begin(p policy.Policy) error {
	e.missing = 1<<64 - 1
	e.add(&explain.Record{Head: &explain.Head{Version: explain.Version, Began: e.began.UTC(), Policy: fmt.Sprintf("%.200T", p)}})
	return e.flush()
}

// writeDecisions writes what was decided since it was last called.
func (e *explainer) writeDecisions(now time.Duration) {
	turn := e.turn.Load()
	if turn-e.written > decisionsKept {
		e.add(&explain.Record{At: now, Lost: turn - e.written - decisionsKept})
		e.written = turn - decisionsKept
	}
	for e.written < turn {
		d := e.decisions[(e.written+1)%decisionsKept].Swap(nil)
		if d == nil && e.missing != e.written {
			e.missing = e.written // it is on its way
			break
		}
		e.written++
		if d == nil { // another one has its place
			e.add(&explain.Record{At: now, Lost: 1})
			continue
		}
		if d.view != e.view {
			e.view = d.view
			e.add(&explain.Record{At: d.view.At, View: d.view})
		}
		c := &explain.Call{
			Call: d.call, Where: d.decided.Where, Fidelity: d.decided.Fidelity, Hedge: d.decided.Hedge,
			Reason: d.decided.Why.Reason, A: d.decided.Why.A, B: d.decided.Why.B,
		}
		if d.fallback != nil && d.decided.Where == policy.OnEdge {
			c.Fallback = fmt.Sprintf("%.200s", d.fallback)
		}
		e.add(&explain.Record{At: d.at, Call: c})
	}
}

// writeEnds writes how calls of a function were at a place.
func (e *explainer) writeEnds(f int, where policy.Place, all []sample) {
	if e.view == nil || f >= len(e.view.Functions) {
		return // no decision on it is in the log
	}
	for _, s := range all {
		e.add(&explain.Record{At: s.At, End: &explain.End{
			Function: f, Where: where, Took: s.Took, Missed: s.Missed,
			Queue: s.Queue, Run: s.Run, Network: s.Network, Up: s.Up, Down: s.Down, Level: s.level,
		}})
	}
}

func (e *explainer) add(r *explain.Record) {
	if e.failed != nil {
		return
	}
	if e.out, e.failed = explain.Append(e.out, r); len(e.out) > explain.MaxLine/2 {
		e.failed = e.flush()
	}
}

// flush gives what there is to the writer, in whole lines.
func (e *explainer) flush() error {
	if e.failed == nil && len(e.out) > 0 {
		_, e.failed = e.to.Write(e.out)
	}
	e.out = e.out[:0]
	return e.failed
}
