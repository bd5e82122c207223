package link

import (
	"errors"
	"net"
	"syscall"
	"time"

	"golang.org/x/net/ipv4"
)

// A plainSlot is a slot as a net.PacketConn.
type plainSlot struct{ slot }

// ReadFrom implements net.PacketConn.
func (sl *plainSlot) ReadFrom(b []byte) (n int, addr net.Addr, err error) {
	err = sl.read(func(s *socket) (bool, error) {
		n, addr, err = s.ReadFrom(b)
		return n != probeSize, err
	})
	return n, addr, err
}

// WriteTo implements net.PacketConn.
func (sl *plainSlot) WriteTo(b []byte, addr net.Addr) (int, error) {
	sl.sends(b)
	return len(b), sl.write(func(s *socket) error {
		_, err := s.WriteTo(b, addr)
		return err
	})
}

// SetDeadline implements net.PacketConn.
func (sl *plainSlot) SetDeadline(t time.Time) error {
	return sl.set(func(s *socket) error { return s.SetDeadline(t) })
}

// SetReadDeadline implements net.PacketConn.
func (sl *plainSlot) SetReadDeadline(t time.Time) error {
	return sl.set(func(s *socket) error { return s.SetReadDeadline(t) })
}

// SetWriteDeadline implements net.PacketConn.
func (sl *plainSlot) SetWriteDeadline(t time.Time) error {
	return sl.set(func(s *socket) error { return s.SetWriteDeadline(t) })
}

// SetReadBuffer sizes the socket's buffer, where it has one.
func (sl *plainSlot) SetReadBuffer(n int) error {
	return sl.set(func(s *socket) error {
		if b, ok := s.PacketConn.(interface{ SetReadBuffer(int) error }); ok {
			return b.SetReadBuffer(n)
		}
		return nil
	})
}

// SetWriteBuffer sizes the socket's buffer, where it has one.
func (sl *plainSlot) SetWriteBuffer(n int) error {
	return sl.set(func(s *socket) error {
		if b, ok := s.PacketConn.(interface{ SetWriteBuffer(int) error }); ok {
			return b.SetWriteBuffer(n)
		}
		return nil
	})
}

// An oobSlot is a slot as an oobConn and a batchReader.
type oobSlot struct{ plainSlot }

// SyscallConn implements quic.OOBCapablePacketConn.
func (sl *oobSlot) SyscallConn() (syscall.RawConn, error) {
	s := sl.now()
	if s == nil {
		return nil, net.ErrClosed
	}
	return s.oob.SyscallConn()
}

// ReadBatch implements batchReader. On Windows, which has no such read, nobody
// calls it.
func (sl *oobSlot) ReadBatch(ms []ipv4.Message, flags int) (n int, err error) {
	err = sl.read(func(s *socket) (used bool, err error) {
		if n, err = readBatch(s.batch, ms, flags); err != nil {
			return false, err
		}
		for _, m := range ms[:n] {
			used = used || m.N != probeSize
		}
		return used, nil
	})
	return n, err
}

var errBatch = errors.New("a socket's ReadBatch counts more packets than it was given room for")

// readBatch reads into ms from a socket that an application may have brought. It returns
// an error, or 1 to len(ms) packets: with an error golang.org/x/net returns -1.
func readBatch(b batchReader, ms []ipv4.Message, flags int) (n int, err error) {
	n, err = b.ReadBatch(ms, flags)
	switch {
	case err != nil:
		return 0, err
	case n > len(ms):
		return 0, errBatch
	case n < 1:
		return 0, syscall.EAGAIN // nothing this time
	}
	return n, nil
}

// ReadMsgUDP implements quic.OOBCapablePacketConn.
func (sl *oobSlot) ReadMsgUDP(b, oob []byte) (n, oobn, flags int, addr *net.UDPAddr, err error) {
	err = sl.read(func(s *socket) (bool, error) {
		n, oobn, flags, addr, err = s.oob.ReadMsgUDP(b, oob)
		return n != probeSize, err
	})
	return n, oobn, flags, addr, err
}

// WriteMsgUDP implements quic.OOBCapablePacketConn.
func (sl *oobSlot) WriteMsgUDP(b, oob []byte, addr *net.UDPAddr) (int, int, error) {
	sl.sends(b)
	return len(b), len(oob), sl.write(func(s *socket) error { return s.send(b, oob, addr) })
}
