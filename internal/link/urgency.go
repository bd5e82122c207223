package link

// Urgency returns the urgency (RFC 9218) of a priority, for Stream.SetPriority:
// 0 is normal, as are streams that nothing was set for, 1 is high, -1 is low.
//
// What is more urgent goes out first, whole. Among equals quic-go sends streams
// one after another, the older first (incremental false), or a packet of each in
// turn (true, and where nothing was set). Say false for a stream of one message:
// of two video frames under way the first is there in half the time, and the
// second no later. Say true for a stream of many messages, as an ordered channel's:
// an older one that always has something to send would hold up the younger for good.
func Urgency(priority int8) int8 {
	return int8(min(max(normalUrgency-2*int(priority), 0), lastUrgency))
}

// Bounds of RFC 9218, and what quic-go gives a stream that nothing is set for.
const (
	normalUrgency = 3
	lastUrgency   = 7
)
