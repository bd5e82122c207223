//go:build !linux

package main

import "net"

// congestionControl knows nothing outside Linux.
func congestionControl(net.Conn) string { return "" }
