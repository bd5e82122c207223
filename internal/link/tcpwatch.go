package link

import "encoding/binary"

// A watch reads along what yamux reads, and knows how much of it waits to be read. The
// goroutine that reads owns it.
type watch struct {
	conn *tcpConn
	head [12]byte // of a frame: version, type, flags u16, stream u32, length u32
	have int      // bytes of head
	body int      // bytes of the frame that follow
}

// frameData is the type of yamux' frames that carry bytes.
const frameData = 0

// see takes note of bytes that have come.
func (w *watch) see(b []byte) {
	for len(b) > 0 {
		if w.body > 0 {
			n := min(w.body, len(b))
			w.body -= n
			b = b[n:]
			continue
		}
		n := copy(w.head[w.have:], b)
		b = b[n:]
		if w.have += n; w.have == len(w.head) {
			w.have, w.body = 0, w.size()
			w.conn.mu.Lock()
			w.countLocked(w.conn.live[w.stream()])
			w.conn.mu.Unlock()
		}
	}
}

// size returns the length of the last frame's body, and stream the number of its stream.
func (w *watch) size() int {
	if w.head[1] != frameData {
		return 0
	}
	return int(binary.BigEndian.Uint32(w.head[8:]))
}

func (w *watch) stream() uint32 { return binary.BigEndian.Uint32(w.head[4:]) }

// countLocked counts the last frame as unread by st. Nil is a stream that has ended: yamux drops
// the frame.
func (w *watch) countLocked(st *tcpStream) {
	if st != nil {
		st.came += w.size()
		w.conn.unread += w.size()
	}
}

// enterLocked takes note that st begins with the last frame.
func (w *watch) enterLocked(st *tcpStream) {
	st.id = w.stream()
	w.conn.live[st.id] = st
	w.countLocked(st)
}

// await waits, between two frames, until not too much is unread, or ended is closed.
func (w *watch) await(ended <-chan struct{}) {
	for w.have == 0 && w.body == 0 && w.conn.full() {
		select {
		case <-w.conn.room:
		case <-ended:
			return
		}
	}
}

// full says whether too much is unread. More may be, if who decides about it allows that.
func (c *tcpConn) full() bool {
	c.mu.Lock()
	unread, may := c.unread, c.may
	c.mu.Unlock()
	for unread > c.allowed && c.allowed < maxUnread && (may == nil || may(unreadStep)) {
		c.allowed += unreadStep
	}
	return unread > c.allowed
}

// read takes note that n bytes of st were read.
func (c *tcpConn) read(st *tcpStream, n int) {
	if c.dialled {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if n = min(n, st.came); n > 0 { // else it has ended, and counts no more
		st.came -= n
		c.readLocked(n)
	}
}

func (c *tcpConn) readLocked(n int) {
	c.unread -= n
	select {
	case c.room <- struct{}{}:
	default:
	}
}
