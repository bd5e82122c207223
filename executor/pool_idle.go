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
	p.retireMany(func() (n int) {
		for n < len(p.idle)-p.cfg.Keep && time.Since(p.idle[n].since) >= p.cfg.Idle {
			n++
		}
		return n
	})
	p.mu.Lock()
	p.scheduleLocked()
	p.mu.Unlock()
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
	return p.retireMany(func() int { return min(1, len(p.idle)) }) > 0
}

// retireMany closes those that have been idle for longest, as many as countLocked says, and returns how many.
func (p *Pool) retireMany(countLocked func() int) (n int) {
	p.cfg.Instance.Tenant.whileClosing(func() {
		p.mu.Lock()
		n = countLocked()
		old := slices.Clone(p.idle[:n])
		p.idle = slices.Delete(p.idle, 0, n)
		p.stats.Instances -= n
		p.stats.Retired += uint64(n)
		p.closing += n
		p.mu.Unlock()
		closeAll(old)
		p.mu.Lock()
		p.closing -= n
		p.empty.Broadcast()
		p.mu.Unlock()
	})
	return n
}

func closeAll(instances []idleInstance) {
	for _, in := range instances {
		in.Close()
	}
}
