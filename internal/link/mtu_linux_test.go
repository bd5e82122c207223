package link

import (
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/bungee-xr/bungee/internal/needs"
)

// mtuEnv is set in the process that is alone in a network of its own.
const mtuEnv = "BUNGEE_TEST_MTU"

// On real sockets a connection is made over MTU 1280, and over 1500 packets grow.
func TestMTUDiscovery(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestInOwnNetwork$", "-test.v")
	cmd.Env = append(os.Environ(), mtuEnv+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	out, err := cmd.CombinedOutput()
	if os.IsPermission(err) {
		needs.Network(t, "a network of its own needs root: sudo go test -run TestMTUDiscovery ./internal/link")
	}
	if err != nil || !strings.Contains(string(out), "--- PASS: TestInOwnNetwork") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestInOwnNetwork runs in the process of TestMTUDiscovery.
func TestInOwnNetwork(t *testing.T) {
	if os.Getenv(mtuEnv) == "" {
		t.Skip("this is the process in a network of its own: go test -run TestMTUDiscovery ./internal/link")
	}
	for _, at := range []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback} {
		for mtu, most := range map[int]int{1280: 1280, 1500: 1452} {
			setLoopback(t, mtu)
			c := echoAt(t, at)
			for range 20 { // discovery takes some round trips
				if err := exchangeOnce(c, 100_000); err != nil {
					t.Fatalf("%v, MTU %d: %v", at, mtu, err)
				}
			}
			before := c.Metrics()
			for range 5 {
				if err := exchangeOnce(c, 1_000_000); err != nil {
					t.Fatal(err)
				}
			}
			m := c.Metrics()
			sent, packets := m.BytesSent-before.BytesSent, m.PacketsSent-before.PacketsSent
			t.Logf("%v, MTU %d: %d bytes a packet, %d of %d packets lost", at, mtu, sent/packets, m.PacketsLost, m.PacketsSent)
			if mean := int(sent / packets); mean > most || mtu == 1500 && mean < 1250 {
				t.Errorf("%v, MTU %d: %d bytes a packet", at, mtu, mean)
			}
		}
	}
}

// setLoopback brings the loopback up with an MTU.
func setLoopback(t *testing.T, mtu int) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	r, err := unix.NewIfreq("lo")
	if err != nil {
		t.Fatal(err)
	}
	r.SetUint32(uint32(mtu))
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFMTU, r); err != nil {
		t.Fatal(err)
	}
	r.SetUint16(unix.IFF_UP | unix.IFF_RUNNING | unix.IFF_LOOPBACK)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, r); err != nil {
		t.Fatal(err)
	}
}

// echoAt returns a connection to a host at ip that echoes.
func echoAt(t *testing.T, ip net.IP) *Conn {
	t.Helper()
	hostTLS, ueTLS := bothTLS(t)
	socket := func() net.PacketConn {
		pc, err := net.ListenUDP("udp", &net.UDPAddr{IP: ip})
		if err != nil {
			t.Fatal(err)
		}
		return pc
	}
	l, err := Listen(socket(), hostTLS)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		c, err := l.Accept(context.Background())
		for err == nil {
			var st Stream
			if st, err = c.Accept(context.Background()); err == nil {
				go func() { io.Copy(st, st); st.Close() }()
			}
		}
	}()
	c, err := Dial(t.Context(), socket(), l.Addr(), ueTLS)
	if err != nil {
		t.Fatalf("%v: %v", ip, err)
	}
	t.Cleanup(func() { c.Close("") })
	return c
}
