package elastic

import "time"

// A Message is what a near endpoint sends. Value belongs to the channel from then
// on. Captured and Tag come back with its results; they do not travel.
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
	// from an edge host), or an [offload.CallError] for a message that broke its
	// guest. Value is then not set. Later messages are not affected.
	Err error
	// Captured and Tag are the message's.
	Captured time.Time
	Tag      []byte
	// Host is the edge host that handled the message, "" the UE.
	Host string
	// Skipped counts the messages before this one that have had no result in mode
	// Latest since the last one: too old, late or lost.
	Skipped uint64
}
