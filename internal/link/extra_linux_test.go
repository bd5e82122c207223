package link

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// message is a control message of a send.
func message(level, kind uint32, body ...byte) []byte {
	b := make([]byte, unix.CmsgSpace(len(body)))
	binary.NativeEndian.PutUint64(b, uint64(unix.CmsgLen(len(body))))
	binary.NativeEndian.PutUint32(b[8:], level)
	binary.NativeEndian.PutUint32(b[12:], kind)
	copy(b[unix.SizeofCmsghdr:], body)
	return b
}

var (
	segment1000 = message(unix.IPPROTO_UDP, unix.UDP_SEGMENT, binary.NativeEndian.AppendUint16(nil, 1000)...)
	mark4       = message(unix.IPPROTO_IP, unix.IP_TOS, 2)
	mark6       = message(unix.IPPROTO_IPV6, unix.IPV6_TCLASS, 2, 0, 0, 0)
	source      = message(unix.IPPROTO_IP, unix.IP_PKTINFO, make([]byte, 12)...)
)

// A fussy socket refuses sends that ask for extras, and takes what it does not refuse.
type fussy struct {
	*net.UDPConn
	refuses extra
	errno   unix.Errno
	all     bool // refuses every send

	mu    sync.Mutex
	tries int
	took  [][]byte
}

func (f *fussy) WriteMsgUDP(b, oob []byte, _ *net.UDPAddr) (int, int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tries++
	if f.all || extrasIn(oob)&f.refuses != 0 {
		return 0, 0, &net.OpError{Op: "write", Err: os.NewSyscallError("sendmsg", f.errno)}
	}
	if size, _ := trim(oob, gso); size > 0 { // as a kernel does
		for ; len(b) > size; b = b[size:] {
			f.took = append(f.took, bytes.Clone(b[:size]))
		}
	}
	f.took = append(f.took, bytes.Clone(b))
	return len(b), len(oob), nil
}

// What a send asks for beyond sending may be refused at any time. The packets go out all the
// same, and later ones do not ask again.
func TestRefusedExtras(t *testing.T) {
	both := append(bytes.Clone(source), append(bytes.Clone(segment1000), mark4...)...)
	packets := []byte(strings.Repeat("a", 1000) + strings.Repeat("b", 1000) + strings.Repeat("c", 500))
	for _, errno := range []unix.Errno{unix.EIO, unix.EINVAL, unix.EPERM, unix.EACCES, unix.ENOBUFS, unix.EMSGSIZE, unix.EOPNOTSUPP} {
		for _, refuses := range []extra{gso, ecn, gso | ecn} {
			name := fmt.Sprintf("%v without %s", errno, extraNames[refuses])
			var log bytes.Buffer
			f := &fussy{UDPConn: loopback(t, 1), refuses: refuses, errno: errno}
			sl, pc := newSlot(newSocket(Logged(f, slog.New(slog.NewTextHandler(&log, nil)))))
			sl.steady.Store(true)
			send := func() {
				if _, _, err := pc.(oobConn).WriteMsgUDP(packets, both, nil); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			send()
			if got := bytes.Join(f.took, nil); len(f.took) != 3 || !bytes.Equal(got, packets) || len(f.took[0]) != 1000 {
				t.Errorf("%s: %d packets, %d bytes; want the 3 that were sent", name, len(f.took), len(got))
			}
			for range 3 {
				f.tries = 0
				send()
			}
			want := 1
			if refuses&gso != 0 {
				want = 3
			}
			if f.tries != want || len(f.took) != 4*3 {
				t.Errorf("%s: a later send took %d system calls, want %d; %d packets, want 12", name, f.tries, want, len(f.took))
			}
			if n := strings.Count(log.String(), "\n"); n != 1 || !strings.Contains(log.String(), extraNames[refuses]) {
				t.Errorf("%s: the log has %d lines, want one: %s", name, n, log.String())
			}
		}
	}
}

// An error that says nothing of the extras changes nothing: the packet is lost, and the next
// one asks for them again.
func TestOtherRefusals(t *testing.T) {
	for _, errno := range []unix.Errno{unix.EPERM, unix.EINVAL, unix.ENETUNREACH, unix.EMSGSIZE} {
		f := &fussy{UDPConn: loopback(t, 1), all: true, errno: errno}
		s := newSocket(f)
		if err := s.send(make([]byte, 2500), segment1000, nil); !errors.Is(err, errno) {
			t.Errorf("%v: the send gave %v", errno, err)
		}
		f.all, f.tries = false, 0
		if err := s.send(make([]byte, 2500), segment1000, nil); err != nil || f.tries != 1 || len(f.took) != 3 {
			t.Errorf("%v passed: %v, %d system calls for %d packets; want 1 for 3", errno, err, f.tries, len(f.took))
		}
	}
}

func TestTrim(t *testing.T) {
	join := func(ms ...[]byte) []byte { return bytes.Join(ms, nil) }
	tests := []struct {
		name    string
		control []byte
		asks    extra
		less    extra
		size    int
		kept    []byte
	}{
		{"nothing", nil, 0, gso | ecn, 0, nil},
		{"segments alone", segment1000, gso, gso, 1000, nil},
		{"between others", join(source, segment1000, mark4), gso | ecn, gso, 1000, join(source, mark4)},
		{"IPv6", join(segment1000, mark6), gso | ecn, ecn, 0, segment1000},
		{"both", join(source, segment1000, mark6), gso | ecn, gso | ecn, 1000, source},
		{"cut", segment1000[:8], 0, gso, 0, nil},
		{"without its size", message(unix.IPPROTO_UDP, unix.UDP_SEGMENT), gso, gso, 0, nil},
	}
	for _, tt := range tests {
		size, kept := trim(tt.control, tt.less)
		if asks := extrasIn(tt.control); asks != tt.asks || size != tt.size || !bytes.Equal(kept, tt.kept) {
			t.Errorf("%s: asks for %b, size %d, kept %x; want %b, %d, %x", tt.name, asks, size, kept, tt.asks, tt.size, tt.kept)
		}
	}
}

// A host that listens on all addresses of its machine answers from the one that it was asked
// at, where the kernel has pktinfo, and is served in any case.
func TestAnyAddress(t *testing.T) {
	pc, err := net.ListenUDP("udp", nil)
	if err != nil {
		t.Fatal(err)
	}
	hostTLS, ueTLS := bothTLS(t)
	l, err := Listen(pc, hostTLS)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	any, err := net.ListenUDP("udp", nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := Dial(t.Context(), any, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: pc.LocalAddr().(*net.UDPAddr).Port}, ueTLS)
	if err != nil {
		t.Fatal(err)
	}
	c.Close("")
}

// A dial whose sends fail says why, and names no address.
func TestDialThatCannotSend(t *testing.T) {
	for errno, want := range map[unix.Errno]error{unix.ENETUNREACH: ErrNoNetwork, unix.EPERM: unix.EPERM} {
		f := &fussy{UDPConn: loopback(t, 1), all: true, errno: errno}
		_, ueTLS := bothTLS(t)
		_, err := Dial(t.Context(), f, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9}, ueTLS)
		if !errors.Is(err, want) || strings.Contains(err.Error(), "127.0.0.1") {
			t.Errorf("%v: dial gave %v, want %v without the address", errno, err, want)
		}
	}
}
