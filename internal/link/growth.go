package link

import (
	"context"
	"sync"

	"github.com/quic-go/quic-go"
)

// FirstWindow is how many bytes the peer of an accepted connection may send before anything of
// them is read. It grows when they are read fast, and the one asked by OnGrowth agrees.
const FirstWindow = 2 << 20

// OnGrowth has may decide, from now on, whether the peer of an accepted connection may send n
// bytes more ahead. What has been allowed once stays so as long as the connection lasts. may
// must not block, and calls nothing of the connection. Without it, windows grow as QUIC and
// yamux think best. On a dialled connection it has no effect.
func (c *Conn) OnGrowth(may func(n int64) bool) { c.onGrowth(may) }

// Window returns how many bytes may be sent that the peer has not acknowledged, at this moment: the
// congestion window. The connection keeps them in this process. Over TCP the kernel does, and it is 0.
func (c *Conn) Window() int64 { return c.window() }

func (c *quicConn) window() int64 { return int64(c.qc.ConnectionStats().CongestionWindow) }

func (c *tcpConn) window() int64 { return 0 }

// windows know who decides about the windows of a listener's connections.
type windows struct {
	mu  sync.Mutex // leaf
	may map[*quic.Conn]func(int64) bool
}

func (w *windows) set(qc *quic.Conn, may func(int64) bool) {
	w.mu.Lock()
	if w.may == nil {
		w.may = map[*quic.Conn]func(int64) bool{}
	}
	w.may[qc] = may
	w.mu.Unlock()
	context.AfterFunc(qc.Context(), func() {
		w.mu.Lock()
		delete(w.may, qc)
		w.mu.Unlock()
	})
}

// allow is a quic.Config's AllowConnectionWindowIncrease.
func (w *windows) allow(qc *quic.Conn, n uint64) bool {
	w.mu.Lock()
	may := w.may[qc]
	w.mu.Unlock()
	return may == nil || may(int64(n))
}

func (c *quicConn) onGrowth(may func(int64) bool) {
	if c.windows != nil {
		c.windows.set(c.qc, may)
	}
}

func (c *tcpConn) onGrowth(may func(int64) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.may = may
}
