package main

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
)

// A message of the bare stream is its size, four bytes, and so many bytes.

// readSize reads the size of a message.
func readSize(r io.Reader, buf *[4]byte) (int, error) {
	if _, err := io.ReadFull(r, buf[:]); err != nil {
		return 0, err
	}
	n := int(binary.BigEndian.Uint32(buf[:]))
	if n > maxMessage {
		return 0, fmt.Errorf("message of %d bytes, over %d", n, maxMessage)
	}
	return n, nil
}

// serveStream answers the messages of a stream one by one, until it ends.
func serveStream(c net.Conn) {
	defer c.Close()
	r := bufio.NewReaderSize(c, 64<<10)
	var size [4]byte
	var request, reply []byte
	for {
		n, err := readSize(r, &size)
		if err != nil {
			return
		}
		if cap(request) < n {
			request = make([]byte, n)
		}
		if _, err := io.ReadFull(r, request[:n]); err != nil {
			return
		}
		if reply, err = answer(append(reply[:0], size[:]...), request[:n]); err != nil {
			return
		}
		binary.BigEndian.PutUint32(reply, uint32(len(reply)-len(size)))
		if _, err := c.Write(reply); err != nil {
			return
		}
	}
}

// A stream is the near end of a bare stream. Answers come in the order of the
// requests, so each caller reads its own when the one before has read its.
type stream struct {
	conn net.Conn
	bare net.Conn // below TLS
	in   *bufio.Reader
	size [4]byte

	mu   sync.Mutex
	out  []byte
	last chan struct{} // receives when the answer before the next one has been read
}

func dialStream(conf *tls.Config, address string) (*stream, error) {
	bare, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	c := tls.Client(bare, conf)
	s := &stream{conn: c, bare: bare, in: bufio.NewReaderSize(c, 64<<10), last: make(chan struct{}, 1)}
	s.last <- struct{}{}
	return s, nil
}

func (s *stream) exchange(request []byte, reply *[]byte) error {
	turn, done, err := s.send(request)
	if err != nil {
		return err
	}
	<-turn
	defer func() { done <- struct{}{} }()
	n, err := readSize(s.in, &s.size)
	if err != nil {
		return err
	}
	if cap(*reply) < n {
		*reply = make([]byte, n)
	}
	*reply = (*reply)[:n]
	_, err = io.ReadFull(s.in, *reply)
	return err
}

// send sends a request. turn receives when its answer is next; whoever has read
// it sends to done.
func (s *stream) send(request []byte) (turn <-chan struct{}, done chan<- struct{}, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.out = append(binary.BigEndian.AppendUint32(s.out[:0], uint32(len(request))), request...)
	if _, err := s.conn.Write(s.out); err != nil {
		return nil, nil, err
	}
	before, mine := s.last, make(chan struct{}, 1)
	s.last = mine
	return before, mine, nil
}

func (s *stream) congestion() string { return congestionControl(s.bare) }

func (s *stream) close() error { return s.conn.Close() }
