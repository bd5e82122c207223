//go:build !wasip1

package egress

import (
	"context"
	"net"
	"sync"
	"time"
)

// A Conn is a TCP connection. One goroutine can read it while another writes it.
type Conn struct {
	conn net.Conn
	ctx  context.Context
}

// Bind makes later reads and writes end with ctx, in place of the context of Dial or of
// the last Bind. A guest that keeps a connection between calls binds it in each of them.
// Do not read or write during Bind.
func (c *Conn) Bind(ctx context.Context) { c.ctx = ctx }

// Read implements [io.Reader]. When the context ends first it returns the cause, and the
// connection can still be used.
func (c *Conn) Read(p []byte) (int, error) {
	return c.until(c.conn.SetReadDeadline, func() (int, error) { return c.conn.Read(p) })
}

// Write implements [io.Writer]. It treats the end of the context as Read does.
func (c *Conn) Write(p []byte) (int, error) {
	return c.until(c.conn.SetWriteDeadline, func() (int, error) { return c.conn.Write(p) })
}

// Close closes the connection.
func (c *Conn) Close() error { return c.conn.Close() }

// until runs move, and ends it when ctx ends.
func (c *Conn) until(deadline func(time.Time) error, move func() (int, error)) (int, error) {
	if c.ctx.Err() != nil {
		return 0, context.Cause(c.ctx)
	}
	over := make(chan struct{})
	stop := context.AfterFunc(c.ctx, func() {
		_ = deadline(time.Unix(1, 0)) // long past
		close(over)
	})
	n, err := move()
	if !stop() {
		<-over
		_ = deadline(time.Time{}) // none, for the next
	}
	if err != nil {
		err = ended(c.ctx, err)
	}
	return n, err
}

// A tcpConn is a connection that its client counts.
type tcpConn struct {
	net.Conn
	client  *Client
	once    sync.Once
	release func() // what reserve returned
}

func (t *tcpConn) Read(p []byte) (int, error) {
	n, err := t.Conn.Read(p)
	t.client.in.Add(uint64(n))
	return n, err
}

func (t *tcpConn) Write(p []byte) (int, error) {
	n, err := t.Conn.Write(p)
	t.client.out.Add(uint64(n))
	return n, err
}

func (t *tcpConn) Close() error {
	t.once.Do(func() { t.client.release(t) })
	return t.Conn.Close()
}

// reserve counts a connection to be dialled, until release is called. At the bound, those
// that HTTP keeps for later make room.
func (c *Client) reserve() (release func(), err error) {
	if !c.take() {
		c.http.CloseIdleConnections()
		if !c.take() {
			return nil, ErrTooMany
		}
	}
	if release, err = c.cfg.Admit(); err != nil {
		c.give()
	}
	return release, err
}

func (c *Client) take() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cfg.Conns > 0 && c.dialled >= c.cfg.Conns {
		return false
	}
	c.dialled++
	return true
}

func (c *Client) give() {
	c.mu.Lock()
	c.dialled--
	c.mu.Unlock()
}

// adopt takes over what a dial gave, which reserve has counted.
func (c *Client) adopt(conn net.Conn, err error, release func()) (net.Conn, error) {
	if err != nil {
		c.give()
		release()
		return nil, err
	}
	t := &tcpConn{Conn: conn, client: c, release: release}
	c.mu.Lock()
	c.open[t] = struct{}{}
	c.mu.Unlock()
	if c.life.Err() != nil { // Close may have looked before
		t.Close()
		return nil, net.ErrClosed
	}
	return t, nil
}

func (c *Client) release(t *tcpConn) {
	c.mu.Lock()
	delete(c.open, t)
	c.dialled--
	c.mu.Unlock()
	t.release()
}
