package bench

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
)

// A router is the network of one UE and one edge host, each in a namespace, with a namespace
// between them that forwards, as a home's or an operator's router does:
//
//	UE eth0 -- ue0 router host0 -- eth0 host
//
// The names are always the same, so that what a run left behind can be taken away: one
// benchmark of networks at a time has them.
type router struct{}

// The namespaces. Addresses are of ranges for benchmarks (RFC 2544, RFC 5180).
const (
	ueSpace, midSpace, hostSpace = "bungee-ue", "bungee-router", "bungee-host"

	ueNet, hostNet   = "198.18.90.", "198.18.91."
	ueNet6, hostNet6 = "2001:2:0:90::", "2001:2:0:91::"
)

// newRouter makes the namespaces. It needs Linux, root, iproute2 and nftables.
func newRouter() (*router, error) {
	r := &router{}
	if err := errors.Join(r.end(), r.make()); err != nil {
		r.end() // of what there is, as much as there is
		return nil, fmt.Errorf(`no network can be made here (%w); as root on Linux, with iproute2 and nftables, "bungee-lab bench networks" does it`, err)
	}
	return r, nil
}

func (r *router) make() error {
	for _, args := range []string{
		"netns add " + ueSpace, "netns add " + midSpace, "netns add " + hostSpace,
		"link add eth0 netns " + ueSpace + " type veth peer name ue0 netns " + midSpace,
		"link add eth0 netns " + hostSpace + " type veth peer name host0 netns " + midSpace,
	} {
		if err := ip(args); err != nil {
			return err
		}
	}
	return errors.Join(
		inSpace(ueSpace, up("lo"), up("eth0"), address("eth0", ueNet+"2/24"), address("eth0", ueNet6+"2/64"), route(ueNet+"1"), route(ueNet6+"1")),
		inSpace(hostSpace, up("lo"), up("eth0"), address("eth0", hostNet+"2/24"), address("eth0", hostNet6+"2/64"), route(hostNet+"1"), route(hostNet6+"1")),
		inSpace(midSpace, up("lo"), up("ue0"), up("host0"),
			address("ue0", ueNet+"1/24"), address("ue0", ueNet6+"1/64"), address("host0", hostNet+"1/24"), address("host0", hostNet6+"1/64"),
			"sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1",
			"nft add table inet path",
			"nft add chain inet path forward { type filter hook forward priority 0 ; }",
			"nft add chain inet path output { type filter hook output priority 0 ; }",
			"nft add chain inet path nat { type nat hook postrouting priority 100 ; }",
			"nft add rule inet path nat meta nfproto ipv4 oifname host0 masquerade",
		),
	)
}

func up(link string) string { return "ip link set " + link + " up" }

func address(link, addr string) string {
	if strings.Contains(addr, ":") {
		return "ip addr add " + addr + " dev " + link + " nodad"
	}
	return "ip addr add " + addr + " dev " + link
}

func route(via string) string {
	if strings.Contains(via, ":") {
		return "ip -6 route add default via " + via
	}
	return "ip route add default via " + via
}

// address returns where the host listens.
func (r *router) address(family int) string {
	if family == 6 {
		return "[" + hostNet6 + "2]:4433"
	}
	return hostNet + "2:4433"
}

// ue and host make cmd run at that end.
func (r *router) ue(cmd *exec.Cmd) *exec.Cmd { return within(ueSpace, cmd) }

func (r *router) host(cmd *exec.Cmd) *exec.Cmd { return within(hostSpace, cmd) }

// filter makes the router do something with packets that it forwards.
func (r *router) filter(rule string) error {
	return inSpace(midSpace, "nft add rule inet path forward "+rule)
}

// mute makes the router send no ICMP.
func (r *router) mute() error {
	return inSpace(midSpace, "nft add rule inet path output icmp type destination-unreachable drop",
		"nft add rule inet path output icmpv6 type packet-too-big drop")
}

// mtu sets the MTU between the router and the host.
func (r *router) mtu(n int) error {
	set := func(link string) string { return fmt.Sprintf("ip link set %s mtu %d", link, n) }
	return errors.Join(inSpace(midSpace, set("host0")), inSpace(hostSpace, set("eth0")))
}

// readdress gives the UE another address.
func (r *router) readdress() error {
	return inSpace(ueSpace, "ip addr del "+ueNet+"2/24 dev eth0", address("eth0", ueNet+"3/24"), route(ueNet+"1"))
}

// rebind gives the router, behind which the UE is, another address towards the host. What
// the router knew of connections is gone with the old one.
func (r *router) rebind() error {
	return inSpace(midSpace, "ip addr del "+hostNet+"1/24 dev host0", address("host0", hostNet+"7/24"))
}

// plug takes the UE's interface up or down. With it down the UE has no route.
func (r *router) plug(in bool) error {
	if in {
		return inSpace(ueSpace, up("eth0"), route(ueNet+"1"))
	}
	return inSpace(ueSpace, "ip link set eth0 down")
}

// end takes the namespaces away, and with them the links.
func (r *router) end() error {
	if r == nil {
		return nil
	}
	return errors.Join(dropSpace(ueSpace), dropSpace(midSpace), dropSpace(hostSpace))
}
