package link

import (
	"encoding/binary"
	"errors"
	"net"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

// A groSocket is a UDP socket that receives with UDP_GRO (udp(7)): the kernel
// hands over up to 64 KB of packets of one peer in one read, and ReadBatch gives
// them to quic-go one by one. quic-go v0.65 has no such receive path of its own
// and uses the ReadBatch of a socket that has one.
//
// Only quic-go's one reading goroutine calls ReadBatch.
type groSocket struct {
	*net.UDPConn
	batch batchReader

	read []ipv4.Message // of the last read, each of one packet or more
	n    int            // how many of read hold something
	at   int            // the one whose packets are given next
	rest []byte         // its packets not given yet
	size int            // of each of its packets but the last
	oob  []byte         // its control messages, but UDP_GRO's
}

// reads is how many messages a read takes at once, of 64 KB of buffer each.
// With GRO one holds a video frame.
const reads = 4

// tune returns pc with a faster receive path, where it is a socket of a kernel
// that has one.
func tune(pc net.PacketConn) net.PacketConn {
	u, ok := pc.(*net.UDPConn)
	if !ok {
		return pc
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return pc
	}
	var set error
	err = raw.Control(func(fd uintptr) {
		set = unix.SetsockoptInt(int(fd), unix.IPPROTO_UDP, unix.UDP_GRO, 1)
	})
	if err != nil || set != nil {
		return pc
	}
	s := &groSocket{UDPConn: u, batch: newKernelReader(u)}
	for range reads {
		s.read = append(s.read, ipv4.Message{Buffers: [][]byte{make([]byte, 1<<16)}, OOB: make([]byte, 256)})
	}
	return s
}

// ReadBatch fills ms with a packet each and returns how many there were. It
// waits for the first only.
func (s *groSocket) ReadBatch(ms []ipv4.Message, flags int) (int, error) {
	for k := range ms {
		if len(s.rest) == 0 && !s.next() {
			if k > 0 {
				return k, nil
			}
			if err := s.receive(flags); err != nil {
				return 0, err
			}
		}
		s.give(&ms[k])
	}
	return len(ms), nil
}

// receive reads until it has a message that is not empty.
func (s *groSocket) receive(flags int) error {
	for {
		for i := range s.read {
			s.read[i].OOB = s.read[i].OOB[:cap(s.read[i].OOB)]
		}
		n, err := readBatch(s.batch, s.read, flags)
		if err != nil {
			return err
		}
		s.n, s.at = n, -1
		if s.next() {
			return nil
		}
	}
}

// next goes to the next message of the last read that is not empty.
func (s *groSocket) next() bool {
	for s.at++; s.at < s.n; s.at++ {
		m := &s.read[s.at]
		s.rest = m.Buffers[0][:m.N]
		s.size, s.oob = segments(m.OOB[:m.NN], s.oob[:0])
		if s.size <= 0 {
			s.size = m.N
		}
		if m.N > 0 {
			return true
		}
	}
	return false
}

// give puts the next packet into m.
func (s *groSocket) give(m *ipv4.Message) {
	packet := s.rest[:min(s.size, len(s.rest))]
	s.rest = s.rest[len(packet):]
	m.N = copy(m.Buffers[0], packet)
	m.NN = copy(m.OOB, s.oob)
	m.Addr, m.Flags = s.read[s.at].Addr, s.read[s.at].Flags
}

// segments returns the size of the packets that the kernel put together, 0 for a
// single one, and appends the other control messages to oob.
func segments(control, oob []byte) (size int, others []byte) {
	for len(control) >= unix.SizeofCmsghdr {
		h, body, rest, err := unix.ParseOneSocketControlMessage(control)
		if err != nil {
			break
		}
		if h.Level == unix.IPPROTO_UDP && h.Type == unix.UDP_GRO && len(body) >= 4 {
			size = int(int32(binary.NativeEndian.Uint32(body)))
		} else {
			oob = append(oob, control[:len(control)-len(rest)]...)
		}
		control = rest
	}
	return size, oob
}

// noSegments says whether err means that an interface cannot take a send in
// segments (UDP_SEGMENT in control).
func noSegments(err error, control []byte) bool {
	if !errors.Is(err, unix.EIO) {
		return false
	}
	for len(control) >= unix.SizeofCmsghdr {
		h, _, rest, err := unix.ParseOneSocketControlMessage(control)
		if err != nil {
			return false
		}
		if h.Level == unix.IPPROTO_UDP && h.Type == unix.UDP_SEGMENT {
			return true
		}
		control = rest
	}
	return false
}
