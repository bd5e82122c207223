package mdns

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/ipv4"

	"go.uber.org/goleak"
)

// announce runs an announcer until the test ends or end is called. It returns when it has begun on all interfaces.
func announce(t *testing.T, a Announcer, links int) (end func()) {
	t.Helper()
	begun := make(notes, 64)
	a.Logger = slog.New(begun)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	for range links {
		begun.await(t, "announced by mDNS")
	}
	return func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error("announce: ", err)
		}
	}
}

// notes are what a logger was told.
type notes chan string

func (n notes) Enabled(context.Context, slog.Level) bool { return true }
func (n notes) WithAttrs([]slog.Attr) slog.Handler       { return n }
func (n notes) WithGroup(string) slog.Handler            { return n }
func (n notes) Handle(_ context.Context, r slog.Record) error {
	n <- r.Message
	return nil
}

// await waits until something was said.
func (n notes) await(t *testing.T, what string) {
	t.Helper()
	late := time.After(20 * time.Second)
	for {
		select {
		case said := <-n:
			if said == what {
				return
			}
		case <-late:
			t.Fatalf("%q was not said", what)
		}
	}
}

// find browses until want is what is found, in any order: an interface may be a moment from being of use.
func find(t *testing.T, b Browser, want ...string) {
	t.Helper()
	var got []string
	var err error
	for range 20 {
		b.Wait = 500 * time.Millisecond
		got, err = b.Managers(t.Context())
		slices.Sort(got)
		if slices.Sort(want); slices.Equal(got, want) {
			return
		}
	}
	t.Errorf("%v, %v; want %v", got, err, want)
}

// A manager is found on each interface, at the addresses of that one, by IPv4 and at a link-local address of IPv6 with its interface.
func TestFoundOnTwoLinks(t *testing.T) {
	if !inSpace(t) {
		return
	}
	defer goleak.VerifyNone(t)
	twoLinks(t)
	end := announce(t, Announcer{Name: "m1", Addr: netip.MustParseAddrPort("[::]:4434")}, 2)
	a, b := []string{"10.9.1.1:4434", "[fe80::a:1%eth-a]:4434"}, []string{"10.9.2.1:4434", "[fe80::b:1%eth-b]:4434"}
	find(t, Browser{}, append(slices.Clone(a), b...)...)
	find(t, Browser{Interfaces: []string{"eth-b"}}, b...)
	end()
	if got, err := (Browser{Wait: 300 * time.Millisecond}).Managers(t.Context()); err == nil {
		t.Errorf("%v is found of a manager that has ended", got)
	} else if !strings.Contains(err.Error(), "eth-a") {
		t.Errorf("%v; want the interfaces", err)
	}
}

// Two managers are found, each once, also on one machine.
func TestTwoManagers(t *testing.T) {
	if !inSpace(t) {
		return
	}
	defer goleak.VerifyNone(t)
	twoLinks(t)
	defer announce(t, Announcer{Name: "m1", Addr: netip.MustParseAddrPort("10.9.1.1:4434")}, 1)()
	defer announce(t, Announcer{Name: "m1", Addr: netip.MustParseAddrPort("10.9.1.1:5544")}, 1)()
	find(t, Browser{}, "10.9.1.1:4434", "10.9.1.1:5544")
}

