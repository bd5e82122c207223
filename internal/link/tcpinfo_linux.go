package link

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// measure adds what the kernel knows of a connection over TCP. A connection that is not the
// kernel's, as one through a pipe, adds nothing.
func (m *Metrics) measure(c net.Conn) {
	if p, ok := c.(*peeked); ok {
		c = p.Conn
	}
	t, ok := c.(*net.TCPConn)
	if !ok {
		return
	}
	raw, err := t.SyscallConn()
	if err != nil {
		return
	}
	raw.Control(func(fd uintptr) {
		i, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil {
			return
		}
		micros := func(n uint32) time.Duration { return time.Duration(n) * time.Microsecond }
		m.RTT, m.MinRTT, m.Jitter = micros(i.Rtt), micros(i.Min_rtt), micros(i.Rttvar)
		m.Window = uint64(i.Snd_cwnd) * uint64(i.Snd_mss)
		m.PacketsSent, m.PacketsLost = uint64(i.Segs_out), uint64(i.Total_retrans)
		m.BytesSent, m.BytesLost = i.Bytes_sent, i.Bytes_retrans
		m.BytesReceived = i.Bytes_received
	})
}
