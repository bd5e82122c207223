package main

import (
	"net"

	"golang.org/x/sys/unix"
)

// congestionControl names the congestion control of a TCP connection (tcp(7),
// TCP_CONGESTION), "" where it cannot be known.
func congestionControl(c net.Conn) (name string) {
	t, ok := c.(*net.TCPConn)
	if !ok {
		return ""
	}
	raw, err := t.SyscallConn()
	if err != nil {
		return ""
	}
	raw.Control(func(fd uintptr) { // fails on a closed socket: unknown
		name, _ = unix.GetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION)
	})
	return name
}
