package link_test

import (
	"context"
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

// connect runs f with both ends of a connection, in virtual time.
func connect(t *testing.T, f func(t *testing.T, air *radio.Air, ue, host *link.Conn)) {
	synctest.Test(t, func(t *testing.T) {
		ca, err := identity.NewAuthority()
		if err != nil {
			t.Fatal(err)
		}
		hostTLS, err := ca.TLS(identity.Host, "edge-1")
		if err != nil {
			t.Fatal(err)
		}
		ueTLS, err := ca.TLS(identity.UE, "headset")
		if err != nil {
			t.Fatal(err)
		}
		air := &radio.Air{OneWay: 10 * time.Millisecond}
		l, err := link.Listen(air.Endpoint(hostAddr), hostTLS)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		accepted := make(chan *link.Conn, 1)
		go func() {
			c, err := l.Accept(context.Background())
			if err != nil {
				t.Error(err)
			}
			accepted <- c
		}()
		ue, err := link.Dial(t.Context(), air.Endpoint(ueAddr), hostAddr, ueTLS)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ue.Close("") })
		f(t, air, ue, <-accepted)
	})
}

func TestPeersKnowEachOther(t *testing.T) {
	connect(t, func(t *testing.T, _ *radio.Air, ue, host *link.Conn) {
		if ue.Peer() != "edge-1" || host.Peer() != "headset" {
			t.Errorf("the UE sees %q, the host %q", ue.Peer(), host.Peer())
		}
		if host.RemoteAddr().String() != ueAddr.String() || ue.Err() != nil {
			t.Errorf("the UE is at %v, %v", host.RemoteAddr(), ue.Err())
		}
	})
}

func TestStream(t *testing.T) {
	connect(t, func(t *testing.T, _ *radio.Air, ue, host *link.Conn) {
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
	connect(t, func(t *testing.T, _ *radio.Air, ue, host *link.Conn) {
		host.Close("that was all")
		<-ue.Done()
		if err := ue.Err(); !errors.Is(err, link.ErrClosed) {
			t.Errorf("got %v, want ErrClosed", err)
		}
	})
}

func TestSilenceEndsTheConnection(t *testing.T) {
	connect(t, func(t *testing.T, air *radio.Air, ue, _ *link.Conn) {
		air.Silence(true)
		begin := time.Now()
		<-ue.Done()
		if err := ue.Err(); !errors.Is(err, link.ErrNoAnswer) || time.Since(begin) > 10*time.Second {
			t.Errorf("%v after %v; want ErrNoAnswer within 10 s", err, time.Since(begin))
		}
	})
}

func TestIdleConnectionLives(t *testing.T) {
	connect(t, func(t *testing.T, _ *radio.Air, ue, _ *link.Conn) {
		time.Sleep(time.Hour) // virtual
		if err := ue.Err(); err != nil {
			t.Errorf("an hour of nothing ended the connection: %v", err)
		}
	})
}
