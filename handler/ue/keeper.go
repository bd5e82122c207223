package ue

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

const (
	pongTimeout   = time.Second // of a host that missed a deadline: then its path is no good
	deployTimeout = 90 * time.Second
)

// A phase is the state of a session. In each phase, keep ends the session when
// the connection is lost, the host says GoAway, or no pong comes.
type phase int

const (
	serving phase = iota // calls are sent
	probing              // a call missed its deadline; a ping is out
	turning              // it was not answered: connections take a fresh path, and a ping is out there
	holding              // the ping was answered; calls wait a while all the same
)

// An event is something that happened to a session.
type event int

const (
	evLate   event = iota // a call missed its deadline
	evPong                // the ping was answered
	evSilent              // it was not
	evTime                // the wait after the pong has passed
)

// next returns the phase after ev.
//
//	serving --late--> probing --pong------------------> holding --time--> serving
//	                     |                                 ^
//	                     +--silent--> turning --pong-------+
//
// A deadline missed in another phase changes nothing: the call had been sent before. Pings are
// also sent when a channel doubts the host: a silent one leads to turning from each phase.
// Silence on the fresh path ends the session.
func (p phase) next(ev event) phase {
	switch {
	case p == serving && ev == evLate:
		return probing
	case p != turning && ev == evSilent:
		return turning
	case (p == probing || p == turning) && ev == evPong:
		return holding
	case p == holding && ev == evTime:
		return serving
	}
	return p
}

// A keeper watches over one session. Its fields belong to keep.
type keeper struct {
	target *target
	sess   *session
	wg     sync.WaitGroup // ping, deploy, settle, holdOn

	better chan *session // from goBack

	phase    phase
	misses   int              // in a row
	lastMiss time.Time        // the last one's
	held     <-chan time.Time // fires when holding is over
	pinging  bool             // a ping is out
	pong     chan error       // cap 1: one ping at a time

	modules   map[offload.Digest]error // as in view; a refused one is not sent again
	again     <-chan time.Time         // fires when those that may be taken meanwhile are sent again
	deploying bool
	deployed  chan deployment // cap 1: one deployment at a time
}

type deployment struct {
	mod      *offload.Module
	uploaded bool
	err      error
}

func newKeeper(t *target, s *session) *keeper {
	return &keeper{
		target: t, sess: s, modules: maps.Clone(s.had),
		better: make(chan *session), pong: make(chan error, 1), deployed: make(chan deployment, 1),
	}
}

// keep returns why the session must end, or the session that takes its place.
func (k *keeper) keep(ctx context.Context) (next *session, err error) {
	k.wg.Go(func() { k.target.settle(ctx, k.sess) })
	if k.sess.lifeline > 0 && k.sess.key != (link.LifelineKey{}) {
		k.wg.Go(func() { k.target.holdOn(ctx, k.sess) })
	}
	if k.sess.transport == link.TCP {
		k.wg.Go(func() { k.target.goBack(ctx, k.sess, k.better) })
	}
	k.look(ctx)
	check := time.NewTicker(checkEvery)
	defer check.Stop()
	// The session ends; a better one is there; the host says GoAway; the target is used no more; calls report; a ping
	// ends; holding is over; a refusal is; a module is deployed; certificates are due to be checked.
	for {
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-k.sess.lost:
			return nil, k.sess.err()
		case next := <-k.better:
			return next, nil
		case reason := <-k.sess.leave:
			return nil, fmt.Errorf("%w: %q", errLeave, reason)
		case <-k.target.left:
			return nil, fmt.Errorf("%w: a manager has moved the UE", errLeave)
		case <-k.target.wake:
			k.look(ctx)
		case err := <-k.pong:
			k.pinging = false
			if err != nil && (k.phase == turning || k.sess.transport == link.TCP) {
				return nil, fmt.Errorf("ping: %w", err)
			}
			k.step(ctx, heard(err))
		case <-k.held:
			k.step(ctx, evTime)
		case <-k.again:
			k.again = nil
			maps.DeleteFunc(k.modules, func(_ offload.Digest, why error) bool { return mayBeTaken(offload.CodeOf(why)) })
			k.look(ctx)
		case d := <-k.deployed:
			if err := k.finish(d); err != nil {
				return nil, err
			}
			k.look(ctx)
		case <-check.C:
			k.target.remind()
			if err := k.sess.checkPeer(); err != nil {
				return nil, err
			}
		}
	}
}

// checkEvery is how often a host's certificate is checked again. A host that is revoked is told so to few
// UEs, so it is not urgent, and a UE's battery counts.
const checkEvery = 5 * time.Second

