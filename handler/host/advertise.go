package host

import (
	"net"
	"slices"

	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/wire"
)

// advertised returns the addresses at which UEs reach a host that listens at at: that one, or, where it is every
// address of the machine, as many of interfaces as a manager may be told, IPv4 first. Without a network it
// is the machine's own loopback.
func advertised(at net.Addr, interfaces []net.Addr) []string {
	udp, ok := at.(*net.UDPAddr)
	if !ok || !udp.IP.IsUnspecified() && len(udp.IP) > 0 {
		return []string{at.String()}
	}
	var ips []net.IP
	for _, a := range interfaces {
		if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() {
			ips = append(ips, n.IP)
		}
	}
	slices.SortStableFunc(ips, func(a, b net.IP) int { return len(a.To4())*-1 + len(b.To4()) })
	if len(ips) == 0 {
		ips = []net.IP{net.IPv4(127, 0, 0, 1)}
	}
	var all []string
	for _, ip := range ips[:min(len(ips), wire.MaxAddresses)] {
		all = append(all, (&net.UDPAddr{IP: ip, Port: udp.Port}).String())
	}
	return all
}

// listensAt takes note of the handler's first listener, and has the manager told of its address if the configuration
// says none.
func (m *managed) listensAt(l *link.Listener, at net.Addr) {
	m.first = l
	if udp, ok := at.(*net.UDPAddr); ok {
		m.at = *udp
	}
	if len(m.cfg.Advertise) == 0 {
		interfaces, _ := net.InterfaceAddrs()
		m.cfg.Advertise = advertised(at, interfaces)
	}
}
