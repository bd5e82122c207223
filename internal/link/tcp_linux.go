package link

import (
	"net"

	"golang.org/x/sys/unix"
)

// maxUnsent is how many bytes that have not gone out yet the kernel takes. With its default,
// megabytes wait there on a slow link, and yamux' pings, which pass what waits here, wait
// behind them: the connection would look dead.
const maxUnsent = 128 << 10

// tuneTCP sets what the kernel does for c. A failure costs only speed.
func tuneTCP(c net.Conn) {
	t, ok := c.(*net.TCPConn)
	if !ok {
		return
	}
	if raw, err := t.SyscallConn(); err == nil {
		raw.Control(func(fd uintptr) {
			unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, maxUnsent)
		})
	}
}
