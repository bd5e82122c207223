package link_test

import (
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/quic-go/quic-go"

	"github.com/bungee-xr/bungee/internal/link"
)

const before, now = "bungee/1", "bungee/2"

// A UE meets a host of another version: it names both before the first frame.
func TestHostOfAnotherVersion(t *testing.T) {
	tests := []struct {
		name, host string // what it speaks
		named      string
	}{
		{"an earlier one", before, `the host speaks "bungee/1"`},
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
