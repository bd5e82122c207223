package elastic

import (
	"context"
	"iter"
	"time"
)

// A Kind says what happened to a channel.
type Kind int

// The kinds of events.
const (
	// Moved: the far endpoint went where Move took it.
	Moved Kind = iota + 1
	// FellBack: it went elsewhere because its edge host was lost or silent.
	FellBack
	// MoveFailed: a Move changed nothing.
	MoveFailed
	// Stalled: Send waits for the edge host's credit.
	Stalled
	// PathChanged: the UE reaches the edge host by another path.
	PathChanged
	// StandbyReady: an edge host is warm as standby, and gets the checkpoints.
	StandbyReady
	// StandbyLost: the standby is gone; another one is prepared.
	StandbyLost
	// Ended: the channel has ended. It is the last event.
	Ended
	// Restarted: it began anew at its edge host, where a message had broken it, or since
	// the host before was lost with messages to answer.
	Restarted
	// Broke: a message broke the far endpoint. The message's outcome is Reason.
	Broke
	// Overran: a message was given up since it overran its deadline wherever it was tried; or it
	// is still being handled on the UE, where nobody can stop it.
	Overran
	// CheckpointFailed: the state could not be copied. It is tried again, after a while.
	CheckpointFailed
)

var kindNames = [...]string{"none", "moved", "fell back", "move failed", "credits stalled", "path changed", "standby ready", "standby lost", "ended", "restarted", "broke", "overran", "checkpoint failed"}

// String returns the kind in words.
func (k Kind) String() string {
	if k < 0 || int(k) >= len(kindNames) {
		return "unknown"
	}
	return kindNames[k]
}

// An Event is something that happened to a channel.
type Event struct {
	Kind     Kind
	From, To string        // edge hosts; "" is the UE
	Reason   error         // nil for a Move
	Took     time.Duration // of a move or a fallback, from its beginning to the switch
	Switch   time.Duration // the part of Took in which no message could be sent
	Replayed int           // messages handled once more
	Missed   int           // events before this one that the subscriber was too slow for
}

// eventsKept is how many events wait for a subscriber.
const eventsKept = 64

type subscriber struct {
	events chan Event
	missed int
}

// Events returns what happens to the channel from this call on, until ctx or the
// channel ends. A subscriber that is slow misses events, and is told how many.
func (c *Channel[In, Out]) Events(ctx context.Context) iter.Seq[Event] {
	s := &subscriber{events: make(chan Event, eventsKept)}
	c.mu.Lock()
	if c.subs == nil {
		c.subs = map[*subscriber]struct{}{}
	}
	c.subs[s] = struct{}{}
	c.mu.Unlock()
	return func(yield func(Event) bool) {
		defer func() {
			c.mu.Lock()
			delete(c.subs, s)
			c.mu.Unlock()
		}()
		for {
			e, ok := s.next(ctx, c.closing)
			if !ok || !yield(e) {
				return
			}
		}
	}
}

// next waits for an event, until ctx ends, or closing, and then for those that wait.
func (s *subscriber) next(ctx, closing context.Context) (e Event, ok bool) {
	select {
	case e = <-s.events:
		return e, true
	default:
	}
	select {
	case e = <-s.events:
		return e, true
	case <-ctx.Done():
		return e, false
	case <-closing.Done():
	}
	select {
	case e = <-s.events:
		return e, true
	default:
		return e, false
	}
}

// tellLocked gives e to the subscribers. After the end there is nothing to tell.
func (c *Channel[In, Out]) tellLocked(e Event) {
	if c.phase == ended && e.Kind != Ended {
		return
	}
	for s := range c.subs {
		e.Missed = s.missed
		select {
		case s.events <- e:
			s.missed = 0
		default:
			s.missed++
		}
	}
}

// rerouted reports that the path to the host of a has changed.
func (c *Channel[In, Out]) rerouted(a *attachment) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if a == c.owner {
		c.tellLocked(Event{Kind: PathChanged, From: a.name, To: a.name})
	}
}

// told gives e to the subscribers and logs it. It is called without locks.
func (c *Channel[In, Out]) told(e Event) {
	c.mu.Lock()
	c.tellLocked(e)
	c.mu.Unlock()
	attrs := []any{"endpoint", c.ep.Name, "from", placeName(e.From), "to", placeName(e.To), "took", e.Took, "replayed", e.Replayed}
	if e.Reason != nil {
		c.cfg.Logger.Warn("channel "+e.Kind.String(), append(attrs, "why", e.Reason)...)
		return
	}
	c.cfg.Logger.Info("channel "+e.Kind.String(), attrs...)
}