// step goes to the phase after ev and does what that one asks.
func (k *keeper) step(ctx context.Context, ev event) {
	before := k.phase
	k.phase = before.next(ev)
	if k.phase == before {
		return
	}
	switch k.phase {
	case serving:
		k.target.publish(k.sess, nil, nil)
	case probing:
		k.miss()
		k.ask(ctx, k.ping)
	case turning:
		k.target.publish(k.sess, errSilent, nil)
		k.ask(ctx, k.turn)
	case holding:
		k.held = time.After(holdOff(k.misses))
	}
}

// heard is the event of a ping that gave err.
func heard(err error) event {
	if err != nil {
		return evSilent
	}
	return evPong
}

// ask sends a ping by send, unless one is out.
func (k *keeper) ask(ctx context.Context, send func(context.Context) error) {
	if !k.pinging {
		k.pinging = true
		k.wg.Go(func() { k.pong <- send(ctx) })
	}
}

// turn takes the session's connections to a fresh path, and sends a ping there. The path may have
// begun to drop large packets, or lost an address: what worked no longer does, and a path is
// measured when it is new.
func (k *keeper) turn(ctx context.Context) error {
	if err := k.target.renew(ctx, k.sess); err != nil {
		return err
	}
	return k.ping(ctx)
}

// miss counts a missed deadline.
func (k *keeper) miss() {
	if time.Since(k.lastMiss) > missMemory {
		k.misses = 0
	}
	k.misses++
	k.lastMiss = time.Now()
}

func (k *keeper) ping(ctx context.Context) error {
	late := fmt.Errorf("%w within %v", link.ErrNoAnswer, pongTimeout)
	ctx, cancel := context.WithTimeoutCause(ctx, pongTimeout, late)
	defer cancel()
	_, err := k.sess.ping(ctx)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return cause
	}
	return err
}

// missMemory is how long a missed deadline counts against the host.
const missMemory = 10 * time.Second

// holdOff is how long no call is sent to a host that is alive but has missed deadlines
// in a row: zero after the first miss, then 250 ms, doubled to at most 4 s.
func holdOff(misses int) time.Duration {
	if misses < 2 {
		return 0
	}
	return min(250*time.Millisecond<<min(misses-2, 10), 4*time.Second)
}

// look acts on the reports of calls.
func (k *keeper) look(ctx context.Context) {
	r := k.target.reports(k.sess)
	if r.late {
		k.step(ctx, evLate)
	}
	if r.doubted {
		k.ask(ctx, k.ping)
	}
	if r.lacking {
		clear(k.modules)
	}
	for d, m := range r.wanted {
		if _, asked := k.modules[d]; !asked && !k.deploying {
			k.deploy(ctx, m)
		}
	}
}

func (k *keeper) deploy(ctx context.Context, m *offload.Module) {
	k.deploying = true
	k.wg.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, deployTimeout)
		defer cancel()
		uploaded, err := k.sess.deploy(ctx, m)
		k.deployed <- deployment{m, uploaded, err}
	})
}

// refusedFor is how long a module that the host had no room for is not sent again: a
// host makes room when a module is used no more.
const refusedFor = 5 * time.Second

// deniedFor is how long a module that the host's policy does not grant what it asks for is not sent
// again: an operator may change the policy, and each time costs the host a look into its cache.
const deniedFor = time.Minute

// mayBeTaken says whether a host that refused a module with code may take it later.
func mayBeTaken(code offload.Code) bool {
	return code == offload.CodeOverloaded || code == offload.CodeDenied
}

// finish takes the result of a deployment. One that failed because of the connection
// ends the session; the next session tries again.
func (k *keeper) finish(d deployment) error {
	k.deploying = false
	log := k.target.log.With("host", k.sess.host, "module", d.mod.Digest.String()[:12])
	var refusal *wire.Fail
	switch {
	case d.err == nil:
		k.modules[d.mod.Digest] = nil
		log.Info("module is on the edge host", "uploaded", d.uploaded)
	case errors.As(d.err, &refusal), offload.CodeOf(d.err) == offload.CodeBadModule:
		k.modules[d.mod.Digest] = fmt.Errorf("%w: %w", errRefused, d.err)
		log.Warn("edge host refused a module", "why", d.err)
		switch code := offload.CodeOf(d.err); {
		case code == offload.CodeOverloaded:
			k.again = time.After(refusedFor)
		case code == offload.CodeDenied && k.again == nil:
			k.again = time.After(deniedFor)
		}
	default:
		return fmt.Errorf("deploy module %s: %w", d.mod.Digest.String()[:12], d.err)
	}
	var why error
	if k.phase != serving {
		why = errSilent
	}
	k.target.publish(k.sess, why, maps.Clone(k.modules))
	return nil
}
