package link_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/radio"
)

var (
	hostAddr = &net.UDPAddr{IP: net.IPv4(10, 0, 0, 2), Port: 1}
	ueAddr   = &net.UDPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 1}
)

// A world is a host and what UEs need to reach it, in virtual time.
type world struct {
	air         *radio.Air
	hostTLS, ue *tls.Config
	listener    *link.Listener
	tcp         *link.TCPListener
}

// afterStart is later than this process has begun. A bubble begins in the year
// 2000. But quic-go counts time from the start of the process, and for what tries
// a path and is lost, it takes time 0 for one that is past.
var afterStart = time.Now().Add(time.Hour)

// inWorld runs f in a world of its own.
func inWorld(t *testing.T, f func(t *testing.T, w *world)) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(afterStart))
		ca := authority(t)
		w := &world{
			air:     &radio.Air{OneWay: 10 * time.Millisecond},
			hostTLS: config(t, ca, identity.Host, "edge-1"),
			ue:      config(t, ca, identity.UE, "headset"),
		}
		w.listen(t)
		f(t, w)
	})
}

func authority(t testing.TB) *identity.Authority {
	t.Helper()
	ca, err := identity.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func config(t testing.TB, ca *identity.Authority, role identity.Role, name string) *tls.Config {
	t.Helper()
	c, err := ca.TLS(role, name)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// listen begins to listen at hostAddr with w.hostTLS.
func (w *world) listen(t *testing.T) {
	t.Helper()
	l, err := link.Listen(w.air.Endpoint(hostAddr), w.hostTLS)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	w.listener = l
}

// restart ends the host's process and begins another one.
func (w *world) restart(t *testing.T, conf *tls.Config) {
	t.Helper()
	w.listener.Close()
	w.air.Leave(hostAddr)
	w.hostTLS = conf
	w.listen(t)
}

// dial connects from pc and returns both ends.
func (w *world) dial(t *testing.T, pc net.PacketConn) (ue, host *link.Conn) {
	t.Helper()
	accepted := make(chan *link.Conn, 1)
	go func() {
		c, err := w.listener.Accept(context.Background())
		if err != nil {
			t.Error(err)
		}
		accepted <- c
	}()
	ue, err := link.Dial(t.Context(), pc, hostAddr, w.ue)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ue.Close("") })
	return ue, <-accepted
}

// connect runs f with both ends of a connection, in virtual time.
func connect(t *testing.T, f func(t *testing.T, air *radio.Air, ue, host *link.Conn)) {
	inWorld(t, func(t *testing.T, w *world) {
		ue, host := w.dial(t, w.air.Endpoint(ueAddr))
		f(t, w.air, ue, host)
	})
}

// connectBoth runs f with both ends of a connection, over QUIC and over TCP.
func connectBoth(t *testing.T, f func(t *testing.T, air *radio.Air, ue, host *link.Conn)) {
	t.Run("quic", func(t *testing.T) { connect(t, f) })
	t.Run("tcp", func(t *testing.T) {
		inWorld(t, func(t *testing.T, w *world) {
			ue, host := w.dialTCP(t)
			f(t, w.air, ue, host)
		})
	})
}

func TestPeersKnowEachOther(t *testing.T) {
	connectBoth(t, func(t *testing.T, _ *radio.Air, ue, host *link.Conn) {
		if ue.Peer().Name != "edge-1" || host.Peer().Name != "headset" {
			t.Errorf("the UE sees %q, the host %q", ue.Peer(), host.Peer())
		}
		if host.RemoteAddr().String() != ueAddr.String() || ue.Err() != nil {
			t.Errorf("the UE is at %v, %v", host.RemoteAddr(), ue.Err())
		}
	})
}

func TestStream(t *testing.T) {
	connectBoth(t, func(t *testing.T, _ *radio.Air, ue, host *link.Conn) {
		st, err := ue.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		frame := make([]byte, 100_000) // as a video frame: more than one flight
		st.Write(frame)
		st.Close()
		in, err := host.Accept(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(in)
		if err != nil || len(got) != len(frame) {
			t.Errorf("%d bytes, %v; want %d", len(got), err, len(frame))
		}
	})
}

func TestCloseIsSeenByThePeer(t *testing.T) {
	connectBoth(t, func(t *testing.T, _ *radio.Air, ue, host *link.Conn) {
		host.Close("that was all")
		<-ue.Done()
		if err := ue.Err(); !errors.Is(err, link.ErrClosed) {
			t.Errorf("got %v, want ErrClosed", err)
		}
	})
}

func TestSilenceEndsTheConnection(t *testing.T) {
	connectBoth(t, func(t *testing.T, air *radio.Air, ue, _ *link.Conn) {
		air.Silence(true)
		begin := time.Now()
		<-ue.Done()
		if err := ue.Err(); !errors.Is(err, link.ErrNoAnswer) || time.Since(begin) > 10*time.Second {
			t.Errorf("%v after %v; want ErrNoAnswer within 10 s", err, time.Since(begin))
		}
	})
}

func TestIdleConnectionLives(t *testing.T) {
	connectBoth(t, func(t *testing.T, _ *radio.Air, ue, _ *link.Conn) {
		time.Sleep(time.Hour) // virtual
		if err := ue.Err(); err != nil {
			t.Errorf("an hour of nothing ended the connection: %v", err)
		}
	})
}
