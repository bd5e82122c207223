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

// Use makes c the client of [Do] and [Dial] in this process. Without it they use one
// that is not restricted. Native programs only: in a guest the edge host decides.
func Use(c *Client) { used.Store(c) }

func client() *Client {
	if c := used.Load(); c != nil {
		return c
	}
	return unrestricted()
}

// Do makes an HTTP request and reads the response. An address that is not granted is
// [ErrDenied], also one that a redirect leads to.
func Do(ctx context.Context, r Request) (Response, error) { return client().Do(ctx, r) }

// Dial opens a TCP connection to hostport, a name or an IP with a port. Reads and
// writes end with ctx; see [Conn.Bind]. The caller closes it. An address that is not
// granted is [ErrDenied].
func Dial(ctx context.Context, hostport string) (*Conn, error) { return client().Dial(ctx, hostport) }
