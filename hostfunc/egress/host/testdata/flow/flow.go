// Package flow is what the tests of package host run natively and in a guest.
package flow

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/bungee-xr/bungee/hostfunc/egress"
)

// Run uses a web server, a TCP peer that echoes, and an address that is not granted. It
// returns what it saw.
func Run(ctx context.Context, web, peer, denied string) string {
	var saw strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&saw, format+"\n", args...) }

	r, err := egress.Do(ctx, egress.Request{
		Method: "POST", URL: "http://" + web + "/path",
		Header: egress.Header{"X-Mine": {"a", "b"}}, Body: []byte("body"),
	})
	say("do: %d %q %q %v", r.Status, r.Header.Get("x-seen"), r.Body, err)
	r, err = egress.Do(ctx, egress.Request{URL: "http://" + web + "/large"})
	say("large: %d %d bytes, too large %t", r.Status, len(r.Body), errors.Is(err, egress.ErrTooLarge))
	_, err = egress.Do(ctx, egress.Request{URL: "http://" + denied})
	say("denied: %t", errors.Is(err, egress.ErrDenied))
	_, err = egress.Do(ctx, egress.Request{URL: "http://" + web, Header: egress.Header{"A\r\nB": {"c"}}})
	say("bad header: %v", err)
	_, err = egress.Dial(ctx, denied)
	say("denied: %t", errors.Is(err, egress.ErrDenied))

	c, err := egress.Dial(ctx, peer)
	if err != nil {
		return err.Error()
	}
	say("closed: %v", talk(ctx, c, say))
	_, err = c.Write([]byte("x"))
	say("write on a closed connection: %t", err != nil)
	return saw.String()
}

// talk has the peer echo, and waits in vain for more.
func talk(ctx context.Context, c *egress.Conn, say func(string, ...any)) error {
	defer c.Close()
	n, err := c.Write([]byte(strings.Repeat("echo", 1000)))
	say("write: %d %v", n, err)
	buf := make([]byte, 4000)
	n, err = io.ReadFull(c, buf)
	say("read: %d %q %v", n, buf[3990:], err)

	short, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
	defer cancel()
	c.Bind(short)
	n, err = c.Read(buf)
	say("read: %d, over %t", n, errors.Is(err, context.DeadlineExceeded))
	c.Bind(ctx)
	_, err = c.Write([]byte("bye"))
	say("after that: %v", err)
	rest, err := io.ReadAll(c)
	say("to the end: %q %v", rest, err)
	return nil
}
