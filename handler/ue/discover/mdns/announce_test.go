package mdns

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// A manager's name may be anything; what is announced is a label that everybody reads.
func TestLabel(t *testing.T) {
	for s, want := range map[string]string{"m1": "m1", "a.b c": "a-b-c", "Küche": "K-che", strings.Repeat("x", 99): strings.Repeat("x", maxInstance), "\xff": "-"} {
		if got := label(s); got != want {
			t.Errorf("label(%q) = %q; want %q", s, got, want)
		}
	}
}

// What is asked for of us is answered, in any case of letters, and nothing else.
func TestConcerns(t *testing.T) {
	e := entry{instance: "m1", host: "h", port: 1}
	for _, tt := range []struct {
		q    question
		want bool
	}{
		{question{name: named("_Bungee-Manager", "_UDP", "local"), kind: typePTR}, true},
		{question{name: service, kind: typeAny}, true},
		{question{name: service, kind: typeA}, false},
		{question{name: services, kind: typePTR}, true},
		{question{name: e.instanceName(), kind: typeSRV}, true},
		{question{name: e.instanceName(), kind: typeTXT}, true},
		{question{name: e.hostName(), kind: typeAAAA}, true},
		{question{name: e.hostName(), kind: typeSRV}, false},
		{question{name: named("m2", "_bungee-manager", "_udp", "local"), kind: typeAny}, false},
		{question{name: "", kind: typeAny}, false},
	} {
		if got := e.concerns(tt.q); got != tt.want {
			t.Errorf("%q, type %d: %v; want %v", tt.q.name, tt.q.kind, got, tt.want)
		}
	}
}

// Who knows already is not answered.
func TestKnownAnswers(t *testing.T) {
	e := entry{instance: "m1", host: "h", port: 1}
	for seconds, want := range map[uint32]bool{ttl: true, ttl / 2: true, ttl/2 - 1: false, 0: false} {
		m, err := parse(packed(t, e, reply{ttl: seconds}))
		if got := e.known(m); err != nil || got != want {
			t.Errorf("known for %d s more: %v, %v; want %v", seconds, got, err, want)
		}
	}
}

// All on a link are answered once a second, and each alone 200 times a second: a flood of questions is no flood of answers.
func TestAnswersAreBounded(t *testing.T) {
	n := &announcer{}
	p := &place{}
	now := time.Unix(1000, 0)
	count := func(alone bool, now time.Time) (all int) {
		for range 10000 {
			if n.may(p, alone, now) {
				all++
			}
		}
		return all
	}
	for range 3 {
		if all, alone := count(false, now), count(true, now); all != 1 || alone != maxAnswers {
			t.Errorf("%d to all and %d alone in a second; want 1 and %d", all, alone, maxAnswers)
		}
		now = now.Add(time.Second)
	}
}

// Only a link that the manager listens on is announced on, with the addresses that it listens at.
func TestAnnouncedAddresses(t *testing.T) {
	for listen, want := range map[string]string{
		"0.0.0.0:1":   "10.9.0.1",
		"[::]:1":      "10.9.0.1 fd00::1 fe80::1",
		"10.9.0.1:1":  "10.9.0.1",
		"10.9.0.2:1":  "",
		"[fd00::1]:1": "fd00::1",
	} {
		n := &announcer{Announcer: Announcer{Addr: netip.MustParseAddrPort(listen)}}
		var got []string
		for _, a := range n.announces(testLink) {
			got = append(got, a.String())
		}
		if strings.Join(got, " ") != want {
			t.Errorf("a manager at %s is announced at %q; want %q", listen, got, want)
		}
	}
}

// A question counts if its sender is on the network of the interface that it came by: others would have us send elsewhere.
func TestQuestionsFromElsewhere(t *testing.T) {
	two := link{testLink.ifi, []netip.Prefix{netip.MustParsePrefix("10.10.0.1/24"), netip.MustParsePrefix("fe80::2/64")}}
	two.ifi.Name, two.ifi.Index = "eth8", 8
	n := &announcer{links: map[int]*place{7: {link: testLink}, 8: {link: two}}}
	for _, tt := range []struct {
		index  int
		sender string
		want   string
	}{
		{7, "10.9.0.5", "eth7"},
		{8, "10.10.0.5", "eth8"},
		{8, "10.9.0.5", ""},
		{7, "192.0.2.1", ""},
		{9, "10.9.0.5", ""},
		{0, "10.10.0.5", "eth8"},
		{0, "fe80::9%eth8", "eth8"},
		{0, "fe80::9%eth9", ""},
		{0, "192.0.2.1", ""},
	} {
		got := ""
		if p := n.from(tt.index, netip.MustParseAddr(tt.sender)); p != nil {
			got = p.ifi.Name
		}
		if got != tt.want {
			t.Errorf("from %s by interface %d: link %q; want %q", tt.sender, tt.index, got, tt.want)
		}
	}
}

// An Announcer without an address says so.
func TestAnnounceNothing(t *testing.T) {
	for _, a := range []netip.AddrPort{{}, netip.MustParseAddrPort("0.0.0.0:0")} {
		if err := (Announcer{Addr: a}).Run(t.Context()); err == nil {
			t.Errorf("%v is announced", a)
		}
	}
}

// A socket that can be read from no more is given up, so that the next look opens another one.
func TestBrokenSocket(t *testing.T) {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	s := &socket{conn: conn, read: func([]byte) (int, int, netip.AddrPort, error) {
		return 0, 0, netip.AddrPort{}, errors.New("network is down")
	}}
	p := &place{joined: [2]bool{true, true}}
	n := &announcer{sockets: [2]*socket{s, nil}, links: map[int]*place{7: p}}
	n.hear(s)
	if n.sockets[0] != nil || p.joined != [2]bool{false, true} {
		t.Errorf("sockets %v, groups joined %v; want none of IPv4", n.sockets, p.joined)
	}
	if _, err := conn.WriteTo(nil, conn.LocalAddr()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the socket is open: %v", err)
	}
}
