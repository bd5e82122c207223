package check

import (
	"slices"
	"sync"
	"time"

	"github.com/bungee-xr/bungee/elastic"
)

// A follower has the far endpoint of a channel where an offload manager says, as Follow of package ue does: at the primary of the newest Place,
// with the Place's standby as the only one. What fails is done again after a second, unless another Place has come.
type follower struct {
	wake chan struct{} // cap 1: a Place has come

	mu     sync.Mutex // leaf
	newest Step       // Place; its N is 0 before one has come
	stood  time.Time  // when a Place last changed which host stands by; zero: none did
	stands []Host     // since then
}

// again is when a Place that failed is followed again.
const again = time.Second

// take takes note of a Place. A repeated one, and one that others overtook, is nothing.
func (f *follower) take(s Step) (taken bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s.N <= f.newest.N {
		return false
	}
	f.newest = s
	select {
	case f.wake <- struct{}{}:
	default: // it looks anyway
	}
	return true
}

// stand takes note of who stands by from now on.
func (f *follower) stand(all []Host) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stood, f.stands = time.Now(), all
}

// standbys returns which hosts stand by, and since when; before any Place it is those of the channel's settings.
func (l *life) standbys() (all []Host, since time.Time) {
	f := &l.follower
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stood.IsZero() {
		return l.settings.Standby, l.judge.opened
	}
	return f.stands, f.stood
}

// mayStand says whether h may be ready to stand by: the newest Place that was followed says so, or is a moment old.
func (l *life) mayStand(h Host) bool {
	all, since := l.standbys()
	return slices.Contains(all, h) || time.Since(since) < tick
}

// follow follows Places until the channel is to end.
func (l *life) follow() {
	var retry <-chan time.Time
	for {
		select {
		case <-l.follower.wake:
		case <-retry:
		case <-l.quit:
			return
		}
		retry = nil
		l.follower.mu.Lock()
		p := l.follower.newest
		l.follower.mu.Unlock()
		if !l.over() && !l.obey(p) {
			retry = time.After(again)
		}
	}
}

// obey goes to a Place's primary, and then changes who stands by: the move may be to one that does.
func (l *life) obey(p Step) bool {
	if err := l.move(Step{Op: Move, Chan: p.Chan, Host: p.Host, Patience: p.Patience}); err != nil {
		return false
	}
	var all []Host
	var targets []elastic.Target
	if p.Standby != "" {
		all, targets = []Host{p.Standby}, []elastic.Target{l.w.targets[p.Standby]}
	}
	l.follower.stand(all)
	if err := l.w.sabotage.standBy(targets, l.ch.StandBy); err != nil {
		l.w.fail("stand by: %v", err)
	}
	l.w.count.Placed.Add(1)
	return true
}
