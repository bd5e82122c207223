package ue

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bungee-xr/bungee/handler/ue/policy"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/route"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// A function is the handler's state of one elastic function: the edge hosts that its
// calls run on, and counts.
type function struct {
	desc   *offload.Desc
	number int // in the policy's view
	where  *atomic.Pointer[hostSet]
	log    *slog.Logger

	calls, onEdge, moves atomic.Uint64
	place                atomic.Int32                 // a policy.Place: where the last call was sent
	failing              atomic.Bool                  // run is not ""
	ways                 [2]atomic.Pointer[route.Way] // by place: how the last call there ran
	account

	mu        sync.Mutex
	fallbacks uint64
	reasons   map[string]uint64
	run       string // the reason of the run of fallbacks; "": the last call did not fall back
	since     uint64 // fallbacks in that run
}

// A hostSet has the edge hosts of a function, or of a module's functions. It is immutable.
type hostSet struct {
	all    []*target
	placed []*target // those of all that are not used until another one serves
	first  int       // a call takes so many that serve, the first ones; 0: it takes all, which are as many as it is marked for
	none   error     // why there are none
}

// newFunction returns the state of d.
func (h *Handler) newFunction(d *offload.Desc) *function {
	f := &function{desc: d, log: h.log, where: &atomic.Pointer[hostSet]{}}
	f.require.Store(&policy.Requirements{Latency: d.Deadline})
	if h.manager != nil {
		f.where = h.manager.want(d)
		return f
	}
	at := &hostSet{}
	switch others := max(d.Redundancy, 1) - 1; {
	case h.edge == nil:
		at.none = errNoEdge
	case others > len(h.others):
		at.none = errTooFew
	default:
		at.all = append(at.all, h.edge)
		for _, addr := range h.others[:others] {
			at.all = append(at.all, h.targetAt(addr))
		}
	}
	f.where.Store(at)
	return f
}

// choose returns the hosts that the next call of m takes, and why they cannot take it now, nil when they can.
func (at *hostSet) choose(m *offload.Module) (chosen []*target, why error) {
	switch at.first {
	case 0:
		for _, t := range at.all {
			if err := t.view.Load().serves(m); err != nil {
				return at.all, err
			}
		}
		return at.all, at.none
	case 1:
		return at.one(m)
	}
	return at.several(m)
}

// one returns the first host that serves m, or the first one and why it does not.
func (at *hostSet) one(m *offload.Module) (chosen []*target, why error) {
	for i, t := range at.all {
		err := t.view.Load().serves(m)
		if err == nil {
			return at.all[i : i+1], nil
		}
		why = cmp.Or(why, err)
	}
	return at.all[:min(1, len(at.all))], cmp.Or(why, at.none)
}

// several returns the first hosts that serve m, or none if they are too few: their answers are to be compared.
func (at *hostSet) several(m *offload.Module) (chosen []*target, why error) {
	for _, t := range at.all {
		err := t.view.Load().serves(m)
		if err == nil {
			if chosen = append(chosen, t); len(chosen) == at.first {
				return chosen, nil
			}
		}
		why = cmp.Or(why, err)
	}
	return nil, cmp.Or(why, at.none, error(errAlone))
}

// whyNot returns why a call cannot be sent now, nil when it can.
func (f *function) whyNot() error {
	_, why := f.where.Load().choose(f.desc.Module)
	return why
}

// now returns where the last call was sent.
func (f *function) now() policy.Place { return policy.Place(f.place.Load()) }

// goTo takes note that a call is sent to p.
func (f *function) goTo(p policy.Place) {
	if f.now() != p && policy.Place(f.place.Swap(int32(p))) != p {
		f.moves.Add(1)
	}
}

// fellBack counts a fallback, and logs the first one of a run.
func (f *function) fellBack(why error) {
	r := reasonOf(why)
	f.mu.Lock()
	f.fallbacks++
	if f.reasons == nil {
		f.reasons = map[string]uint64{}
	}
	f.reasons[r]++
	first := f.run != r
	if first {
		f.run, f.since = r, 0
	}
	f.since++
	f.failing.Store(true)
	f.mu.Unlock()
	if first {
		f.log.Warn("falling back to the UE", "func", f.desc.Name, "why", why)
	}
}

// answered counts a call that an edge host has answered. It ends a run of fallbacks.
func (f *function) answered() {
	f.onEdge.Add(1)
	if !f.failing.Load() {
		return
	}
	f.mu.Lock()
	r, n := f.run, f.since
	f.run = ""
	f.failing.Store(false)
	f.mu.Unlock()
	if r != "" {
		f.log.Info("the edge host answers again", "func", f.desc.Name, "reason", r, "fallbacks", n)
	}
}

func (f *function) addTo(s *Stats) {
	s.Calls += f.calls.Load()
	s.Edge += f.onEdge.Load()
	s.Moves += f.moves.Load()
	s.Hedged += f.hedged.Load()
	s.Overtaken += f.overtaken.Load()
	s.Wasted += time.Duration(f.wasted.Load())
	f.mu.Lock()
	defer f.mu.Unlock()
	s.Fallbacks += f.fallbacks
	for r, n := range f.reasons {
		s.Reasons[r] += n
	}
}

// A reason is why no call is sent to an edge host.
type reason struct {
	code offload.Code
	text string
}

func (r *reason) Error() string { return r.text }

// ErrorCode returns the code, for offload.CodeOf.
func (r *reason) ErrorCode() offload.Code { return r.code }

// Why the edge host is not used, as the cause of fallbacks.
var (
	errNoEdge     = &reason{offload.CodeUnavailable, "no edge host is configured"}
	errTooFew     = &reason{offload.CodeUnavailable, "the function runs on more edge hosts than Config.Edge and Config.Others name"}
	errAlone      = &reason{offload.CodeUnavailable, "the offload manager has one edge host for the module, and the function is marked for two"}
	errEnded      = &reason{offload.CodeUnavailable, "the UE offload handler has ended"}
	errConnecting = &reason{offload.CodeUnavailable, "the edge host is not connected yet"}
	errDeploying  = &reason{offload.CodeNoModule, "the module is not on the edge host yet"}
	errSilent     = &reason{offload.CodeUnavailable, "the edge host missed a deadline and is being probed"}
	errLeave      = &reason{offload.CodeDraining, "the edge host takes no new calls"}
)

// errLost wraps why there is no session, where that has no code.
var errLost = &reason{offload.CodeUnavailable, "the edge host is lost"}

// unavailable returns why there is no session as the reason why no call is sent.
func unavailable(why error) error {
	if offload.CodeOf(why) != offload.CodeInternal {
		return why
	}
	return fmt.Errorf("%w: %w", errLost, why)
}

// errRefused wraps why the host refused the module, which has the code.
var errRefused = errors.New("the edge host refused the module")

// reasonOf returns the kind of a fallback's cause: one of few, for counting.
func reasonOf(err error) string {
	var c *link.CertificateError
	if errors.As(err, &c) {
		return c.Reason()
	}
	for _, k := range []error{errRefused, offload.ErrDeadline, link.ErrVersion, link.ErrHandshake, link.ErrNoAnswer, link.ErrNoNetwork} {
		if errors.Is(err, k) {
			return k.Error()
		}
	}
	var r *reason
	if errors.As(err, &r) {
		return r.text
	}
	var f *wire.Fail
	if errors.As(err, &f) {
		return "the edge host refused: " + f.Code.String()
	}
	return errLost.text
}
