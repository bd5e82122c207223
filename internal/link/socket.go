package link

import (
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/quic-go/quic-go"
	"golang.org/x/net/ipv4"
)

// A socket is a net.PacketConn in a slot.
type socket struct {
	net.PacketConn
	oob   oobConn     // the same socket, if quic-go gets GSO, ECN and batches from it; else nil
	batch batchReader // of the same socket, if oob is not nil
	log   *slog.Logger

	without atomic.Uint32 // the extras that it refuses
	sent    atomic.Bool   // something has gone out
	heard   signal        // something has come in
	used    signal        // something has come in that is more than an answer to a path's trial
	reading sync.Mutex    // held by the goroutine that reads
}

// An oobConn is a socket that offers quic-go more than a net.PacketConn does.
type oobConn interface {
	quic.OOBCapablePacketConn
	SetWriteBuffer(int) error
}

// A loggedConn is a socket whose connections log to log.
type loggedConn struct {
	net.PacketConn
	log *slog.Logger
}

// Logged returns pc as a socket for Dial, Listen and SwitchPath, which log to log what they
// find out about it: at Debug what its kernel does not offer, at Info what fails later and is
// done without, and at Warn the handshakes that fail at a Listener. Without it, nothing is
// logged.
func Logged(pc net.PacketConn, log *slog.Logger) net.PacketConn { return loggedConn{pc, log} }

func newSocket(pc net.PacketConn) *socket {
	s := &socket{log: slog.New(slog.DiscardHandler), heard: make(signal, 1), used: make(signal, 1)}
	if l, ok := pc.(loggedConn); ok {
		pc, s.log = l.PacketConn, l.log
	}
	s.PacketConn = pc
	oob, ok := pc.(oobConn)
	if !ok {
		s.log.Debug("socket is not one of the kernel: no GSO, GRO and ECN", "addr", pc.LocalAddr())
		return s
	}
	lacks, enough := probe(oob)
	if lacks != nil {
		s.log.Debug("the kernel lacks options of sockets", "options", strings.Join(lacks, ", "), "addr", pc.LocalAddr())
	}
	if !enough {
		return s
	}
	pc = tune(pc)
	s.PacketConn, oob = pc, pc.(oobConn)
	if b, ok := pc.(batchReader); ok {
		s.oob, s.batch = oob, b
	} else if _, ok := pc.(net.Conn); ok { // quic-go and ipv4 ask for it
		s.oob, s.batch = oob, newKernelReader(oob)
	}
	return s
}

func (s *socket) hear(used bool) {
	s.heard.up()
	if used {
		s.used.up()
	}
}

// An extra is what a send asks of the kernel by a control message, and can do without.
type extra uint32

const (
	gso extra = 1 << iota // to cut what is sent into packets: UDP_SEGMENT, udp(7)
	ecn                   // to mark packets for explicit congestion notification
)

var extraNames = map[extra]string{gso: "GSO", ecn: "ECN", gso | ecn: "GSO and ECN"}

// send sends the packets in b. The extras that oob asks for may be refused although the
// kernel knows them: by an interface, a firewall or a sandbox. Then the packets go out
// without, and so do all later ones.
func (s *socket) send(b, oob []byte, addr *net.UDPAddr) error {
	without := extra(s.without.Load())
	err := s.sendWithout(without, b, oob, addr)
	if !isRefusal(err) {
		return err
	}
	asked := extrasIn(oob) &^ without
	for _, less := range []extra{gso, ecn, gso | ecn} {
		if less&asked == less && s.sendWithout(without|less, b, oob, addr) == nil {
			s.giveUp(less, err)
			return nil
		}
	}
	return err
}

// isRefusal says whether err is a kernel's that will not send what it is asked to, the way
// it is asked to. Those of a network that is gone are others.
func isRefusal(err error) bool {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return false
	}
	switch errno {
	case syscall.EINVAL, syscall.EPERM, syscall.EACCES, syscall.EIO, syscall.ENOBUFS, syscall.EMSGSIZE, syscall.EOPNOTSUPP, syscall.ENOPROTOOPT, syscall.ENOSYS:
		return true
	}
	return false
}

func (s *socket) giveUp(less extra, why error) {
	if before := extra(s.without.Or(uint32(less))); before&less != less {
		s.log.Info("socket sends without "+extraNames[less]+" from now on", "addr", s.LocalAddr(), "why", why)
	}
}

// sendWithout sends the packets in b without some extras. If the first packet goes out, a
// later one that does not is a lost packet.
func (s *socket) sendWithout(less extra, b, oob []byte, addr *net.UDPAddr) error {
	if less == 0 {
		return s.write(b, oob, addr)
	}
	size, kept := trim(oob, less)
	if size == 0 {
		size = len(b)
	}
	err := s.write(b[:min(size, len(b))], kept, addr)
	if err != nil {
		return err
	}
	for rest := b[min(size, len(b)):]; len(rest) > 0; rest = rest[min(size, len(rest)):] {
		s.write(rest[:min(size, len(rest))], kept, addr)
	}
	return nil
}

func (s *socket) write(b, oob []byte, addr *net.UDPAddr) error {
	_, _, err := s.oob.WriteMsgUDP(b, oob, addr)
	if errors.Is(err, syscall.EPERM) { // a socket's first may, for no reason: go.dev/issue/63322
		_, _, err = s.oob.WriteMsgUDP(b, oob, addr)
	}
	return err
}

// A batchReader reads many packets at once.
type batchReader interface {
	ReadBatch(ms []ipv4.Message, flags int) (int, error)
}

// A kernelReader reads many packets at once, or one at a time if the kernel or a sandbox
// does not know recvmmsg(2). One goroutine at a time reads.
type kernelReader struct {
	batchReader
	single oobConn
	alone  bool // recvmmsg is refused
}

// newKernelReader returns a batchReader of c, which is a net.Conn.
func newKernelReader(c oobConn) *kernelReader {
	return &kernelReader{batchReader: ipv4.NewPacketConn(c), single: c}
}

// ReadBatch implements batchReader.
func (r *kernelReader) ReadBatch(ms []ipv4.Message, flags int) (int, error) {
	if !r.alone {
		n, err := r.batchReader.ReadBatch(ms, flags)
		if !errors.Is(err, syscall.ENOSYS) && !errors.Is(err, syscall.EPERM) {
			return n, err
		}
		r.alone = true
	}
	m := &ms[0]
	var from *net.UDPAddr
	var err error
	m.N, m.NN, m.Flags, from, err = r.single.ReadMsgUDP(m.Buffers[0], m.OOB)
	m.Addr = from
	return 1, err
}

// A signal is up or down. Its capacity is 1: up twice is up.
type signal chan struct{}

func (s signal) up() {
	select {
	case s <- struct{}{}:
	default:
	}
}

// down takes the signal down, and says whether it was up.
func (s signal) down() bool {
	select {
	case <-s:
		return true
	default:
		return false
	}
}
