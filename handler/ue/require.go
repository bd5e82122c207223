package ue

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/bungee-xr/bungee/handler/ue/policy"
	"github.com/bungee-xr/bungee/offload"
)

// Require changes what an application wants of the calls of f: when they must be answered, how many there are, how much energy
// matters, whether their data may leave the device, and what an edge host may cost. It holds for the next view of the policy, a few
// milliseconds later, but for Private, which holds at once. Until then a deadline of the mark, and nothing else, is required.
//
// The error says which requirements cannot be met as things are; they count all the same, as things may change. A call of
// a function whose Private is set never leaves the UE, whatever the policy.
func (h *Handler) Require(f *offload.Desc, r policy.Requirements) error {
	switch {
	case r.Latency < 0:
		return fmt.Errorf("require of %s: a latency of %v", f.Name, r.Latency)
	case !(r.Rate >= 0) || math.IsInf(r.Rate, 0), !(r.Price >= 0) || math.IsInf(r.Price, 0):
		return fmt.Errorf("require of %s: a rate or a price that is no number of at least zero", f.Name)
	case r.Energy > policy.Frugal:
		return fmt.Errorf("require of %s: energy preference %d is unknown", f.Name, r.Energy)
	}
	k := h.function(f)
	k.require.Store(&r)
	note(h.viewer.wake)
	if h.manager != nil {
		h.manager.require(f, r)
	}
	return h.unmet(k, r)
}

// unmet returns which requirements of f cannot be met, as far as it is known.
func (h *Handler) unmet(f *function, r policy.Requirements) error {
	v := *h.viewer.view.Load()
	v.Functions = slices.Clone(v.Functions)
	v.Functions[f.number].Require = r
	var all []error
	for _, u := range v.Unmet() {
		if u.Function == f.number {
			all = append(all, &UnmetError{Func: f.desc.Name, Unmet: u})
		}
	}
	return errors.Join(all...)
}

// An UnmetError says which requirement cannot be met as things are.
type UnmetError struct {
	Func string
	policy.Unmet
}

// Error names the requirement, what is wanted, and what there is.
func (e *UnmetError) Error() string {
	s := fmt.Sprintf("%s: a %s of %.4g is required, and %.4g is the best there is", e.Func, e.Which, e.Want, e.Best)
	if e.Which == "latency" {
		s = fmt.Sprintf("%s: a latency of %v is required, and %v is the best there is", e.Func, asDuration(e.Want), asDuration(e.Best))
	}
	return s
}

func asDuration(seconds float64) time.Duration {
	return time.Duration(seconds * float64(time.Second)).Round(time.Microsecond)
}
