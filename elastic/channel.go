package elastic

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/bungee-xr/bungee/offload/codegen"
)

// A Channel is an elastic channel. Its near endpoint is what the application calls:
// Send and Recv. Its far endpoint is a value of a marked type: it begins on the UE as
// that type's zero value, and goes where Move takes it, state included.
//
// A Channel may be used by many goroutines at once. Config bounds what it keeps: the
// messages that a recovery may need, the results that wait for Recv, and two checkpoints.
// During a move and a Shutdown, the results of the messages under way come on top.
type Channel[In, Out any] struct {
	// Set by Open, then constant.
	ep      *codegen.Endpoint[In, Out]
	cfg     Config
	closing context.Context // ends when the channel does
	stop    context.CancelFunc

	batches sync.Pool // of *batch[Out]

	wg sync.WaitGroup // all goroutines; begun under mu, while the channel has not ended

	// Lock order: moving, turn, mu.
	moving lock // a move, or a recovery

	// For the holder of turn (in mode Latest: for whoever set working).
	live *codegen.Live[In, Out] // the far endpoint, where that is on the UE
	here Result[Out]            // what goes with the values it emits
	emit func(Out) error        // emitHere

	mu        sync.Mutex // leaf
	turn      turn
	own       *attachment // the owner; nil: the far endpoint is on the UE
	old       *attachment // the owner before a move, until its last outcome is delivered
	standby   *attachment
	epoch     uint32 // the last one given out
	seq       uint64 // the last message
	delivered uint64 // the last message whose outcome has been delivered; in mode Latest the newest
	log       replay
	recording bool                    // messages handled on the UE go to the log, too: a move copies the state
	draining  bool                    // a move waits for all outcomes
	copying   bool                    // a move needs the log: no checkpoint
	saving    *attachment             // a checkpoint of it is being taken
	savedAt   uint64                  // message up to which no checkpoint is wanted
	interrupt context.CancelCauseFunc // ends the move under way; nil: none is
	saved     checkpoint              // where a recovery begins
	coming    checkpoint              // replaces saved once the outcomes up to it are delivered; seq 0: none
	recovers  bool                    // a recovery has been started
	preparing bool                    // a standby is being prepared
	results   ring[Result[Out]]
	read      uint64 // the message of the last result that Recv gave
	latest    latest[In]
	ending    bool      // no further Send
	ended     error     // why the channel has ended, nil while it has not
	arrived   gate      // a result has come, or the end
	changed   gate      // anything else that a goroutine waits for
	stalled   time.Time // since when Send waits for the owner's credit; zero: it does not wait
	late      alarm     // of the oldest message without an outcome
	save      alarm     // of the next checkpoint
	stats     Stats
	subs      map[*subscriber]struct{}
}

// Open opens a channel whose far endpoint is on the UE.
func Open[In, Out any](ep *codegen.Endpoint[In, Out], cfg Config) (*Channel[In, Out], error) {
	if cfg.Mode != Ordered && cfg.Mode != Latest {
		return nil, errors.New("elastic: Config.Mode is neither Ordered nor Latest")
	}
	c := &Channel[In, Out]{ep: ep, cfg: cfg.withDefaults(ep.Deadline), live: ep.New(), moving: newLock()}
	c.closing, c.stop = context.WithCancel(context.Background())
	c.batches.New = func() any { return new(batch[Out]) }
	c.emit = c.emitHere
	c.late.fire, c.save.fire = c.checkLate, c.checkSave
	return c, nil
}

// Where returns the name of the edge host that serves the far endpoint, "" when
// that is on the UE.
func (c *Channel[In, Out]) Where() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.whereLocked()
}

func (c *Channel[In, Out]) whereLocked() string {
	if c.own == nil {
		return ""
	}
	return c.own.name
}

