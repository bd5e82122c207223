package qos

import "time"

// A Link keeps what is known of the way from a UE to a host. The zero Link knows nothing. It belongs to one goroutine.
type Link struct {
	least   Least
	begin   time.Time // of the first round-trip time
	last    time.Duration
	jitter  float64 // ns
	samples int

	lost, sent uint64  // as last counted
	loss       float64 // share of packets, smoothed
	counted    bool
}

// RTT adds a round-trip time, measured at now. One that is not positive is left out.
func (l *Link) RTT(now time.Time, rtt time.Duration) {
	if rtt <= 0 {
		return
	}
	if l.samples == 0 {
		l.begin = now
	} else { // RFC 3550, section 6.4.1
		l.jitter += (float64((rtt - l.last).Abs()) - l.jitter) / 16
	}
	l.least.Add(now.Sub(l.begin), rtt)
	l.last = rtt
	l.samples++
}

// Packets adds the packets that a connection has lost and sent since it began. Counts that go back are those of another connection.
func (l *Link) Packets(lost, sent uint64) {
	dl, ds := lost-l.lost, sent-l.sent
	if lost < l.lost || sent < l.sent || !l.counted {
		dl, ds = lost, sent
	}
	l.lost, l.sent, l.counted = lost, sent, true
	if ds == 0 {
		return
	}
	share := min(1, float64(dl)/float64(ds))
	l.loss += (share - l.loss) * min(1, float64(ds)/lossPackets)
}

// lossPackets is how many packets make the loss what it is among them.
const lossPackets = 500

// Distance says how far a host is. All is 0 when nothing is known.
type Distance struct {
	RTT    time.Duration // the least of the last 10 to 20 s
	Jitter time.Duration // mean difference of one round-trip time to the next
	Loss   float64       // share of packets
	N      int           // round-trip times that were measured
}

// Distance returns what is known.
func (l *Link) Distance() Distance {
	return Distance{RTT: l.least.RTT(), Jitter: time.Duration(l.jitter), Loss: l.loss, N: l.samples}
}
