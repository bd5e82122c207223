package stage

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/offload/manager"
)

const (
	// mostSessions bounds the sessions that fill a host: each is a process.
	mostSessions = 8
	// crowdShare is the part of a host's capacity that one of them takes, about.
	crowdShare = 0.4
	// crowdInFlight is how many calls it has at once.
	crowdInFlight = 2
	// crowdRate is how many calls a second it makes where nothing is known of the module, and leastCrowdRate and mostCrowdRate are bounds.
	crowdRate, leastCrowdRate, mostCrowdRate = 10, 1, 100
	// look is the time between two looks at what the manager says of a session.
	look = 200 * time.Millisecond
	// decideTime is how long a session may take until the manager has decided about it.
	decideTime = 20 * time.Second
)

var errNoCrowd = errors.New("there is no other application here that could fill a host")

// A crowd is the sessions of another application that fill one host.
type crowd struct {
	s    *Stage
	host string
	stop func()
	wg   sync.WaitGroup

	mu       sync.Mutex // leaf
	sessions []*process
}

// Fill has sessions of another application ask for a host until the manager refuses one: then it is full. They stay until Empty.
func (s *Stage) Fill(host string) error {
	switch {
	case s.hosts[host] == nil:
		return unknown(host)
	case len(s.cfg.Crowd) == 0:
		return errNoCrowd
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.crowds == nil || s.crowds[host] != nil {
		return nil
	}
	c := &crowd{s: s, host: host}
	ctx, cancel := context.WithCancel(context.Background())
	c.stop = cancel
	s.crowds[host] = c
	c.wg.Go(func() { c.gather(ctx) })
	return nil
}

// Empty sends the sessions away that Fill has brought.
func (s *Stage) Empty(host string) error {
	if s.hosts[host] == nil {
		return unknown(host)
	}
	s.mu.Lock()
	c := s.crowds[host]
	delete(s.crowds, host)
	s.mu.Unlock()
	if c != nil {
		c.end()
	}
	return nil
}

// Filled says whether a host was filled.
func (s *Stage) Filled(host string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.crowds[host] != nil
}

// gather starts sessions until one is refused.
func (c *crowd) gather(ctx context.Context) {
	for i := range mostSessions {
		name := fmt.Sprintf("visitor-%s-%d", c.host, i+1)
		full, err := c.add(ctx, name)
		if err != nil && ctx.Err() == nil {
			c.s.cfg.Log.Warn("a host is not filled", "host", c.host, "why", err)
		}
		if full || err != nil {
			return
		}
	}
}

// add starts a session, and says whether the manager has refused it.
func (c *crowd) add(ctx context.Context, name string) (refused bool, err error) {
	st, err := c.s.State(ctx)
	if err != nil {
		return false, err
	}
	if err := c.s.issue(identity.UE, name); err != nil {
		return false, err
	}
	rate := strconv.FormatFloat(rateAt(st, c.host), 'f', 1, 64)
	p, err := run(append(c.s.cfg.Crowd[:len(c.s.cfg.Crowd):len(c.s.cfg.Crowd)],
		"--certs", c.s.path(name), "--manager", c.s.Manager(), "--label", label(c.host), "--rate", rate, "--in-flight", strconv.Itoa(crowdInFlight)))
	if err != nil {
		return false, err
	}
	if err := c.s.takeOut(p.cmd.Process.Pid); err != nil {
		c.s.cfg.Log.Warn("a process shares the UE's CPU limit", "process", name, "why", err)
	}
	c.mu.Lock()
	c.sessions = append(c.sessions, p)
	c.mu.Unlock()
	return c.decided(ctx, name, p)
}

// decided waits until the manager has decided about a session.
func (c *crowd) decided(ctx context.Context, name string, p *process) (refused bool, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, decideTime, errors.New("the manager has not decided about a session in time"))
	defer cancel()
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-p.ended:
			return false, fmt.Errorf("session %s has ended: %v", name, p.err)
		case <-ctx.Done():
			return false, context.Cause(ctx)
		}
		st, err := c.s.State(ctx)
		if err != nil {
			return false, err
		}
		i := slices.IndexFunc(st.Sessions, func(x manager.Session) bool { return x.UE == name })
		if i < 0 {
			continue
		}
		switch st.Sessions[i].State {
		case "running":
			return false, nil
		case "local":
			return true, nil
		}
	}
}

// rateAt returns how many calls a second take a session's share of a host. The demo's module is what is called, of which most is known.
func rateAt(st manager.State, host string) float64 {
	i := slices.IndexFunc(st.Hosts, func(h manager.Host) bool { return h.Name == host })
	if i < 0 || len(st.Hosts[i].Modules) == 0 || st.Hosts[i].Modules[0].Turn <= 0 {
		return crowdRate
	}
	h := st.Hosts[i]
	return min(max(crowdShare*min(h.Turns, h.Learned)/(h.Modules[0].Turn/1e3), leastCrowdRate), mostCrowdRate)
}

// end ends the sessions, all at once.
func (c *crowd) end() {
	c.stop()
	c.wg.Wait()
	var ending sync.WaitGroup
	for _, p := range c.sessions { // nobody adds any more
		ending.Go(p.end)
	}
	ending.Wait()
}
