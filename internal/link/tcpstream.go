package link

import (
	"context"
	"io"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-yamux/v5"
)

// A tcpStream is a stream of a tcpConn. To yamux it is the account of the stream's memory,
// whose end tells that the stream has ended, also when nobody reads it.
type tcpStream struct {
	ys   *yamux.Stream
	conn *tcpConn

	ctx    context.Context
	cancel context.CancelFunc

	deaf  atomic.Bool // CloseRead was called
	shut  atomic.Bool // Close was called
	ended atomic.Bool // Done was called

	id    uint32 // of a stream of the peer; its connection's mu guards it and what follows
	came  int    // bytes that were not read
	grown int    // bytes by which its window has grown
}

func newTCPStream(c *tcpConn) *tcpStream {
	st := &tcpStream{conn: c}
	st.ctx, st.cancel = context.WithCancel(context.Background())
	return st
}

// ReserveMemory implements yamux.MemoryManager.
func (s *tcpStream) ReserveMemory(size int, priority uint8) error {
	if priority == 255 { // the stream itself
		return nil
	}
	return s.conn.grow(s, size)
}

// ReleaseMemory implements yamux.MemoryManager.
func (s *tcpStream) ReleaseMemory(int) {}

// Done implements yamux.MemoryManager. yamux may call it twice.
func (s *tcpStream) Done() {
	if !s.ended.Swap(true) {
		s.cancel()
		s.conn.left(s)
	}
}

func (s *tcpStream) Read(b []byte) (int, error) {
	if s.deaf.Load() {
		return 0, errReset
	}
	n, err := s.ys.Read(b)
	s.conn.read(s, n)
	switch {
	case n > 0 || err == nil:
		return n, nil // an error comes again
	case err == io.EOF:
		return 0, err
	case s.deaf.Load():
		return 0, errReset
	}
	return 0, s.conn.because(err)
}

func (s *tcpStream) Write(b []byte) (int, error) {
	n, err := s.ys.Write(b)
	if err != nil {
		err = s.conn.because(err)
	}
	return n, err
}

// Close also gives up what the peer still sends, if CloseRead was called before: yamux
// can say that only together with the end of what is sent.
func (s *tcpStream) Close() error {
	s.shut.Store(true)
	err := s.ys.CloseWrite()
	s.cancel()
	if s.deaf.Load() {
		s.ys.Reset()
	}
	if err != nil {
		return s.conn.because(err)
	}
	return nil
}

func (s *tcpStream) CloseRead() {
	s.deaf.Store(true)
	s.ys.SetReadDeadline(time.Unix(1, 0))
	if s.shut.Load() {
		s.ys.Reset()
	}
}

func (s *tcpStream) Reset() {
	s.ys.Reset()
	s.cancel()
}

func (s *tcpStream) SetReadDeadline(t time.Time) error {
	if s.deaf.Load() {
		return nil
	}
	return s.ys.SetReadDeadline(t)
}

func (s *tcpStream) SetWriteDeadline(t time.Time) error { return s.ys.SetWriteDeadline(t) }

func (s *tcpStream) SetPriority(int8, bool) {}

func (s *tcpStream) Number() int64 { return int64(s.ys.StreamID()) }

func (s *tcpStream) Context() context.Context { return s.ctx }
