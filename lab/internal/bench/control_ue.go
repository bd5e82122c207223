package bench

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/internal/wire"
)

// A modelUE is a UE of a crowd. It measures hosts by a guess, and makes no calls.
type modelUE struct {
	peer
	labels []string // that its hosts have

	mu       sync.Mutex
	sessions map[uint64]*modelSession
}

// A modelSession is one of a UE.
type modelSession struct {
	answer chan wire.Place // capacity 1: gets the first Place; the UE may have given up
	asked  bool            // nobody has got it yet
	round  uint32
	at     []string // the primary and the standby; none: the UE
}

// feelEvery is how often a UE says how its calls are at a host.
const feelEvery = time.Second

// addUEs adds n UEs, each of which is near to some of the hosts.
func (c *crowd) addUEs(ctx context.Context, n int) error {
	c.ues = make([]*modelUE, 0, n)
	return together(ctx, n, func(ctx context.Context, i int) error {
		_, err := c.addUE(ctx, fmt.Sprintf("headset-%04d", i), zone(i%len(c.hosts)))
		return err
	})
}

// addUE adds a UE, whose hosts must have these labels.
func (c *crowd) addUE(ctx context.Context, name string, labels ...string) (*modelUE, error) {
	p, err := c.dial(ctx, identity.UE, name)
	if err != nil {
		return nil, err
	}
	u := &modelUE{peer: p, labels: labels, sessions: map[uint64]*modelSession{}}
	c.mu.Lock()
	c.ues = append(c.ues, u)
	c.mu.Unlock()
	u.listen(u.hear)
	return u, nil
}

// ask asks for a place for a session, and returns the manager's first answer.
func (u *modelUE) ask(ctx context.Context, session uint64) (wire.Place, error) {
	s := &modelSession{answer: make(chan wire.Place, 1), asked: true}
	u.mu.Lock()
	u.sessions[session] = s
	u.mu.Unlock()
	need := u.crowd.need
	need.Labels = u.labels
	u.say(wire.Ask{Session: session, Module: u.crowd.module, Need: need})
	select {
	case p := <-s.answer:
		return p, nil
	case <-time.After(crowdPatience):
		return wire.Place{}, fmt.Errorf("%s: the manager does not answer session %d within %v", u.name, session, crowdPatience)
	case <-ctx.Done():
		return wire.Place{}, context.Cause(ctx)
	}
}

// bye ends a session.
func (u *modelUE) bye(session uint64) {
	u.mu.Lock()
	delete(u.sessions, session)
	u.mu.Unlock()
	u.say(wire.Bye{Session: session})
}

// hear does what the manager says.
func (u *modelUE) hear(f wire.ManagerFrame) {
	switch f := f.(type) {
	case wire.Candidates:
		u.measure(f)
	case wire.Place:
		u.placed(f)
	}
}

// measure answers Candidates.
func (u *modelUE) measure(f wire.Candidates) {
	u.mu.Lock()
	s := u.sessions[f.Session]
	if s != nil {
		s.round = f.Round
	}
	u.mu.Unlock()
	if s == nil {
		return
	}
	feel := wire.Feel{Session: f.Session, Round: f.Round}
	for i, h := range f.Hosts {
		feel.Links = append(feel.Links, linkFeel(h.Host, i))
	}
	u.say(feel)
}

// linkFeel says that a host is some milliseconds away.
func linkFeel(host string, i int) wire.LinkFeel {
	return wire.LinkFeel{Host: host, RTT: time.Duration(2000+100*i) * time.Microsecond, Jitter: 200 * time.Microsecond, Sent: 12}
}

func (u *modelUE) placed(f wire.Place) {
	u.mu.Lock()
	defer u.mu.Unlock()
	s := u.sessions[f.Session]
	if s == nil {
		return
	}
	s.at = nil
	for _, p := range []wire.Placed{f.Primary, f.Standby} {
		if p.Host != "" {
			s.at = append(s.at, p.Host)
		}
	}
	if s.asked {
		s.asked = false
		s.answer <- f
	}
}

// rest has the UE say once a second how its sessions are, as one does that makes no calls.
func (u *modelUE) rest() {
	u.each(feelEvery, func() {
		for _, f := range u.feels() {
			u.say(f)
		}
	})
}

func (u *modelUE) feels() (all []wire.Feel) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for n, s := range u.sessions {
		f := wire.Feel{Session: n, Round: s.round}
		for i, host := range s.at {
			f.Links = append(f.Links, linkFeel(host, i))
		}
		if len(s.at) > 0 {
			all = append(all, f)
		}
	}
	return all
}
