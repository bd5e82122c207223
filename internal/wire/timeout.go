package wire

import "time"

// Bounds on the time that a peer may take.
const (
	// FrameTimeout is for a frame that the peer has begun to send, and for taking one.
	FrameTimeout = 5 * time.Second
	// BulkTimeout is for a module or a state: 64 MB at 10 Mbit/s are 51 s.
	BulkTimeout = 60 * time.Second
)
