package elastic

import "time"

// Stats are counts since Open, and what the channel keeps.
type Stats struct {
	Sent      uint64 // messages
	Delivered uint64 // messages whose outcome has been delivered; in mode Latest the newest one's number
	Skipped   uint64 // messages without an outcome, in mode Latest
	Late      uint64 // those of them that were given up at their deadline
	Broken    uint64 // messages whose outcome is that they broke the far endpoint
	Overran   uint64 // messages that overran their deadline where it was seen: those given up, and those that took longer on the UE
	Moves     uint64 // moves that Move made
	Fallbacks uint64 // moves because an edge host was lost or silent
	Replayed  uint64 // messages handled once more
	Dropped   uint64 // outcomes that came from a former owner
	Stalls    uint64 // times that Send waited for the edge host's credit
	// LeftBehind counts native Handles that did not return by their deadline in a
	// replay. They may still run, each with an endpoint value of its own.
	LeftBehind uint64

	Checkpoints       uint64        // copies of the state
	CheckpointsFailed uint64        // attempts at one
	CheckpointBytes   uint64        // bytes of all copies
	CheckpointTime    time.Duration // time that hosts took to make them

	Epoch         uint32        // the owner's
	Buffered      int           // messages that the channel keeps: the most that a recovery replays
	BufferedBytes int           // bytes of their payloads
	Waiting       int           // results that wait for Recv
	Lateness      time.Duration // how long the oldest message without an outcome could have been handled
}

// Stats returns the counts so far.
func (c *Channel[In, Out]) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stats
	s.Sent, s.Delivered = c.sent, c.delivered
	if c.owner != nil {
		s.Epoch = c.owner.epoch
	}
	s.Buffered, s.BufferedBytes, s.Waiting = c.log.len(), c.log.bytes, c.inbox.len()
	if _, since := c.awaitedLocked(); !since.IsZero() {
		s.Lateness = max(0, time.Since(since))
	}
	return s
}
