package executor

import (
	"slices"
	"time"
)

// scheduleLocked has retireIdle run when the next instance has been idle for long.
func (p *Pool) scheduleLocked() {
	if p.closed || len(p.idle) <= p.cfg.Keep {
		return
	}
	wait := p.cfg.Idle - time.Since(p.idle[0].since)
	if p.retire == nil {
		p.retire = time.AfterFunc(wait, p.retireIdle)
	} else {
		p.retire.Reset(wait)
	}
}

// retireIdle closes the instances that have been idle for long.
func (p *Pool) retireIdle() {
	p.mu.Lock()
	n := 0
	for n < len(p.idle)-p.cfg.Keep && time.Since(p.idle[n].since) >= p.cfg.Idle {
		n++
	}
	old := p.retireLocked(n)
	p.scheduleLocked()
	p.mu.Unlock()
	p.close(old)
}

// idleSince returns since when the oldest idle instance is idle, and whether there is one.
func (p *Pool) idleSince() (time.Time, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) == 0 {
		return time.Time{}, false
	}
	return p.idle[0].since, true
}

// closeIdle closes the oldest idle instance, and says whether there was one.
func (p *Pool) closeIdle() bool {
	p.mu.Lock()
	old := p.retireLocked(min(1, len(p.idle)))
	p.mu.Unlock()
	p.close(old)
	return len(old) > 0
}

// retireLocked takes out the n that have been idle for longest, which the caller
// gives to close once p.mu is free.
func (p *Pool) retireLocked(n int) []idleInstance {
	old := slices.Clone(p.idle[:n])
	p.idle = slices.Delete(p.idle, 0, n)
	p.stats.Instances -= n
	p.stats.Retired += uint64(n)
	p.closing += n
	return old
}

// close closes instances that retireLocked took out.
func (p *Pool) close(retired []idleInstance) {
	closeAll(retired)
	p.mu.Lock()
	p.closing -= len(retired)
	p.empty.Broadcast()
	p.mu.Unlock()
}

func closeAll(instances []idleInstance) {
	for _, in := range instances {
		in.Close()
	}
}
