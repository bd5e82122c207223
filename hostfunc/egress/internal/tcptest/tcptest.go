// Package tcptest is a TCP server for tests.
package tcptest

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
)

// Listen accepts TCP connections and gives each to peer, in a goroutine of its own, until
// the test ends. It returns its address.
func Listen(t testing.TB, peer func(net.Conn)) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			context.AfterFunc(ctx, func() { c.Close() })
			wg.Go(func() {
				defer c.Close()
				peer(c)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		cancel()
		wg.Wait()
	})
	return l.Addr().String()
}

// Echo is a peer that answers with what it gets.
func Echo(c net.Conn) { _, _ = io.Copy(c, c) }