// An interface that goes while the manager runs is announced on no more, and one that comes is.
func TestInterfacesComeAndGo(t *testing.T) {
	if !inSpace(t) {
		return
	}
	defer goleak.VerifyNone(t)
	ip(t, "link set lo up")
	said := make(notes, 64)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- Announcer{Addr: netip.MustParseAddrPort("[::]:4434"), Logger: slog.New(said)}.Run(ctx)
	}()
	if _, err := (Browser{}).Managers(t.Context()); !errors.Is(err, errNoLink) {
		t.Errorf("without an interface: %v; want %v", err, errNoLink)
	}
	makeLink(t, "a", "1")
	said.await(t, "announced by mDNS")
	find(t, Browser{}, "10.9.1.1:4434", "[fe80::a:1%eth-a]:4434")
	ip(t, "link del eth-a")
	said.await(t, "no longer announced by mDNS")
	makeLink(t, "a", "3") // of the same name, with another address
	said.await(t, "announced by mDNS")
	find(t, Browser{}, "10.9.3.1:4434", "[fe80::a:1%eth-a]:4434")
	ip(t, "addr add 10.9.4.1/24 dev eth-a")
	find(t, Browser{}, "10.9.3.1:4434", "10.9.4.1:4434", "[fe80::a:1%eth-a]:4434")
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// An interface that goes while a UE asks ends no question on another one.
func TestInterfaceGoesWhileAsking(t *testing.T) {
	if !inSpace(t) {
		return
	}
	defer goleak.VerifyNone(t)
	twoLinks(t)
	gone := sync.OnceFunc(func() { exec.Command("ip", "link", "del", "eth-a").Run() })
	defer respondTo(t, "eth-a", func(message, netip.AddrPort) { gone() })()
	defer announce(t, Announcer{Addr: netip.MustParseAddrPort("10.9.2.1:4434")}, 1)()
	if got, err := (Browser{}).Managers(t.Context()); !slices.Contains(got, "10.9.2.1:4434") {
		t.Errorf("%v, %v; want the manager on eth-b", got, err)
	}
	if _, err := net.InterfaceByName("eth-a"); err == nil {
		t.Error("eth-a is there still")
	}
}

// respondTo calls answer for what is asked on an interface, as another responder of port 5353 does.
func respondTo(t *testing.T, on string, answer func(q message, to netip.AddrPort)) (end func()) {
	t.Helper()
	ifi, err := net.InterfaceByName(on)
	if err != nil {
		t.Fatal(err)
	}
	s, err := listen(ifi, false)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		b := make([]byte, maxPacket)
		for {
			n, _, from, err := s.read(b)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if m, err := parse(b[:n]); err == nil && !m.response {
				answer(m, from)
			}
		}
	}()
	return func() { s.conn.Close(); <-ended }
}

// Liars on the link: garbage, other ids, addresses elsewhere, and thousands of answers. The honest manager is found in time all the same.
func TestLiars(t *testing.T) {
	if !inSpace(t) {
		return
	}
	defer goleak.VerifyNone(t)
	ip(t, "link set lo up")
	makeLink(t, "a", "1")
	ip(t, "addr add 10.9.1.66/24 dev eth-a")
	evil := from(t, "10.9.1.66:5353")
	defer evil.Close()
	lie := entry{instance: "evil", host: "evil", port: 666}
	defer respondTo(t, "eth-a", func(q message, to netip.AddrPort) {
		reply := func(b []byte) { evil.WriteToUDPAddrPort(b, to) }
		for _, b := range [][]byte{
			nil, {1},
			must(lie.pack(replyOf(q.id+1, "10.9.1.66"))), // to another question
			must(lie.pack(replyOf(q.id, "192.0.2.1"))),   // somebody elsewhere
			rawResponse(q.id, rawRecord(serviceWire, typePTR, 10, []byte{0xc0, 12})),
		} {
			reply(b)
		}
		for i := range 5000 {
			lie.port = uint16(1000 + i)
			reply(must(lie.pack(replyOf(q.id, "10.9.1.66"))))
		}
	})()
	defer announce(t, Announcer{Addr: netip.MustParseAddrPort("10.9.1.1:4434")}, 1)()
	got, err := Browser{}.Managers(t.Context())
	if err != nil || len(got) > 2*MaxOfSender || !slices.Contains(got, "10.9.1.1:4434") {
		t.Errorf("%v, %v; want the honest one, and %d of the liar at most", got, err, MaxOfSender)
	}
	for _, a := range got {
		if !strings.HasPrefix(a, "10.9.1.") {
			t.Errorf("%s is told, which is not on the link", a)
		}
	}
	t.Logf("told: %v", got)
}

// from returns a socket at an address and a port that others have, too.
func from(t *testing.T, addr string) *net.UDPConn {
	t.Helper()
	shared := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
		return errors.Join(c.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1) }), err)
	}}
	pc, err := shared.ListenPacket(t.Context(), "udp4", addr)
	if err != nil {
		t.Fatal(err)
	}
	return pc.(*net.UDPConn)
}

