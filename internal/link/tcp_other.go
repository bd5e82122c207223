//go:build !linux

package link

import "net"

func tuneTCP(net.Conn) {}
