package ue

import (
	"sync/atomic"
	"time"

	"github.com/bungee-xr/bungee/handler/ue/policy"
	"github.com/bungee-xr/bungee/internal/route"
	"github.com/bungee-xr/bungee/offload"
)

const (
	// recent is how many calls of a function at each place are kept for the next view: as many as a policy.Meter remembers.
	recent = 32
	// briefRun is what a run takes beside which two readings of a clock count. Of those, when there are more than briefRate a second, one in
	// timedBrief is timed: ten a second at least.
	briefRun   = 20 * time.Microsecond
	timedBrief = 64
	briefRate  = 10 * timedBrief
	// hedgeShare is one in how many of a function's calls on edge hosts may be begun on the UE, too.
	hedgeShare = 20
	// hedgesAtOnce is how many of them may come one after another, and run at the same time: more come only when an edge host is frozen,
	// and then the first ones tell.
	hedgesAtOnce = 3
)

// An account is what the calls of a function tell. Calls write it without a lock, and the handler's viewer reads it.
type account struct {
	ran      [recent]atomic.Int64 // native runs, each maxLevels times its time and its level; 0: read
	runs     atomic.Uint32        // turn of ran
	outcomes [recent]atomic.Pointer[sample]
	turn     atomic.Uint32 // of outcomes

	brief  atomic.Bool // native runs take less than briefRun, and are many
	hedges allowance

	require atomic.Pointer[policy.Requirements]
	levels  atomic.Pointer[[]policy.Level] // nil: none were set
	level   atomic.Uint32                  // that was told last

	hedged, overtaken atomic.Uint64
	wasted            atomic.Int64
}

// Times implements route.Account: of calls that are brief and many, one in timedBrief is timed.
func (f *function) Times() bool { return !f.brief.Load() || f.calls.Load()%timedBrief == 0 }

// Ran implements route.Account.
func (f *function) Ran(took time.Duration) {
	f.ran[f.runs.Add(1)%recent].Store(int64(max(1, took))*maxLevels + int64(f.level.Load()))
}

// Answered implements route.Account.
func (f *function) Answered(t *offload.Trace, took time.Duration) {
	f.outcome(policy.Outcome{
		Bytes: t.BytesUp, Took: took,
		Codec: t.Encode + t.Decode, Network: t.Network, Queue: t.Queue, Run: t.Run, Up: t.BytesUp, Down: t.BytesDown,
	})
}

// outcome takes note of a call on an edge host.
func (f *function) outcome(o policy.Outcome) {
	f.outcomes[f.turn.Add(1)%recent].Store(&sample{o, int(f.level.Load())})
}

// A sample is how a call was, and the fidelity that was told before it.
type sample struct {
	policy.Outcome
	level int
}

// take returns the calls at both places since it was last called. Of more than there is room for, the last ones count.
func (a *account) take(now time.Duration) (here, there []sample) {
	for i, from := uint32(0), a.runs.Load()+1; i < recent; i++ {
		if ran := a.ran[(from+i)%recent].Swap(0); ran > 0 {
			here = append(here, sample{policy.Outcome{At: now, Took: time.Duration(ran / maxLevels)}, int(ran % maxLevels)})
		}
	}
	for i, from := uint32(0), a.turn.Load()+1; i < recent; i++ {
		if o := a.outcomes[(from+i)%recent].Swap(nil); o != nil {
			o.At = now
			there = append(there, *o)
		}
	}
	return here, there
}

// MayHedge implements route.Account.
func (f *function) MayHedge() bool { return f.hedges.take() }

// HedgeEnded implements route.Account.
func (f *function) HedgeEnded() { f.hedges.running.Add(-1) }

// Hedged implements route.Account.
func (f *function) Hedged(hostFirst bool, wasted time.Duration) {
	f.hedged.Add(1)
	if !hostFirst {
		f.overtaken.Add(1)
	}
	f.wasted.Add(int64(wasted))
}

// Reason implements route.Account.
func (f *function) Reason(w route.Why) string {
	return policy.Why{Reason: policy.Reason(w.Reason), A: w.A, B: w.B}.String()
}

// An allowance bounds hedging: to a share of the calls, and at one time.
type allowance struct {
	debt    atomic.Int64 // in calls
	running atomic.Int32
}

// earn pays for the debt with a call.
func (a *allowance) earn() {
	for {
		debt := a.debt.Load()
		if debt == 0 || a.debt.CompareAndSwap(debt, debt-1) {
			return
		}
	}
}

// take takes what one hedged call costs. The caller lowers running when that has ended.
func (a *allowance) take() bool {
	if a.running.Add(1) > hedgesAtOnce {
		a.running.Add(-1)
		return false
	}
	for {
		debt := a.debt.Load()
		if debt+hedgeShare > hedgesAtOnce*hedgeShare {
			a.running.Add(-1)
			return false
		}
		if a.debt.CompareAndSwap(debt, debt+hedgeShare) {
			return true
		}
	}
}
