package link

import (
	"net"
	"testing"

	"github.com/quic-go/quic-go"
)

// One address has only so many handshakes under way, if it is known to be its own: a forged one takes nothing
// from whom it belongs to.
func TestYoungOfOneAddress(t *testing.T) {
	var y young
	from := func(ip string, verified bool) *quic.ClientInfo {
		return &quic.ClientInfo{RemoteAddr: &net.UDPAddr{IP: net.ParseIP(ip), Port: 7}, AddrVerified: verified}
	}
	var all []func()
	enter := func(info *quic.ClientInfo) bool {
		known, ok := y.enter(info)
		if ok {
			all = append(all, known)
		}
		return ok
	}
	for i := range 2 * maxYoungVerified {
		if !enter(from("192.0.2.1", false)) {
			t.Fatalf("handshake %d of an address that may be forged is refused", i)
		}
	}
	for i := range maxYoungVerified {
		if !enter(from("192.0.2.1", true)) {
			t.Fatalf("handshake %d of a verified address is refused", i)
		}
	}
	for _, tt := range []struct {
		ip   string
		want bool
		why  string
	}{
		{"192.0.2.1", false, "it has all that it may"},
		{"::ffff:192.0.2.1", false, "it is the same address"},
		{"192.0.2.2", true, "another host"},
		{"2001:db8::1", true, "another host"},
	} {
		if got := enter(from(tt.ip, true)); got != tt.want {
			t.Errorf("one more of %s: %t, want %t: %s", tt.ip, got, tt.want, tt.why)
		}
	}
	for i := range maxYoungVerified {
		ip := net.ParseIP("2001:db8::").To16()
		ip[15], ip[14] = byte(i), byte(i>>8)
		enter(from(ip.String(), true))
	}
	if enter(from("2001:db8::ffff", true)) {
		t.Error("a host has a /64 of addresses, and they count as one")
	}
	for _, known := range all {
		known()
		known()
	}
	if len(y.each) != 0 {
		t.Errorf("%v left when all are known", y.each)
	}
}
