package mdns

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// testLink is an interface that this machine has not.
var testLink = link{net.Interface{Name: "eth7", Index: 7}, []netip.Prefix{netip.MustParsePrefix("10.9.0.1/24"), netip.MustParsePrefix("fd00::1/64"), netip.MustParsePrefix("fe80::1/64")}}

// An answer is an address on the link that was asked, or nothing.
func TestAnswersAreAddressesOnTheLink(t *testing.T) {
	sender := netip.MustParseAddr("10.9.0.7")
	e := entry{instance: "m", host: "h", port: 4434}
	for _, tt := range []struct {
		why   string
		addrs string
		want  string
	}{
		{"both families, and link-local ones last, with their zone", "fe80::7 10.9.0.7 fd00::7", "10.9.0.7:4434 [fd00::7]:4434 [fe80::7%eth7]:4434"},
		{"none at all means the sender", "", "10.9.0.7:4434"},
		{"twice is once", "10.9.0.7 10.9.0.7", "10.9.0.7:4434"},
		{"elsewhere", "10.8.0.7 192.0.2.1 2001:db8::1", ""},
		{"the UE itself", "127.0.0.1 ::1", ""},
		{"everybody", "224.0.0.1 ff02::1 255.255.255.255 0.0.0.0 ::", ""},
		{"one elsewhere and one here", "192.0.2.1 10.9.0.9", "10.9.0.9:4434"},
		{"IPv4 as IPv6", "::ffff:10.9.0.7 ::ffff:192.0.2.1", "10.9.0.7:4434"},
		{"too many", "10.9.0.1 10.9.0.2 10.9.0.3 10.9.0.4 10.9.0.5 10.9.0.6", "10.9.0.1:4434 10.9.0.2:4434 10.9.0.3:4434 10.9.0.4:4434"},
	} {
		var addrs []netip.Addr
		for _, a := range strings.Fields(tt.addrs) {
			addrs = append(addrs, netip.MustParseAddr(a))
		}
		m, err := parse(packed(t, e, reply{addrs: addrs, ttl: 10}))
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(testLink.managers(m, sender), " "); got != tt.want {
			t.Errorf("%s: %q; want %q", tt.why, got, tt.want)
		}
	}
}

// What says goodbye, has no port, or is another service, is no manager.
func TestNotManagers(t *testing.T) {
	full := wireName("m", "_bungee-manager", "_udp", "local")
	host := wireName("h", "local")
	srv := func(port byte) []byte { return append([]byte{0, 0, 0, 0, 0, port}, host...) }
	here := rawRecord(host, typeA, 9, []byte{10, 9, 0, 7})
	for why, m := range map[string][]byte{
		"goodbye":                    rawResponse(0, rawRecord(serviceWire, typePTR, 0, full), rawRecord(full, typeSRV, 9, srv(9)), here),
		"goodbye of where":           rawResponse(0, rawRecord(serviceWire, typePTR, 9, full), rawRecord(full, typeSRV, 0, srv(9)), here),
		"no port":                    rawResponse(0, rawRecord(serviceWire, typePTR, 9, full), rawRecord(full, typeSRV, 9, srv(0)), here),
		"no SRV":                     rawResponse(0, rawRecord(serviceWire, typePTR, 9, full), here),
		"an SRV of another instance": rawResponse(0, rawRecord(serviceWire, typePTR, 9, full), rawRecord(host, typeSRV, 9, srv(9)), here),
		"another service":            rawResponse(0, rawRecord(wireName("_ipp", "_tcp", "local"), typePTR, 9, full), rawRecord(full, typeSRV, 9, srv(9)), here),
	} {
		parsed, err := parse(m)
		if err != nil {
			t.Fatalf("%s: %v", why, err)
		}
		if got := testLink.managers(parsed, at[0]); len(got) > 0 {
			t.Errorf("%s: %v", why, got)
		}
	}
}

// Whoever answers most is not alone in what a UE tries, and not always the first.
func TestManyAnswersOfOne(t *testing.T) {
	f := &findings{senders: map[netip.Addr][]string{}, first: make(chan struct{})}
	for i := range 1000 {
		f.add(at[0], []string{fmt.Sprintf("10.9.0.1:%d", 1+i)})
	}
	f.add(at[1], []string{"10.9.0.2:4434"})
	first := map[string]bool{}
	for range 100 {
		all := f.draw()
		if len(all) != MaxOfSender+1 || !slices.Contains(all[:2], "10.9.0.2:4434") {
			t.Fatalf("%v; want %d of the one, and the other among the first two", all, MaxOfSender)
		}
		first[all[0]] = true
	}
	if len(first) != 2 {
		t.Errorf("in 100 draws these were first: %v; want both", first)
	}
}

// Any number of senders holds a bounded number of addresses, and what several senders say is said once.
func TestManySenders(t *testing.T) {
	f := &findings{senders: map[netip.Addr][]string{}, first: make(chan struct{})}
	for i := range 10000 {
		f.add(netip.AddrFrom4([4]byte{10, 9, byte(i >> 8), byte(i)}), []string{"10.9.0.1:1", fmt.Sprintf("10.9.0.2:%d", 1+i)})
	}
	all := f.draw()
	if len(all) != maxSenders+1 {
		t.Errorf("%d addresses; want one that all name and one of each of %d senders", len(all), maxSenders)
	}
	slices.Sort(all)
	if len(slices.Compact(all)) != maxSenders+1 {
		t.Error("an address is there twice")
	}
}
