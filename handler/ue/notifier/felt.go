package notifier

import (
	"sync"
	"time"
)

// A Path is what a UE handler knows of the way to the edge host in use. What is 0 is not known.
type Path struct {
	// Host is the edge host's name; readings name it as their source.
	Host string
	// RTT is the round-trip time, Jitter its mean variation.
	RTT, Jitter time.Duration
	// Loss is the share of packets that get lost, 0 to 1. It counts, 0 too, where RTT is known.
	Loss float64
	// RateUp and RateDown are what the way carries, in bit/s.
	RateUp, RateDown float64
}

// newsless is after how long without news of a path nothing is known of it.
const newsless = 10 * time.Second

// Feel hands in what is known of the path to the edge host in use. Samples show it until there is newer news, or none
// for 10 s. It may be called by many goroutines.
func (n *Notifier) Feel(p Path) {
	n.felt.mu.Lock()
	defer n.felt.mu.Unlock()
	n.felt.path, n.felt.at = p, time.Now()
}

// felt is the source of what was handed in.
type felt struct {
	mu   sync.Mutex // leaf lock
	path Path
	at   time.Time // zero: nothing was handed in yet
}

func (f *felt) Read(r *Round) {
	f.mu.Lock()
	p, at := f.path, f.at
	f.mu.Unlock()
	age := r.Now.Sub(at)
	for _, x := range []struct {
		m     Metric
		v     float64
		known bool
	}{
		{RTT, p.RTT.Seconds(), p.RTT > 0},
		{Jitter, p.Jitter.Seconds(), p.Jitter > 0},
		{Loss, p.Loss, p.RTT > 0},
		{RateUp, p.RateUp, p.RateUp != 0},
		{RateDown, p.RateDown, p.RateDown != 0},
	} {
		switch {
		case at.IsZero():
			r.Unknown(x.m, "no edge host is in use")
		case age > newsless:
			r.Unknown(x.m, "no news of the path to "+p.Host+" for "+newsless.String())
		case x.known:
			r.TellAged(x.m, x.v, "path to "+p.Host, age)
		}
	}
}
