package mdns

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
)

const (
	maxLinks = 32 // interfaces that are used: more are those of containers
	maxAddrs = 8  // of an interface
	port     = 5353
)

var (
	group4 = netip.MustParseAddr("224.0.0.251")
	group6 = netip.MustParseAddr("ff02::fb")
)

// A link is an interface and its networks, each with the interface's own address in it.
type link struct {
	ifi  net.Interface
	nets []netip.Prefix
}

// linksOf returns the interfaces of those names, or all that can multicast; only those that are up and have an address.
func linksOf(names []string) (all []link, err error) {
	ifis, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("look at the network interfaces: %w", err)
	}
	for _, ifi := range ifis {
		wanted := slices.Contains(names, ifi.Name)
		if len(names) == 0 {
			wanted = ifi.Flags&net.FlagMulticast != 0 && ifi.Flags&net.FlagLoopback == 0
		}
		if !wanted || ifi.Flags&net.FlagUp == 0 || len(all) == maxLinks {
			continue
		}
		if l := (link{ifi, networks(ifi)}); len(l.nets) > 0 {
			all = append(all, l)
		}
	}
	return all, nil
}

// networks returns those of an interface, IPv4 first and link-local ones last; none if it has just gone.
func networks(ifi net.Interface) (all []netip.Prefix) {
	addrs, _ := ifi.Addrs()
	for _, a := range addrs {
		p, err := netip.ParsePrefix(a.String())
		if err == nil && len(all) < maxAddrs {
			all = append(all, p)
		}
	}
	slices.SortStableFunc(all, func(a, b netip.Prefix) int { return cmp.Compare(rank(a.Addr()), rank(b.Addr())) })
	return all
}

// rank says which of the addresses of a machine is tried first.
func rank(a netip.Addr) int {
	switch {
	case a.IsLinkLocalUnicast():
		return 2
	case a.Is6():
		return 1
	}
	return 0
}

// has says whether a is an address on one of the link's networks that a packet can go to.
func (l link) has(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	if !a.IsValid() || a.IsUnspecified() || a.IsMulticast() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		return false
	}
	return slices.ContainsFunc(l.nets, func(p netip.Prefix) bool { return p.Contains(a) })
}

// zoned returns a as it is reached from here: a link-local address of IPv6 with the interface that it is on.
func (l link) zoned(a netip.Addr) netip.Addr {
	if a = a.Unmap(); a.Is6() && a.IsLinkLocalUnicast() {
		return a.WithZone(l.ifi.Name)
	}
	return a
}

// local returns an address of the link to send from: for IPv6 a link-local one, as the group is; invalid if there is none.
func (l link) local(six bool) netip.Addr {
	for _, p := range l.nets {
		if a := p.Addr(); a.Is6() == six && (!six || a.IsLinkLocalUnicast() || a.IsLoopback()) {
			return l.zoned(a)
		}
	}
	return netip.Addr{}
}

var errNoLink = errors.New("no network interface is up, has an address and can multicast")
