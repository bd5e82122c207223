package ue

import (
	"context"
	"errors"
	"time"

	"github.com/bungee-xr/bungee/elastic"
	"github.com/bungee-xr/bungee/offload"
)

// A Mover is an elastic channel.
type Mover interface {
	// Move takes the far endpoint to an edge host, or to the UE when that is nil.
	Move(ctx context.Context, t elastic.Target) error
	// StandBy says which edge hosts stand by, in place of those before.
	StandBy(all ...elastic.Target) error
}

const (
	// moveTimeout bounds a move that the manager asks for. The host before is left 10 s after the new one serves
	// functions, so one that takes longer is a recovery.
	moveTimeout = 10 * time.Second
	// moveAgain is when a move that failed is tried again, unless something changes before.
	moveAgain = time.Second
)

// Follow keeps the far endpoint of a channel where the offload manager has the module of f run: on the primary, on the standby while the
// primary is lost, on the UE while the manager has no host. The manager's standby stands by for the channel, too, in place of the
// channel's own Config.Standby: when the primary is lost or drains, the channel goes there by itself. f is the endpoint's description. Follow
// returns when ctx ends, with its cause, or at once in a handler without Config.Managers; the channel stays where it is then.
func (h *Handler) Follow(ctx context.Context, f *offload.Desc, ch Mover) error {
	if h.manager == nil {
		return errors.New("Follow needs a handler with Config.Managers")
	}
	p := h.manager.placementOf(f, true)
	h.manager.followed(p, 1)
	defer h.manager.followed(p, -1)
	for {
		changes := p.changes()
		var again <-chan time.Time
		if home := p.home(); home.known {
			if err := home.take(ctx, ch); err != nil && ctx.Err() == nil {
				h.log.Warn("a channel cannot follow the offload manager", "endpoint", f.Name, "why", err)
				again = time.After(moveAgain)
			}
		}
		select {
		case <-changes:
		case <-again:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// A home is where a channel should be.
type home struct {
	known    bool             // else it stays where it is
	at       *target          // nil: the UE
	standbys []elastic.Target // ready to take over
}

// take has a channel go there. Those that stand by change after the move: it may be to one of them, or the host before may be
// lost meanwhile.
func (h home) take(ctx context.Context, ch Mover) error {
	ctx, cancel := context.WithTimeout(ctx, moveTimeout)
	defer cancel()
	var to elastic.Target
	if h.at != nil {
		to = h.at
	}
	if err := ch.Move(ctx, to); err != nil {
		return err
	}
	return ch.StandBy(h.standbys...)
}
