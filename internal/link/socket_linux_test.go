package link

import (
	"bytes"
	"encoding/binary"
	"net"
	"testing"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

// pair returns a tuned socket and one that sends to it.
func pair(t *testing.T) (*groSocket, *net.UDPConn) {
	t.Helper()
	in, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close() })
	s, ok := tune(in).(*groSocket)
	if !ok {
		t.Skip("this kernel has no UDP_GRO; on Linux 5.0 or later: go test ./internal/link")
	}
	out, err := net.DialUDP("udp4", nil, in.LocalAddr().(*net.UDPAddr))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { out.Close() })
	return s, out
}

// sendSegments sends b in packets of size, in one system call: on loopback the
// kernel hands them over together.
func sendSegments(t *testing.T, out *net.UDPConn, b []byte, size uint16) {
	t.Helper()
	oob := make([]byte, unix.CmsgSpace(2))
	binary.NativeEndian.PutUint64(oob, uint64(unix.CmsgLen(2)))
	binary.NativeEndian.PutUint32(oob[8:], unix.IPPROTO_UDP)
	binary.NativeEndian.PutUint32(oob[12:], unix.UDP_SEGMENT)
	binary.NativeEndian.PutUint16(oob[unix.SizeofCmsghdr:], size)
	if _, _, err := out.WriteMsgUDP(b, oob, nil); err != nil {
		t.Skipf("this kernel does not segment UDP (%v); on Linux 4.18 or later: go test ./internal/link", err)
	}
}

func messages(n int) []ipv4.Message {
	ms := make([]ipv4.Message, n)
	for i := range ms {
		ms[i] = ipv4.Message{Buffers: [][]byte{make([]byte, 1500)}, OOB: make([]byte, 128)}
	}
	return ms
}

// collect reads until want packets have come.
func collect(t *testing.T, s *groSocket, want, batch int) (packets [][]byte) {
	t.Helper()
	s.SetReadDeadline(time.Now().Add(10 * time.Second)) // a lost packet fails the test, it does not hang it
	for len(packets) < want {
		ms := messages(batch)
		n, err := s.ReadBatch(ms, 0)
		if err != nil {
			t.Fatalf("after %d of %d packets: %v", len(packets), want, err)
		}
		for _, m := range ms[:n] {
			packets = append(packets, m.Buffers[0][:m.N])
			if m.Addr == nil {
				t.Error("a packet without its sender")
			}
		}
	}
	return packets
}

func TestPacketsComeApartAsTheyWereSent(t *testing.T) {
	for _, batch := range []int{1, 3, 8} {
		s, out := pair(t)
		big := bytes.Repeat([]byte("0123456789abcdef"), 700) // 11200 bytes: 9 of 1200 and one of 400
		sendSegments(t, out, big, 1200)
		if _, err := out.Write([]byte("alone")); err != nil {
			t.Fatal(err)
		}
		got := collect(t, s, 11, batch)
		if joined := bytes.Join(got[:10], nil); !bytes.Equal(joined, big) || len(got[0]) != 1200 || len(got[9]) != 400 {
			t.Errorf("batch %d: packets of %d ... %d bytes, %d in all; want 1200 ... 400, %d", batch, len(got[0]), len(got[9]), len(joined), len(big))
		}
		if string(got[10]) != "alone" {
			t.Errorf("batch %d: the single packet is %q", batch, got[10])
		}
	}
}

func TestReceiveIsFewerReads(t *testing.T) {
	s, out := pair(t)
	sendSegments(t, out, make([]byte, 40*1200), 1200)
	collect(t, s, 1, 1)
	if got := s.read[0].N; got < 2*1200 {
		t.Errorf("the first read took %d bytes; want several packets of 1200", got)
	}
}

func TestSegments(t *testing.T) {
	message := func(level, kind uint32, body []byte) []byte {
		b := make([]byte, unix.CmsgSpace(len(body)))
		binary.NativeEndian.PutUint64(b, uint64(unix.CmsgLen(len(body))))
		binary.NativeEndian.PutUint32(b[8:], level)
		binary.NativeEndian.PutUint32(b[12:], kind)
		copy(b[unix.SizeofCmsghdr:], body)
		return b
	}
	gro := message(unix.IPPROTO_UDP, unix.UDP_GRO, binary.NativeEndian.AppendUint32(nil, 1252))
	tos := message(unix.IPPROTO_IP, unix.IP_TOS, []byte{2, 0, 0, 0})
	tests := []struct {
		name    string
		control []byte
		size    int
		others  []byte
	}{
		{"none", nil, 0, nil},
		{"GRO alone", gro, 1252, nil},
		{"ECN before and after", append(append(append([]byte{}, tos...), gro...), tos...), 1252, append(append([]byte{}, tos...), tos...)},
		{"cut", gro[:10], 0, nil},
		{"too long for its buffer", message(unix.IPPROTO_UDP, unix.UDP_GRO, nil)[:unix.SizeofCmsghdr-1], 0, nil},
	}
	for _, tt := range tests {
		size, others := segments(tt.control, nil)
		if size != tt.size || !bytes.Equal(others, tt.others) {
			t.Errorf("%s: %x gave size %d and %x; want %d and %x", tt.name, tt.control, size, others, tt.size, tt.others)
		}
	}
}

func TestOtherConnsStayAsTheyAre(t *testing.T) {
	pc := struct{ net.PacketConn }{}
	if got := tune(pc); got != net.PacketConn(pc) {
		t.Errorf("%T was changed into %T", pc, got)
	}
}
