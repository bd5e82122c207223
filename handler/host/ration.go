package host

import "time"

// Bounds of what probes take beside calls.
const (
	// probePart is the part of one core that probes have in the long run: one in so many.
	probePart = 10
	// probeRest is how long nothing is probed after a probe that gave way: whose calls wanted the core calls again soon, and each
	// probe that is stopped costs an instance, which the next one makes again.
	probeRest = time.Second
)

// A ration says when a host may be probed again. Whoever orders probes without pause must not notice that by the calls of others.
type ration struct {
	paid time.Time // when the time that probes have had is a probePart of all
}

// wait returns how long no probe may begin yet. One whose time is not paid yet may, up to what two have in a row.
func (r *ration) wait(now time.Time) time.Duration {
	return max(0, r.paid.Add(-probePart*probeTime).Sub(now))
}

// spend counts a probe that has ended, after so long.
func (r *ration) spend(now time.Time, took time.Duration, gaveWay bool) {
	if r.paid.Before(now) {
		r.paid = now
	}
	r.paid = r.paid.Add(probePart * took)
	if rests := now.Add(probeRest + probePart*probeTime); gaveWay && r.paid.Before(rests) {
		r.paid = rests
	}
}
