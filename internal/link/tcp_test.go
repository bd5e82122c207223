package link_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/radio"
)

func tcpAddr(a *net.UDPAddr) *net.TCPAddr { return &net.TCPAddr{IP: a.IP, Port: a.Port} }

// listenTCP begins to listen for streams at hostAddr with w.hostTLS.
func (w *world) listenTCP(t *testing.T) {
	t.Helper()
	w.tcp = link.ListenTCP(w.air.Listen(tcpAddr(hostAddr)), w.hostTLS, nil)
	t.Cleanup(func() { w.tcp.Close() })
}

// stream returns a stream to the host.
func (w *world) stream(t *testing.T) net.Conn {
	t.Helper()
	c, err := w.air.Dial(t.Context(), tcpAddr(ueAddr), tcpAddr(hostAddr))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// dialTCP connects over TCP and returns both ends.
func (w *world) dialTCP(t *testing.T) (ue, host *link.Conn) {
	t.Helper()
	w.listenTCP(t)
	ue, err := link.DialTCP(t.Context(), w.stream(t), hostAddr, w.ue)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ue.Close("") })
	if host, err = w.tcp.Accept(t.Context()); err != nil {
		t.Fatal(err)
	}
	return ue, host
}

// connectTCP runs f with both ends of a connection over TCP, in virtual time.
func connectTCP(t *testing.T, f func(t *testing.T, air *radio.Air, ue, host *link.Conn)) {
	inWorld(t, func(t *testing.T, w *world) {
		ue, host := w.dialTCP(t)
		f(t, w.air, ue, host)
	})
}

// What only QUIC has has a plain answer over TCP.
func TestWhatTCPLacks(t *testing.T) {
	connectTCP(t, func(t *testing.T, air *radio.Air, ue, host *link.Conn) {
		if err := ue.SwitchPath(t.Context(), air.Endpoint(ueAddr)); err == nil || !strings.Contains(err.Error(), "TCP") {
			t.Errorf("SwitchPath: %v, want an error that names TCP", err)
		}
		select {
		case <-ue.Confirmed():
		default:
			t.Error("not confirmed after the handshake")
		}
		if ue.Resumed() || ue.Stale() {
			t.Error("resumed, or stale")
		}
		sent := make(chan error, 1)
		go func() {
			sent <- ue.Early(t.Context(), func(st link.Stream) error {
				st.SetPriority(1, true)
				_, err := st.Write([]byte{1})
				return err
			})
		}()
		if _, err := host.Accept(t.Context()); err != nil || <-sent != nil {
			t.Errorf("Early: %v", err)
		}
		if _, err := host.Open(t.Context()); err == nil {
			t.Error("the host opened a stream")
		}
	})
}

// The end of a process is seen a one-way delay later.
func TestTCPPeerIsGone(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ue, _ := w.dialTCP(t)
		st, err := ue.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		w.tcp.Close()
		_, err = st.Read(make([]byte, 1))
		if took := time.Since(begin); !errors.Is(err, link.ErrGone) || err == io.EOF || took != 10*time.Millisecond {
			t.Errorf("a read ended with %v after %v, want ErrGone after 10ms", err, took)
		}
		<-ue.Done()
		if err := ue.Err(); !errors.Is(err, link.ErrGone) {
			t.Errorf("the connection ended with %v, want ErrGone", err)
		}
		if _, err := ue.Open(t.Context()); !errors.Is(err, link.ErrGone) {
			t.Errorf("Open afterwards: %v, want ErrGone", err)
		}
	})
}

// What a dial meets, and what the error says.
func TestDialTCPErrors(t *testing.T) {
	tests := []struct {
		name string
		host func(t *testing.T, w *world, c net.Conn) // what is there; nil: an edge host
		conf func(t *testing.T, w *world)
		want error
		text string
	}{
		{name: "a UE of another authority", conf: func(t *testing.T, w *world) {
			w.ue = config(t, authority(t), identity.UE, "headset")
		}, want: link.ErrIdentity},
		{name: "a host that speaks only versions that nobody knows", conf: func(t *testing.T, w *world) {
			w.hostTLS.NextProtos = []string{"bungee/0"}
		}, want: link.ErrVersion},
		{name: "a host of the version before", conf: func(t *testing.T, w *world) {
			w.hostTLS.NextProtos = []string{before}
		}, want: link.ErrVersion, text: before},
		{name: "a captive portal", host: func(t *testing.T, w *world, c net.Conn) {
			c.Read(make([]byte, 1))
			io.WriteString(c, "HTTP/1.1 302 Found\r\nLocation: http://portal/\r\n\r\n")
		}, want: link.ErrNoAnswer, text: "HTTP"},
		{name: "TLS that is not ours", host: func(t *testing.T, w *world, c net.Conn) {
			conf := config(t, authority(t), identity.Host, "web")
			conf.ClientAuth, conf.NextProtos = tls.NoClientCert, nil
			tls.Server(c, conf).Handshake()
		}, want: link.ErrIdentity},
		{name: "one that says nothing", host: func(t *testing.T, w *world, c net.Conn) {
			io.Copy(io.Discard, c)
		}, want: link.ErrNoAnswer, text: "3s"},
		{name: "one that ends", host: func(t *testing.T, w *world, c net.Conn) {
			c.Read(make([]byte, 1))
		}, want: link.ErrGone},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				if tt.conf != nil {
					tt.conf(t, w)
				}
				if tt.host == nil {
					w.listenTCP(t)
				} else {
					l := w.air.Listen(tcpAddr(hostAddr))
					var there sync.WaitGroup
					there.Go(func() {
						if c, err := l.Accept(); err == nil {
							tt.host(t, w, c)
							c.Close()
						}
					})
					defer there.Wait()
					defer l.Close()
				}
				ue, err := link.DialTCP(t.Context(), w.stream(t), hostAddr, w.ue)
				if err == nil { // a host refuses a UE's certificate only after the UE's handshake
					<-ue.Done()
					err = ue.Err()
				}
				if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) {
					t.Errorf("got %v, want %v that names %q", err, tt.want, tt.text)
				}
				t.Log(err)
			})
		})
	}
}

// The end of ctx ends a dial.
func TestDialTCPIsGivenUp(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.listenTCP(t)
		c := w.stream(t)
		w.air.Silence(true)
		enough := errors.New("enough")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, enough)
		defer cancel()
		if _, err := link.DialTCP(ctx, c, hostAddr, w.ue); !errors.Is(err, enough) {
			t.Errorf("got %v, want the cause of ctx", err)
		}
	})
}

// A host tells a UE of another version so, and Accept says it, too.
func TestTCPUEOfTheVersionBefore(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.listenTCP(t)
		conf := w.ue.Clone()
		conf.NextProtos = []string{before}
		c := tls.Client(w.stream(t), conf)
		if err := c.Handshake(); err != nil {
			t.Fatal(err)
		}
		host, err := w.tcp.Accept(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := host.Err(); !errors.Is(err, link.ErrVersion) || !strings.Contains(err.Error(), before) {
			t.Errorf("the host has a connection that ended with %v, want %v", err, link.ErrVersion)
		}
		if b, err := io.ReadAll(c); len(b) < 12 || string(b[len(b)-4:]) != "\x00\x00\x01\x01" {
			t.Errorf("the UE read %x, %v; want the goodbye with code 0x101", b, err)
		}
		c.NetConn().Close()
	})
}
