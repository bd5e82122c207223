package elastic

import (
	"log/slog"
	"time"
)

// A Mode says what a channel promises of the order of its messages.
type Mode int

// The modes of a [Channel]. Mode Calls of the design is type [Calls].
const (
	// Ordered delivers the outcome of each message exactly once and in order.
	Ordered Mode = iota
	// Latest favours the newest message: while InFlight of them are under way, a
	// further one takes the place of the one that waits. Of results that Recv does
	// not fetch the oldest are dropped; all that had no result is told by Skipped.
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
	// wait for Recv, but for those of one message. Send waits for room. The channel
	// keeps up to four times as many messages for a replay. Zero means 256.
	Window int
	// WindowBytes bounds the payloads of the messages that it keeps, but for the
	// last one's. Zero means 8 MiB.
	WindowBytes int
	// InFlight is the most messages under way in mode Latest. Zero means 2: one
	// is handled while the next one travels. It is at most Window.
	InFlight int
	// Deadline is how long a message may be without an outcome on an edge host.
	// After it, an Ordered channel of an idempotent endpoint leaves the host; a
	// Latest one gives the message up, and leaves the host after three in a row.
	// Zero means the deadline of the endpoint's mark; negative means none.
	Deadline time.Duration
	// CheckpointMessages is after how many messages the far endpoint's state is
	// copied to the UE. Zero means 128; it is at most twice Window.
	CheckpointMessages int
	// CheckpointInterval is after how long it is copied at the latest, if there
	// were messages. Zero means 1 s.
	CheckpointInterval time.Duration
	// Priority is over the UE's other channels.
	Priority Priority
	// Standby are edge hosts to fall back to, the first one that is not in use
	// before all: it is kept warm, with the last checkpoint. Last comes the UE.
	Standby []Target
	// Logger receives a record a move and a fallback. Nil is silent.
	Logger *slog.Logger
}

// logWindows is how many windows of messages are kept for a replay: while a move
// copies the state there is no checkpoint, and senders go on.
const logWindows = 4

// recoveryTimeout bounds an attempt to bring a lost far endpoint back at one place.
const recoveryTimeout = 2 * time.Second

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
