package check

import (
	"time"

	"github.com/bungee-xr/bungee/internal/radio"
)

// weather makes the network bad for a while.
func (w *world) weather(s Step) {
	w.count.Bursts.Add(1)
	w.hurt()
	for _, h := range hosts {
		w.gloom(h, s)
	}
	w.tune(func() { w.bad = s.air() })
	time.AfterFunc(s.For, func() { w.tune(func() { w.bad = radio.Faults{} }) })
}

// narrow makes the link to one host bad for a while. The host's last such step counts.
func (w *world) narrow(s Step) {
	w.count.Links.Add(1)
	w.hurt()
	w.gloom(s.Host, s)
	f := s.air()
	w.tune(func() { w.links[s.Host] = f })
	time.AfterFunc(s.For, func() {
		w.tune(func() {
			if w.links[s.Host] == f {
				delete(w.links, s.Host)
			}
		})
	})
}

// gloom takes note of what a step's faults excuse: to be slow, and if packets are lost or
// late, anything.
func (w *world) gloom(h Host, s Step) {
	w.blame.throttled(s.Rate)
	w.blame.excuse(h, laggard, s.For)
	if s.Loss+s.Dup+s.Late > 0 || s.Jitter > 0 {
		w.blame.excuse(h, doomed, s.For)
	}
}

// air returns the faults that a step asks for.
func (s *Step) air() radio.Faults {
	return radio.Faults{
		Loss: float64(s.Loss) / 100, Duplicate: float64(s.Dup) / 100, Reorder: float64(s.Late) / 100,
		Jitter: s.Jitter, Rate: float64(s.Rate),
	}
}

// tune changes faults and tells the air.
func (w *world) tune(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
	for _, h := range hosts {
		f, ok := w.links[h]
		if !ok {
			f = w.bad
		}
		w.air.Set(addrs[h].IP, nil, f)
		w.air.Set(nil, addrs[h].IP, f)
	}
}
