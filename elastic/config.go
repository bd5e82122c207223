package elastic

import (
	"log/slog"
	"time"
)

// A Mode says what a channel promises about the order of its messages.
type Mode int

// The modes of a [Channel].
const (
	// Ordered delivers the outcome of each message exactly once and in order.
	Ordered Mode = iota
	// Latest favours the newest message: while InFlight messages are under way, one more
	// waits, and a newer one takes its place. When Recv does not fetch results, the
	// oldest are dropped. Result.Skipped counts the messages without a result.
	Latest
)

// String returns "ordered" or "latest".
func (m Mode) String() string {
	if m == Latest {
		return "latest"
	}
	return "ordered"
}

// Config configures a [Channel]. The zero Config is ready to use.
type Config struct {
	// Mode is Ordered unless set.
	Mode Mode
	// Window is the most messages without an outcome, and the most results that
	// wait for Recv; the results of one message may exceed it. Send waits for room. The
	// channel keeps up to four times as many messages for a replay. Zero means 256.
	Window int
	// WindowBytes bounds the payloads of the messages that the channel keeps; the last
	// one may exceed it. Zero means 8 MiB.
	WindowBytes int
	// InFlight is the most messages under way in mode Latest. Zero means 2: one
	// is handled while the next one travels. It is at most Window.
	InFlight int
	// Deadline is how long the far endpoint may take for a message. In mode Ordered it counts
	// from when the far endpoint could have begun: the message was sent, and the one before it has its
	// outcome. After it, the channel of an idempotent endpoint leaves an edge host; a message
	// that overran twice, at two places or twice on the UE, has an error for outcome. In mode Latest
	// it counts from when the message went out: the message is given up, and after three in
	// a row the channel leaves the host. Zero means the deadline of the endpoint's mark;
	// negative means none.
	Deadline time.Duration
	// CheckpointMessages is the number of messages after which the far endpoint's state
	// is copied to the UE. Zero means 128; it is at most twice Window.
	CheckpointMessages int
	// CheckpointInterval is the longest time between two copies, if messages were
	// handled in it. Zero means 1 s.
	CheckpointInterval time.Duration
	// Priority orders this channel among the UE's other channels.
	Priority Priority
	// Standby are edge hosts to fall back to. The first one that is not in use comes
	// before all others: it is kept warm, with the last checkpoint. The UE comes last. StandBy changes them.
	Standby []Target
	// Logger receives a record for each move and each fallback. Nil is silent.
	Logger *slog.Logger
}

// logWindows is how many windows of messages are kept for a replay: while a move
// copies the state no checkpoint is taken, and senders go on.
const logWindows = 4

func (c Config) withDefaults(mark time.Duration) Config {
	if c.Window <= 0 {
		c.Window = 256
	}
	c.Window = min(c.Window, maxWindow)
	if c.WindowBytes <= 0 {
		c.WindowBytes = 8 << 20
	}
	if c.InFlight <= 0 {
		c.InFlight = 2
	}
	c.InFlight = min(c.InFlight, c.Window)
	if c.Deadline == 0 {
		c.Deadline = mark
	}
	if c.CheckpointMessages <= 0 {
		c.CheckpointMessages = 128
	}
	c.CheckpointMessages = max(1, min(c.CheckpointMessages, 2*c.Window))
	if c.CheckpointInterval <= 0 {
		c.CheckpointInterval = time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}
