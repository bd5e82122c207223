//go:build !linux

package link

import "net"

// tune returns pc: only Linux has a faster receive path for us.
func tune(pc net.PacketConn) net.PacketConn { return pc }
