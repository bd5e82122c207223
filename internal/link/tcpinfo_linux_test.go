package link_test

import (
	"net"
	"testing"

	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/internal/link"
)

// The kernel tells both ends of a connection over TCP how its way is.
func TestMetricsOverTCP(t *testing.T) {
	ca := authority(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := link.ListenTCP(ln, config(t, ca, identity.Host, "edge"), nil)
	defer l.Close()
	raw, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	ue, err := link.DialTCP(t.Context(), raw, ln.Addr(), config(t, ca, identity.UE, "headset"))
	if err != nil {
		t.Fatal(err)
	}
	defer ue.Close("")
	host, err := l.Accept(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	go echo(host)
	sendAndReceive(t, ue, 200_000)
	for who, m := range map[string]link.Metrics{"UE": ue.Metrics(), "host": host.Metrics()} {
		if m.Transport != "tcp" || m.RTT == 0 || m.Window == 0 || m.PacketsSent == 0 || m.BytesSent < 200_000 || m.BytesReceived < 200_000 {
			t.Errorf("the %s has %+v", who, m)
		}
	}
	if got := ue.Metrics(); got.Local.String() != raw.LocalAddr().String() || got.Remote.String() != ln.Addr().String() {
		t.Errorf("from %v to %v", got.Local, got.Remote)
	}
}
