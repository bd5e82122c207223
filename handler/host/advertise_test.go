package host

import (
	"net"
	"slices"
	"testing"
)

func TestAdvertised(t *testing.T) {
	ip := func(s string) net.Addr { return &net.IPNet{IP: net.ParseIP(s)} }
	tests := []struct {
		name       string
		at         net.Addr
		interfaces []net.Addr
		want       []string
	}{
		{"one address", &net.UDPAddr{IP: net.IPv4(10, 0, 0, 2), Port: 7}, []net.Addr{ip("10.1.1.1")}, []string{"10.0.0.2:7"}},
		{"all", &net.UDPAddr{IP: net.IPv6zero, Port: 7}, []net.Addr{ip("127.0.0.1"), ip("fd00::2"), ip("fe80::1"), ip("192.168.1.5")}, []string{"192.168.1.5:7", "[fd00::2]:7"}},
		{"all, without an IP", &net.UDPAddr{Port: 7}, []net.Addr{ip("10.0.0.2")}, []string{"10.0.0.2:7"}},
		{"too many", &net.UDPAddr{Port: 7}, []net.Addr{ip("10.0.0.1"), ip("10.0.0.2"), ip("10.0.0.3"), ip("10.0.0.4"), ip("10.0.0.5")},
			[]string{"10.0.0.1:7", "10.0.0.2:7", "10.0.0.3:7", "10.0.0.4:7"}},
		{"no network", &net.UDPAddr{Port: 7}, []net.Addr{ip("127.0.0.1")}, []string{"127.0.0.1:7"}},
	}
	for _, tt := range tests {
		if got := advertised(tt.at, tt.interfaces); !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}
