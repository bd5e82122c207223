package host_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bungee-xr/bungee/handler/host"
	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/radio"
	"github.com/bungee-xr/bungee/internal/wire"
)

// A UE gives a request up, or goes, at any moment. That is everyday and no warning.
func TestGivenUpRequestsAreNoWarnings(t *testing.T) {
	hello := wire.AppendControl(nil, wire.TypeHello, wire.Hello{Name: "ue", Session: 7})
	put := wire.AppendControl(nil, wire.TypePut, wire.Put{Size: 1000})
	have := wire.AppendControl(nil, wire.TypeHave, wire.Have{})
	call := wire.AppendCall(nil, wire.Call{Size: 1000})
	var log records
	serve(t, host.Config{Logger: slog.New(&log)}, []string{"ue", "ue"}, func(t *testing.T, _ *host.Handler, conns []*link.Conn) {
		for _, request := range [][]byte{hello, put, have, call} {
			for _, n := range []int{1, 3, len(request) - 1, len(request)} {
				st, err := conns[0].Open(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				st.Write(request[:n])
				time.Sleep(3 * time.Millisecond) // it is there
				st.Reset()
				synctest.Wait()
			}
			st, err := conns[1].Open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			st.Write(request[:3])
		}
		time.Sleep(3 * time.Millisecond)
		conns[1].Close("")
		time.Sleep(time.Second)
	})
	for _, r := range log.all() {
		if r.Level >= slog.LevelWarn {
			attrs := ""
			r.Attrs(func(a slog.Attr) bool { attrs += " " + a.String(); return true })
			t.Errorf("%s%s", r.Message, attrs)
		}
	}
}

// A host whose certificate has expired does not start; one whose certificate is about to
// says so each day.
func TestCertificateDates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca, err := identity.NewAuthority()
		if err != nil {
			t.Fatal(err)
		}
		conf, err := ca.TLS(identity.Host, "host")
		if err != nil {
			t.Fatal(err)
		}
		const day = 24 * time.Hour
		var log records
		time.Sleep(330*day + time.Hour)
		h, err := host.New(host.Config{Engine: echoEngine, TLS: conf, Logger: slog.New(&log)})
		if err != nil {
			t.Fatal(err)
		}
		served := make(chan error, 1)
		go func() {
			served <- h.Serve(context.Background(), (&radio.Air{}).Endpoint(&net.UDPAddr{IP: net.IPv4(10, 0, 0, 2), Port: 1}))
		}()
		time.Sleep(10*day + time.Hour) // 25 days before the end
		warned := 0
		for _, r := range log.all() {
			if r.Level == slog.LevelWarn {
				warned++
			}
		}
		if warned != 6 {
			t.Errorf("%d warnings in 10 days, the last 6 near the end; want one a day", warned)
		}
		if err := errors.Join(h.Close(), <-served); err != nil {
			t.Error(err)
		}
		time.Sleep(30 * day)
		if _, err := host.New(host.Config{Engine: echoEngine, TLS: conf}); !errors.Is(err, identity.ErrExpired) {
			t.Errorf("a host with an expired certificate: %v, want %v", err, identity.ErrExpired)
		}
	})
}

// A tenant's network is the sum of its connections', also of those that have ended.
func TestTenantsNetwork(t *testing.T) {
	call := wire.AppendCall(nil, wire.Call{}) // makes a session
	serve(t, host.Config{}, []string{"ue", "ue"}, func(t *testing.T, h *host.Handler, conns []*link.Conn) {
		for _, c := range conns {
			ask(t, c, call, true)
		}
		stats := h.Tenants()
		if len(stats) != 1 {
			t.Fatalf("%d tenants", len(stats))
		}
		both := stats[0].Network
		if both.Connections != 2 || both.PacketsLost != 0 || both.BytesSent == 0 || both.Delivered != both.BytesSent || both.BytesReceived == 0 {
			t.Errorf("%+v", both)
		}
		measured := conns[0].Metrics().Transport == "quic" // of a connection over TCP the kernel knows
		if measured && (both.RTT < 2*time.Millisecond || both.RTT > 20*time.Millisecond || both.PacketsSent == 0) {
			t.Errorf("%+v", both)
		}
		conns[1].Close("")
		time.Sleep(time.Second)
		one := h.Tenants()[0].Network
		if one.Connections != 1 || one.BytesSent < both.BytesSent || one.BytesReceived < both.BytesReceived {
			t.Errorf("after the end of a connection: %+v, before %+v", one, both)
		}
	})
}
