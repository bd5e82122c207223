package check

import "time"

// refuse has a host refuse states for a while.
func (w *world) refuse(s Step) {
	w.count.Refusals.Add(1)
	if s.Restore {
		w.blame.excuse(s.Host, refusing, s.For)
	}
	if s.Save {
		w.blame.excuse(s.Host, withholding, s.For)
	}
	until := time.Now().Add(s.For)
	w.mu.Lock()
	defer w.mu.Unlock()
	r := w.refusals[s.Host]
	if s.Save {
		r.save = until
	}
	if s.Restore {
		r.restore = until
	}
	w.refusals[s.Host] = r
}

// A refusal is until when a host refuses states.
type refusal struct{ save, restore time.Time }

// refuses says what h refuses now.
func (w *world) refuses(h Host) (save, restore bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	r, now := w.refusals[h], time.Now()
	return r.save.After(now), r.restore.After(now)
}
