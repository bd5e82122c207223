package executor

import (
	"sync/atomic"
	"time"
)

// A party shares cores with others: a tenant with the tenants, an account with those of its tenant.
type party struct {
	weight atomic.Int64  // a tenant's; 0 means 1
	served time.Duration // time on a core over its weight; guarded by the Turns' mutex, as is
	known  bool          // it has wanted a core before
}

// charge counts time on a core. A negative one takes back what was counted.
func (p *party) charge(d time.Duration) { p.served += d / time.Duration(max(1, p.weight.Load())) }

// A level is what is known of parties that share with each other. It is guarded by the Turns' mutex.
type level struct {
	floor time.Duration // the most that one of them had been served when it got a core
}

// claim bounds the advantage of a party that was idle: its first 20 ms go before
// parties that compute all the time, so that short calls are as fast beside them as
// alone. It saves up no more than that while it is idle.
const claim = 20 * time.Millisecond

// join has p, which wants a core, claim no more than it may: nothing at first, or ten that have just come would compute for 200 ms before those who are there. It
// comes by a claim as others compute.
func (l *level) join(p *party) {
	least := l.floor - claim
	if !p.known {
		p.known, least = true, l.floor
	}
	p.served = max(p.served, least)
}

// serve has p get a core.
func (l *level) serve(p *party) { l.floor = max(l.floor, p.served) }

// even forgets what some of the parties, which have a core or want one, have had more than others: as nobody waits,
// none of them has lacked one. Who has had little keeps his claim.
func (l *level) even(parties []*party) {
	for _, p := range parties {
		l.serve(p)
	}
	for _, p := range parties {
		l.join(p)
	}
}

// behind says whether p has had so much less than another one that it still had a claim after another call of usual length. It is what lets
// a call into a fast lane.
func (l *level) behind(p *party) bool { return p.served+claim/2 <= l.floor }
