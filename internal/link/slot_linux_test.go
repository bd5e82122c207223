package link

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"golang.org/x/sys/unix"

	"github.com/bungee-xr/bungee/internal/identity"
)

// loopback returns a socket on one of the loopback's addresses.
func loopback(t *testing.T, last byte) *net.UDPConn {
	t.Helper()
	pc, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, last)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pc.Close() })
	return pc
}

// The kernel refuses to send from the loopback's address to anywhere else.
func TestFailedSendIsALostPacket(t *testing.T) {
	away := &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 9}
	for _, kind := range []struct {
		name string
		pc   net.PacketConn
	}{{"a UDP socket", loopback(t, 1)}, {"any other", struct{ net.PacketConn }{loopback(t, 1)}}} {
		sl, pc := newSlot(newSocket(kind.pc))
		send := func() error {
			if o, ok := pc.(quic.OOBCapablePacketConn); ok {
				_, _, err := o.WriteMsgUDP([]byte("x"), nil, away)
				return err
			}
			_, err := pc.WriteTo([]byte("x"), away)
			return err
		}
		if err := send(); !errors.Is(err, syscall.EINVAL) {
			t.Errorf("%s: a dial's send gave %v, want what is wrong", kind.name, err)
		}
		sl.steady.Store(true)
		if err := send(); err != nil {
			t.Errorf("%s: a later send gave %v, want none: it ends all connections", kind.name, err)
		}
		kind.pc.Close()
		if err := send(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: with its socket closed, %v, want net.ErrClosed", kind.name, err)
		}
	}
}

// On real sockets a connection goes from one local address to another and back,
// under traffic, and has GSO and GRO wherever it is.
func TestSwitchPathOnRealSockets(t *testing.T) {
	switchPaths(t, func(last byte) net.PacketConn { return loopback(t, last) })
}

// A socket of an application that wraps a UDP socket has no UDP_GRO.
func TestSwitchPathOnWrappedSockets(t *testing.T) {
	switchPaths(t, func(last byte) net.PacketConn { return struct{ *net.UDPConn }{loopback(t, last)} })
}

// switchPaths exchanges frames over paths between sockets that socket makes, each
// on one of the loopback's addresses.
func switchPaths(t *testing.T, socket func(last byte) net.PacketConn) {
	hostTLS, ueTLS := bothTLS(t)
	l, err := Listen(socket(1), hostTLS)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	served := make(chan *Conn, 1)
	go func() {
		c, err := l.Accept(context.Background())
		if err != nil {
			return
		}
		served <- c
		for {
			st, err := c.Accept(context.Background())
			if err != nil {
				return
			}
			go func() { io.Copy(st, st); st.Close() }()
		}
	}()
	ue, err := Dial(t.Context(), socket(1), l.Addr(), ueTLS)
	if err != nil {
		t.Fatal(err)
	}
	defer ue.Close("")
	host := <-served
	carrier := ue.carrier.(*quicConn)
	_, enough := probe(loopback(t, 1))
	plain := enough && segmentation(t)

	stop, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- rounds(ue, stop) }()
	for n := range 20 {
		last := byte(1 + (n+1)%2)
		if err := ue.SwitchPath(t.Context(), socket(last)); err != nil {
			t.Fatal(err)
		}
		if err := exchangeOnce(ue, 100_000); err != nil {
			t.Fatal(err)
		}
		if got := host.RemoteAddr().(*net.UDPAddr).IP; !got.Equal(net.IPv4(127, 0, 0, last)) {
			t.Errorf("switch %d: the host sends to %v, want 127.0.0.%d", n, got, last)
		}
		if _, batches := carrier.path.tr.Conn.(batchReader); batches != enough || carrier.path.oob != enough {
			t.Errorf("switch %d: quic-go gets a %T; one for batches: want %v", n, carrier.path.tr.Conn, enough)
		}
	}
	close(stop)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if len(carrier.paths) != 3 {
		t.Errorf("20 switches made %d transports, want 3", len(carrier.paths))
	}
	if got := carrier.qc.ConnectionState().GSO; got != plain {
		t.Errorf("GSO is %v, %v with a socket of quic-go's own", got, plain)
	}
}

// bothTLS returns the configurations of a host and a UE of one authority.
func bothTLS(t *testing.T) (host, ue *tls.Config) {
	t.Helper()
	ca, err := identity.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	if host, err = ca.TLS(identity.Host, "host"); err != nil {
		t.Fatal(err)
	}
	if ue, err = ca.TLS(identity.UE, "ue"); err != nil {
		t.Fatal(err)
	}
	return host, ue
}

// segmentation says whether quic-go would use GSO on this machine.
func segmentation(t *testing.T) bool {
	raw, err := loopback(t, 1).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var failed error
	raw.Control(func(fd uintptr) { _, failed = unix.GetsockoptInt(int(fd), unix.IPPROTO_UDP, unix.UDP_SEGMENT) })
	return failed == nil
}

// rounds has frames echoed until stop is closed.
func rounds(c *Conn, stop <-chan struct{}) error {
	for n := 0; ; n++ {
		select {
		case <-stop:
			return nil
		default:
		}
		if err := exchangeOnce(c, 20_000); err != nil {
			return fmt.Errorf("frame %d: %w", n, err)
		}
	}
}

func exchangeOnce(c *Conn, size int) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	st, err := c.Open(ctx)
	if err != nil {
		return err
	}
	frame := bytes.Repeat([]byte("0123456789"), size/10)
	go func() { st.Write(frame); st.Close() }()
	got, err := io.ReadAll(st)
	if err == nil && !bytes.Equal(got, frame) {
		err = fmt.Errorf("%d bytes came back that are not the %d sent", len(got), len(frame))
	}
	return err
}
