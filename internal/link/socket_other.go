//go:build !linux

package link

import "net"

// tune returns pc: only Linux has a faster receive path for us.
func tune(pc net.PacketConn) net.PacketConn { return pc }

// noSegments says false: only on Linux are packets sent in segments.
func noSegments(error, []byte) bool { return false }
