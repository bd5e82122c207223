package ue

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

// knownFor is how long an address that worked is tried first on its network.
const knownFor = 10 * time.Minute

// reached is what all handlers of this process remember: an application may end one and start
// another.
var reached networks

// Networks remembers, for each host and network, the address that worked last, and whether UDP
// did.
type networks struct {
	mu    sync.Mutex
	known map[string][]known // by the host's address as it is configured
}

// A known is an address that has worked.
type known struct {
	at      netip.AddrPort
	network netip.Prefix // of the UE then
	blocked bool         // over TCP: UDP did not work
	until   time.Time
}

// remember notes that the host was reached at an address from local, and whether UDP was blocked.
func (ns *networks) remember(host string, at netip.AddrPort, local netip.Addr, blocked bool) {
	if !local.IsValid() {
		return
	}
	ns.mu.Lock()
	defer ns.mu.Unlock()
	k := known{at, networkOf(local), blocked, time.Now().Add(knownFor)}
	kept := []known{k}
	for _, old := range ns.known[host] {
		if old.network != k.network && time.Now().Before(old.until) {
			kept = append(kept, old)
		}
	}
	if ns.known == nil {
		ns.known = map[string][]known{}
	}
	ns.known[host] = kept
}

// recall returns the address at which the host was reached from the network that the UE is
// on. local returns the UE's address on the way to another one, if it has one. The result is
// invalid if there is no such address.
func (ns *networks) recall(host string, local func(to netip.AddrPort) netip.Addr) netip.AddrPort {
	k, _ := ns.find(host, local)
	return k.at
}

// find returns what is known of the host on the network that the UE is on.
func (ns *networks) find(host string, local func(to netip.AddrPort) netip.Addr) (k known, ok bool) {
	ns.mu.Lock()
	all := ns.known[host]
	ns.mu.Unlock()
	for _, k := range all {
		if time.Now().Before(k.until) && networkOf(local(k.at)) == k.network {
			return k, true
		}
	}
	return known{}, false
}

// isBlocked says whether UDP was blocked when the host was last reached, at that address, from the
// network that the UE is on.
func (ns *networks) isBlocked(host string, at netip.AddrPort, local func(to netip.AddrPort) netip.Addr) bool {
	k, ok := ns.find(host, local)
	return ok && k.blocked && k.at == at
}

// networkOf returns the network that ip is on, as far as ip alone tells.
func networkOf(ip netip.Addr) netip.Prefix {
	bits := 24
	if ip.Is6() {
		bits = 64
	}
	p, _ := ip.WithZone("").Prefix(bits)
	return p
}

// sourceFor returns the address from which the kernel would send to an address: it looks into
// its routes and sends nothing. The result is invalid if there is no route.
func sourceFor(to netip.AddrPort) netip.Addr {
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		return netip.Addr{}
	}
	defer c.Close()
	return addrOf(c.LocalAddr())
}

// addrOf returns the IP address of a, invalid if it has none or a wildcard.
func addrOf(a net.Addr) netip.Addr {
	u, ok := a.(*net.UDPAddr)
	if !ok || u.IP.IsUnspecified() {
		return netip.Addr{}
	}
	return u.AddrPort().Addr().Unmap()
}
