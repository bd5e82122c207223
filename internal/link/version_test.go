package link_test

import (
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/quic-go/quic-go"

	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/wire"
)

const before, now = "bungee/1", "bungee/2"

// A UE meets a host of another version: it names both before the first frame.
func TestHostOfAnotherVersion(t *testing.T) {
	tests := []struct {
		name, host string // what it speaks
		named      string
	}{
		{"an earlier one", before, `the host speaks bungee/1`},
		{"one that nobody knows", "bungee/0", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.hostTLS.NextProtos = []string{tt.host}
				w.listener.Close()
				w.listen(t)
				_, err := link.Dial(t.Context(), w.ueSocket(), hostAddr, w.ue)
				if !errors.Is(err, link.ErrVersion) || !strings.Contains(err.Error(), tt.named) || !strings.Contains(err.Error(), now) {
					t.Errorf("got %v, want %v, with %s named, and %s", err, link.ErrVersion, now, tt.named)
				}
			})
		})
	}
}

// A host tells a UE of the version before which version is spoken here, and serves
// no stream of it.
func TestUEOfTheVersionBefore(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		const named = "this host speaks bungee/2, the UE speaks bungee/1"
		conf := w.ue.Clone()
		conf.NextProtos = []string{before}
		tr := quic.Transport{Conn: w.ueSocket()}
		defer tr.Close()
		ue, err := tr.Dial(t.Context(), hostAddr, conf, nil)
		if err == nil {
			_, err = ue.AcceptStream(t.Context())
		}
		if err == nil || !strings.Contains(err.Error(), named) {
			t.Errorf("the UE got %v, want it told that %s", err, named)
		}
		conn, err := w.listener.Accept(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.Err(); !errors.Is(err, link.ErrVersion) || !strings.Contains(err.Error(), named) {
			t.Errorf("the host has a connection that ended with %v, want %v: %s", err, link.ErrVersion, named)
		}
		if _, err := conn.Accept(t.Context()); err == nil {
			t.Error("the host was given a stream of a UE of another version")
		}
	})
}

func (w *world) ueSocket() net.PacketConn {
	return w.air.Endpoint(&net.UDPAddr{IP: ueAddr.IP, Port: 77})
}

// Who dials a manager and meets a host, or the reverse, learns it.
func TestManagerForHost(t *testing.T) {
	tests := []struct {
		name    string
		listens identity.Role
		dials   identity.Role
		manager bool // is what it looks for
		says    string
	}{
		{"a UE finds its manager", identity.Manager, identity.UE, true, ""},
		{"a host finds its manager", identity.Manager, identity.Host, true, ""},
		{"a UE finds its host", identity.Host, identity.UE, false, ""},
		{"a UE looks for a manager", identity.Host, identity.UE, true, "host/there, where a manager must be"},
		{"a host looks for a manager", identity.Host, identity.Host, true, "host/there, where a manager must be"},
		{"a UE looks for a host", identity.Manager, identity.UE, false, "manager/there, where a host must be"},
	}
	for _, tt := range tests {
		overBoth(t, tt.name, func(t *testing.T, over link.Transport) {
			inWorld(t, func(t *testing.T, w *world) {
				w.listener.Close()
				w.air.Leave(hostAddr)
				ca := authority(t)
				w.hostTLS, w.ue = config(t, ca, tt.listens, "there"), config(t, ca, tt.dials, "here")
				want := wire.ALPN
				if tt.manager {
					w.ue, want = identity.ForManager(w.ue), wire.ManagerALPN
				}
				l := w.listenOver(t, over, io.Discard)
				defer l.Close()
				c, err := dialOver(t, w, over, 1)
				if err == nil {
					defer c.Close("")
				}
				switch {
				case tt.says == "" && err != nil:
					t.Errorf("got %v", err)
				case tt.says == "" && c.Protocol() != want:
					t.Errorf("they speak %q, want %q", c.Protocol(), want)
				case tt.says != "" && (err == nil || !strings.Contains(err.Error(), tt.says)):
					t.Errorf("got %v, want it to say %q", err, tt.says)
				}
			})
		})
	}
}

// Even where certificates would do, a protocol that an end does not speak ends the connection.
func TestProtocolThatIsOnlyTold(t *testing.T) {
	overBoth(t, "host", func(t *testing.T, over link.Transport) {
		inWorld(t, func(t *testing.T, w *world) {
			w.listener.Close()
			w.air.Leave(hostAddr)
			w.hostTLS.VerifyConnection, w.ue.VerifyConnection = nil, nil
			w.ue.VerifyPeerCertificate = nil
			w.ue.NextProtos = []string{wire.ManagerALPN}
			l := w.listenOver(t, over, io.Discard)
			defer l.Close()
			if err := fate(t, w, over, 1); !errors.Is(err, link.ErrVersion) {
				t.Errorf("got %v, want %v", err, link.ErrVersion)
			}
		})
	})
}
