package link

import (
	"encoding/binary"
	"iter"
	"net"
	"syscall"

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

	sift func(b []byte, from net.Addr) bool // whether to give packet b; nil: all. Set before the first read
}

// reads is how many messages a read takes at once, at most, of 64 KB of buffer each.
// With GRO one holds a video frame. A socket begins with one, and has more when that many have come at once: a host may have
// hundreds of sockets with one UE each.
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
	s.grow()
	return s
}

// grow has the next read take one message more.
func (s *groSocket) grow() {
	s.read = append(s.read, ipv4.Message{Buffers: [][]byte{make([]byte, 1<<16)}, OOB: make([]byte, 256)})
}

// ReadBatch fills ms with a packet each and returns how many there were. It
// waits for the first only.
func (s *groSocket) ReadBatch(ms []ipv4.Message, flags int) (int, error) {
	for k := 0; k < len(ms); {
		if len(s.rest) == 0 && !s.next() {
			if k > 0 {
				return k, nil
			}
			if err := s.receive(flags); err != nil {
				return 0, err
			}
		}
		if s.give(&ms[k]) {
			k++
		}
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
		if n == len(s.read) && n < reads {
			s.grow()
		}
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

// give puts the next packet into m. It returns false when that is held back.
func (s *groSocket) give(m *ipv4.Message) bool {
	packet := s.rest[:min(s.size, len(s.rest))]
	s.rest = s.rest[len(packet):]
	if s.sift != nil && !s.sift(packet, s.read[s.at].Addr) {
		return false
	}
	m.N = copy(m.Buffers[0], packet)
	m.NN = copy(m.OOB, s.oob)
	m.Addr, m.Flags = s.read[s.at].Addr, s.read[s.at].Flags
	return true
}

// siftBy has only packets that sift lets pass be given. It is called before the first read.
func (s *groSocket) siftBy(sift func(b []byte, from net.Addr) bool) { s.sift = sift }

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

// extrasIn returns the extras that control messages ask for.
func extrasIn(control []byte) (found extra) {
	for kind := range controls(control) {
		found |= kind
	}
	return found
}

// trim returns control without some extras. size is that of the packets that a send has to be
// cut into when gso is left out, 0 for a single one.
func trim(control []byte, less extra) (size int, kept []byte) {
	for kind, m := range controls(control) {
		switch {
		case kind&less == 0:
			kept = append(kept, m...)
		case kind == gso && len(m) >= unix.CmsgLen(2):
			size = int(binary.NativeEndian.Uint16(m[unix.CmsgLen(0):]))
		}
	}
	return size, kept
}

// controls yields control messages, and the extra that each asks for.
func controls(control []byte) iter.Seq2[extra, []byte] {
	return func(yield func(extra, []byte) bool) {
		for len(control) >= unix.SizeofCmsghdr {
			h, _, rest, err := unix.ParseOneSocketControlMessage(control)
			if err != nil {
				return
			}
			var kind extra
			switch {
			case h.Level == unix.IPPROTO_UDP && h.Type == unix.UDP_SEGMENT:
				kind = gso
			case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_TOS, h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_TCLASS:
				kind = ecn
			}
			if !yield(kind, control[:len(control)-len(rest)]) {
				return
			}
			control = rest
		}
	}
}

// An option is one of UDP sockets that quic-go sets. One of its ways is enough: which one
// works depends on the IP version.
type option struct {
	name   string
	ways   [][3]int // level, name, value
	needed bool     // quic-go v0.65 serves no socket that has none of the ways
}

var (
	optionECN        = option{"ECN", [][3]int{{unix.IPPROTO_IP, unix.IP_RECVTOS, 1}, {unix.IPPROTO_IPV6, unix.IPV6_RECVTCLASS, 1}}, true}
	optionDF         = option{"DF", [][3]int{{unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE}, {unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_PROBE}}, true}
	optionPacketInfo = option{"pktinfo", [][3]int{{unix.IPPROTO_IP, unix.IP_PKTINFO, 1}, {unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1}}, true}
	optionGSO        = option{"GSO", [][3]int{{unix.IPPROTO_UDP, unix.UDP_SEGMENT, 0}}, false}
	optionGRO        = option{"GRO", [][3]int{{unix.IPPROTO_UDP, unix.UDP_GRO, 0}}, false}
)

// probe sets c's options and returns the names of those that the kernel lacks. enough says
// whether quic-go can use the others: with an option that it needs it fails, where it could
// as well use c as any net.PacketConn.
func probe(c oobConn) (lacks []string, enough bool) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, false
	}
	options := []option{optionECN, optionDF, optionGSO, optionGRO}
	if u, ok := c.LocalAddr().(*net.UDPAddr); ok && u.IP.IsUnspecified() {
		options = append(options, optionPacketInfo)
	}
	enough = true
	for _, o := range options {
		if !o.set(raw) {
			lacks = append(lacks, o.name)
			enough = enough && !o.needed
		}
	}
	return lacks, enough
}

// set sets o, and says whether one of the ways did.
func (o option) set(raw syscall.RawConn) (ok bool) {
	raw.Control(func(fd uintptr) {
		for _, w := range o.ways {
			ok = unix.SetsockoptInt(int(fd), w[0], w[1], w[2]) == nil || ok
		}
	})
	return ok
}
