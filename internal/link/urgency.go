package link

// Urgency returns the urgency (RFC 9218) of a priority, for Stream.SetPriority:
// 0 is normal, which is also the default, 1 is high, -1 is low.
//
// A more urgent stream goes out first, whole. Among equals quic-go sends streams
// one after another, the older first (incremental false), or a packet of each in
// turn (true, the default). Use false for a stream of one message: of two video frames
// under way the first arrives in half the time, and the second no later. Use true for a
// stream of many messages, such as an ordered channel's: an older one that always has
// something to send would hold up a younger one for ever.
func Urgency(priority int8) int8 {
	return int8(min(max(normalUrgency-2*int(priority), 0), lastUrgency))
}

// Bounds of RFC 9218, and what quic-go gives a stream that nothing is set for.
const (
	normalUrgency = 3
	lastUrgency   = 7
)
