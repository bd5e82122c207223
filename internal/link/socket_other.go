//go:build !linux

package link

import "net"

// tune returns pc: only Linux has a faster receive path for us.
func tune(pc net.PacketConn) net.PacketConn { return pc }

// probe finds nothing to be lacking.
func probe(oobConn) (lacks []string, enough bool) { return nil, true }

// extrasIn returns none: sends are refused for their extras on Linux only.
func extrasIn([]byte) extra { return 0 }

// trim returns control as it is.
func trim(control []byte, _ extra) (size int, kept []byte) { return 0, control }
