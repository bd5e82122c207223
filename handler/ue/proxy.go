package ue

import (
	"context"
	"net"
)

// dialSystem makes a connection of TCP.
func dialSystem(ctx context.Context, addr string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "tcp", addr)
}
