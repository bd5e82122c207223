package ue

import (
	"slices"
	"time"

	"github.com/bungee-xr/bungee/handler/ue/policy"
)

// links is what the viewer knows of the way to the edge host in use.
type links struct {
	of            *session
	packets, lost uint64
	loss          float64
	up, down      rates
}

// lossOver is how many packets the loss is averaged over.
const lossOver = 500

// look puts the hosts, and the way to the first of them that has a session, into a view.
func (l *links) look(next *policy.View, functions []*learned, now time.Duration) {
	var seen []*target
	for _, k := range functions {
		if k.f == nil {
			continue
		}
		for _, t := range k.f.where.Load().all {
			if slices.Contains(seen, t) {
				continue
			}
			seen = append(seen, t)
			v := t.view.Load()
			next.Hosts = append(next.Hosts, policy.Host{Name: t.Name(), Ready: v.sess != nil && v.why == nil})
			if v.sess != nil && len(seen) == 1 {
				l.lookAt(v.sess, next)
			}
		}
	}
	next.Link.Up, next.Link.Down = l.up.reading(now), l.down.reading(now)
}

// lookAt puts the way to a host into a view.
func (l *links) lookAt(s *session, next *policy.View) {
	if s != l.of {
		*l = links{of: s}
	}
	var packets, lost uint64
	for _, st := range *s.strands.Load() {
		m := st.conn.Metrics()
		packets += m.PacketsSent
		lost += m.PacketsLost
		if rtt, known := next.Link.RTT.Get(); m.RTT > 0 && (!known || m.RTT < rtt) {
			next.Link.RTT, next.Link.Jitter = policy.Known(m.RTT), policy.Known(m.Jitter)
		}
	}
	if sent := float64(packets - l.packets); packets > l.packets {
		share := min(1, float64(lost-min(lost, l.lost))/sent)
		l.loss += (share - l.loss) * min(1, sent/lossOver)
	}
	l.packets, l.lost = packets, lost
	next.Link.Loss = policy.Known(l.loss)
	if s.addr.IP.IsLoopback() {
		next.Link.Kind = policy.Loopback
	}
}

// carried takes note of what a call tells of the rate of the way: how fast its bytes went, beyond the round trip.
func (l *links) carried(o *policy.Outcome, rtt policy.Reading[time.Duration], now time.Duration) {
	r, known := rtt.Get()
	took := o.Network - r
	if !known || took < r/4 || took <= 0 { // the round trip is nearly all of it, or there was no answer
		return
	}
	to, bytes := &l.up, o.Up
	if o.Down > o.Up {
		to, bytes = &l.down, o.Down
	}
	if bytes >= leastCarried {
		to.add(float64(bytes)/took.Seconds(), now)
	}
}

// leastCarried is the least size of what tells a rate: three packets. With more, calls at a low fidelity would not tell that the link is
// wide enough for a better one.
const leastCarried = 4 << 10

// rates are the last measured rates of one direction [bytes/s].
type rates struct {
	last [5]float64
	n    int
	at   time.Duration
}

// rateCounts is how long a measured rate says something.
const rateCounts = 30 * time.Second

func (r *rates) add(rate float64, now time.Duration) {
	r.last[r.n%len(r.last)] = rate
	r.n++
	r.at = now
}

// reading returns the median of the last rates.
func (r *rates) reading(now time.Duration) policy.Reading[float64] {
	if r.n == 0 || now-r.at > rateCounts {
		return policy.Reading[float64]{}
	}
	sorted := r.last
	all := sorted[:min(r.n, len(sorted))]
	slices.Sort(all)
	return policy.Known(all[len(all)/2])
}