func replyOf(id uint16, addr string) reply {
	return reply{addrs: []netip.Addr{netip.MustParseAddr(addr)}, ttl: aloneTTL, id: id}
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

// Browsers of this machine that have a cache, such as Avahi, are told what comes, answered together, and told what goes.
func TestAnnouncements(t *testing.T) {
	if !inSpace(t) {
		return
	}
	defer goleak.VerifyNone(t)
	ip(t, "link set lo up")
	makeLink(t, "a", "1")
	ifi, err := net.InterfaceByName("eth-a")
	if err != nil {
		t.Fatal(err)
	}
	s, err := listen(ifi, false)
	if err != nil {
		t.Fatal(err)
	}
	defer s.conn.Close()
	heard := func() (message, netip.AddrPort) { // the next response
		s.conn.SetReadDeadline(time.Now().Add(20 * time.Second))
		for b := make([]byte, maxPacket); ; {
			n, _, from, err := s.read(b)
			if err != nil {
				t.Fatal("nothing is heard: ", err)
			}
			if m, err := parse(b[:n]); err == nil && m.response {
				return m, from
			}
		}
	}
	end := announce(t, Announcer{Name: "m1", Addr: netip.MustParseAddrPort("10.9.1.1:4434")}, 1)
	for range announced {
		if m, from := heard(); m.records[0].ttl != ttl || m.id != 0 || from.String() != "10.9.1.1:5353" {
			t.Errorf("%+v from %v; want an announcement from port 5353", m, from)
		}
	}
	if err := s.tell(must(query(0)), ifi); err != nil {
		t.Fatal(err)
	}
	if m, _ := heard(); m.records[0].ttl != ttl || m.id != 0 || len(m.questions) != 0 {
		t.Errorf("%+v; want an answer to all", m)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); end() }() // says goodbye
	m, _ := heard()
	for _, r := range m.records {
		if r.ttl != 0 {
			t.Errorf("%+v; want a goodbye", r)
		}
	}
	<-ended
}

// Without any other network a manager is found over the loopback, where it is asked for by name.
func TestLoopback(t *testing.T) {
	ifi, err := net.InterfaceByName("lo")
	if err != nil {
		t.Skip("there is no interface lo; where there is: go test ./handler/ue/discover/mdns -run " + t.Name())
	}
	if err := reachable(ifi); err != nil {
		t.Skipf("no multicast on lo (%v): ip link set lo up, then go test ./handler/ue/discover/mdns -run %s", err, t.Name())
	}
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	defer announce(t, Announcer{Addr: netip.MustParseAddrPort("127.0.0.1:4434"), Interfaces: []string{"lo"}}, 1)()
	got, err := Browser{Interfaces: []string{"lo"}}.Managers(t.Context())
	if !slices.Contains(got, "127.0.0.1:4434") {
		t.Errorf("%v, %v; want 127.0.0.1:4434", got, err)
	}
}

// reachable says whether a packet to the group comes back on an interface.
func reachable(ifi *net.Interface) error {
	s, err := listen(ifi, false)
	if err != nil {
		return err
	}
	defer s.conn.Close()
	out, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return err
	}
	defer out.Close()
	if err := ipv4.NewPacketConn(out).SetMulticastInterface(ifi); err != nil {
		return err
	}
	if _, err := out.WriteToUDPAddrPort(must(query(0)), netip.AddrPortFrom(group4, port)); err != nil {
		return err
	}
	s.conn.SetReadDeadline(time.Now().Add(2 * time.Second))
	_, _, _, err = s.read(make([]byte, maxPacket))
	return err
}

// Managers ends with its context, whose cause it returns.
func TestAskEnds(t *testing.T) {
	if !inSpace(t) {
		return
	}
	defer goleak.VerifyNone(t)
	ip(t, "link set lo up")
	makeLink(t, "a", "1")
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	defer respondTo(t, "eth-a", func(message, netip.AddrPort) { cancel(cause) })()
	if got, err := (Browser{Wait: time.Hour}).Managers(ctx); !errors.Is(err, cause) {
		t.Errorf("%v, %v; want the cause", got, err)
	}
	if _, err := (Browser{Interfaces: []string{"eth-z"}}).Managers(t.Context()); err == nil || !strings.Contains(err.Error(), "eth-z") {
		t.Errorf("no such interface: %v; want its name", err)
	}
}