// Stats are counts since Open, and what the channel keeps.
type Stats struct {
	Sent      uint64 // messages
	Delivered uint64 // messages whose outcome has been delivered; in mode Latest the newest one's number
	Skipped   uint64 // messages without an outcome, in mode Latest
	Late      uint64 // those of them that were given up at their deadline
	Moves     uint64 // moves that Move made
	Fallbacks uint64 // moves because an edge host was lost or silent
	Replayed  uint64 // messages handled once more
	Dropped   uint64 // outcomes that came from a former owner
	Stalls    uint64 // times that Send waited for the edge host's credit

	Checkpoints     uint64        // copies of the state
	CheckpointBytes uint64        // bytes of all copies
	CheckpointTime  time.Duration // time that hosts took to make them

	Epoch         uint32 // the owner's
	Buffered      int    // messages that the channel keeps
	BufferedBytes int    // bytes of their payloads
	Waiting       int    // results that wait for Recv
}

// Stats returns the counts so far.
func (c *Channel[In, Out]) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stats
	s.Sent, s.Delivered = c.seq, c.delivered
	if c.own != nil {
		s.Epoch = c.own.epoch
	}
	s.Buffered, s.BufferedBytes, s.Waiting = c.log.len(), c.log.bytes, c.results.len()
	return s
}

// Shutdown takes no further message, waits until the outcome of each message has been
// delivered or ctx ends, and closes the channel. Recv still returns the results that wait.
func (c *Channel[In, Out]) Shutdown(ctx context.Context) error {
	c.mu.Lock()
	c.ending = true
	for c.ended == nil && !c.quietLocked() && ctx.Err() == nil {
		c.awaitLocked(ctx)
	}
	err := c.ended
	if errors.Is(err, ErrClosed) {
		err = nil
	}
	if err == nil && !c.quietLocked() {
		err = context.Cause(ctx)
	}
	c.mu.Unlock()
	return errors.Join(err, c.Close())
}

// quietLocked says that nothing is under way.
func (c *Channel[In, Out]) quietLocked() bool {
	if c.cfg.Mode == Latest {
		return c.latest.idle()
	}
	return c.delivered == c.seq
}

// Close ends the channel at once and returns when its last goroutine has ended.
// It gives up the far endpoint and the messages under way; Recv still returns the results
// that wait. Further calls do nothing.
func (c *Channel[In, Out]) Close() error {
	c.end(ErrClosed)
	c.wg.Wait()
	return nil
}

// end ends the channel because of why, unless it has ended.
func (c *Channel[In, Out]) end(why error) {
	c.mu.Lock()
	if c.ended != nil {
		c.mu.Unlock()
		return
	}
	c.ended = why
	gone := c.fenceAllLocked()
	c.late.stop()
	c.save.stop()
	c.arrived.open()
	c.changed.open()
	c.mu.Unlock()
	c.stop()
	endAll(gone)
}

// fenceLocked takes the channel from its owners: what still comes from them is dropped.
// It returns them.
func (c *Channel[In, Out]) fenceLocked() (gone []*attachment) {
	for _, a := range []*attachment{c.own, c.old} {
		if a != nil && !a.fenced {
			a.fenced = true
			gone = append(gone, a)
		}
	}
	c.old = nil
	return gone
}

// fenceAllLocked is fenceLocked for the standby, too.
func (c *Channel[In, Out]) fenceAllLocked() (gone []*attachment) {
	gone = c.fenceLocked()
	if c.standby != nil {
		c.standby.fenced = true
		gone = append(gone, c.standby)
		c.standby = nil
	}
	return gone
}

func endAll(gone []*attachment) {
	for _, a := range gone {
		a.end()
	}
}

// goLocked starts a goroutine of the channel, unless that has ended.
func (c *Channel[In, Out]) goLocked(f func()) {
	if c.ended == nil {
		c.wg.Go(f)
	}
}

// awaitLocked releases mu until something has changed, or ctx ends.
func (c *Channel[In, Out]) awaitLocked(ctx context.Context) {
	changed := c.changed.wait()
	c.mu.Unlock()
	select {
	case <-changed:
	case <-ctx.Done():
	}
	c.mu.Lock()
}
