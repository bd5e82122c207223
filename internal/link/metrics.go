package link

import (
	"net"
	"time"
)

// Metrics are what a connection knows of its way to the peer, at one moment. Counts are since
// its begin, on all its paths, and of what this end sends where nothing else is said.
type Metrics struct {
	At            time.Time
	Transport     string   // "quic" or "tcp"
	Local, Remote net.Addr // of the path in use

	RTT    time.Duration // smoothed (RFC 9002 section 5.3); zero until it is measured on this path
	MinRTT time.Duration // the least on this path
	Jitter time.Duration // mean deviation of the RTT
	Window uint64        // bytes that may be under way: the congestion window

	PacketsSent, PacketsLost uint64 // one that was taken for lost and arrives is lost no more
	BytesSent, BytesLost     uint64
	BytesReceived            uint64
}

// Loss returns the share of the packets that were lost, 0 to 1.
func (m Metrics) Loss() float64 {
	if m.PacketsSent == 0 {
		return 0
	}
	return float64(m.PacketsLost) / float64(m.PacketsSent)
}

// Delivered returns the bytes that were sent and are not lost. Those under way, at most
// Window, are among them: quic-go does not say which have been acknowledged.
func (m Metrics) Delivered() uint64 {
	if m.BytesLost > m.BytesSent {
		return 0
	}
	return m.BytesSent - m.BytesLost
}

// Rate returns the bytes a second that were delivered since before, which the same connection
// gave earlier. It is as exact as Window is small beside them.
func (m Metrics) Rate(before Metrics) float64 {
	d := m.At.Sub(before.At)
	if d <= 0 || m.Delivered() < before.Delivered() {
		return 0
	}
	return float64(m.Delivered()-before.Delivered()) / d.Seconds()
}

// assumedRTT is what quic-go says of a path that was just taken, until it has measured it.
const assumedRTT = 100 * time.Millisecond

// Metrics returns what the connection knows of its network. It costs some loads, or, over TCP, a
// call of the kernel: only Linux tells more than addresses and bytes.
func (c *Conn) Metrics() Metrics { return c.metrics() }

func (c *quicConn) metrics() Metrics {
	s := c.qc.ConnectionStats()
	m := Metrics{
		At: time.Now(), Transport: "quic", Remote: c.remoteAddr(),
		RTT: s.SmoothedRTT, MinRTT: s.MinRTT, Jitter: s.MeanDeviation, Window: s.CongestionWindow,
		PacketsSent: s.PacketsSent, PacketsLost: s.PacketsLost,
		BytesSent: s.BytesSent, BytesLost: s.BytesLost, BytesReceived: s.BytesReceived,
	}
	if s.MinRTT == assumedRTT && s.LatestRTT == assumedRTT && s.MeanDeviation == 0 {
		m.RTT, m.MinRTT = 0, 0
	}
	if p := c.inUse.Load(); p != nil {
		m.Local = p.LocalAddr()
	}
	return m
}

func (c *tcpConn) metrics() Metrics {
	m := Metrics{
		At: time.Now(), Transport: "tcp", Local: c.conn.LocalAddr(), Remote: c.remoteAddr(),
		BytesSent: c.conn.sent.Load(), BytesReceived: c.conn.got.Load(),
	}
	m.measure(c.conn.raw)
	return m
}
