package elastic

import "time"

// A Message is what the near endpoint sends. From then on its Value belongs to the
// channel. Captured and Tag come back with the message's results; they stay on the UE.
type Message[In any] struct {
	Value    In
	Captured time.Time // when what Value shows was seen
	Tag      []byte    // the application's own: a pose, say
}

// A Result is a value that the far endpoint emitted for a message, or the error
// with which it ended one.
type Result[Out any] struct {
	// Seq is the message's number in the channel, from 1 on.
	Seq   uint64
	Value Out
	// Err is the message's error: the endpoint's own (an [offload.RemoteError]
	// from an edge host, unless it is registered or its type crosses), or an [offload.CallError] for a message that broke its
	// guest. Value is then not set. Later messages are not affected.
	Err error
	// Captured and Tag are the message's.
	Captured time.Time
	Tag      []byte
	// Host is the edge host that handled the message, "" the UE.
	Host string
	// Skipped is the number of messages between the last result and this one that have no
	// result, in mode Latest: they were too old, late or lost.
	Skipped uint64
}
