package link

import (
	"bufio"
	"crypto/tls"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// A muxConn is the connection below yamux. One goroutine reads it, one writes.
type muxConn struct {
	*tls.Conn
	raw   net.Conn
	r     *bufio.Reader
	watch *watch      // of a host; else nil
	hurry atomic.Bool // its last write deadline is set

	got, sent atomic.Uint64 // bytes, within TLS

	once  sync.Once
	ended chan struct{} // closed by Close
}

func newMuxConn(raw net.Conn, c *tls.Conn) *muxConn {
	return &muxConn{Conn: c, raw: raw, r: bufio.NewReaderSize(c, 4<<10), ended: make(chan struct{})}
}

func (c *muxConn) Read(b []byte) (int, error) {
	if c.watch != nil {
		c.watch.await(c.ended)
	}
	n, err := c.r.Read(b)
	c.got.Add(uint64(n))
	if c.watch != nil {
		c.watch.see(b[:n])
	}
	if err != nil {
		err = gone(err)
	}
	return n, err
}

func (c *muxConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.sent.Add(uint64(n))
	if err != nil && !os.IsTimeout(err) { // yamux looks for the bare timeout
		err = gone(err)
	}
	return n, err
}

// last lets writes go on for a while only.
func (c *muxConn) last(d time.Duration) {
	c.hurry.Store(true)
	c.raw.SetWriteDeadline(time.Now().Add(d))
}

// SetWriteDeadline is how yamux bounds each write.
func (c *muxConn) SetWriteDeadline(t time.Time) error {
	if c.hurry.Load() {
		return nil
	}
	return c.Conn.SetWriteDeadline(t)
}

// Close ends the connection without TLS' own goodbye, for which crypto/tls would wait up
// to 5 s: yamux' goodbye says more.
func (c *muxConn) Close() error {
	c.once.Do(func() { close(c.ended) })
	return c.raw.Close()
}
