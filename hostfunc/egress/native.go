//go:build !wasip1

package egress

import (
	"context"
	"sync"
	"sync/atomic"
)

var (
	used         atomic.Pointer[Client]
	unrestricted = sync.OnceValue(func() *Client { return NewClient(Config{}) })
)

// Use makes c the client of [Do] and [Dial] in this process. Without Use they have an
// unrestricted client. It exists in native programs only: for guests the edge host
// decides.
func Use(c *Client) { used.Store(c) }

func client() *Client {
	if c := used.Load(); c != nil {
		return c
	}
	return unrestricted()
}

// Do makes an HTTP request and reads the response. It returns [ErrDenied] when the address,
// or that of a redirect, is not granted.
func Do(ctx context.Context, r Request) (Response, error) { return client().Do(ctx, r) }

// Dial opens a TCP connection to hostport, a name or an IP with a port. It returns
// [ErrDenied] when the address is not granted. Reads and writes end with ctx; see
// [Conn.Bind]. The caller closes the connection.
func Dial(ctx context.Context, hostport string) (*Conn, error) { return client().Dial(ctx, hostport) }
