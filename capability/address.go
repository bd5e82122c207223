package capability

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// An address is what a guest asks to connect to: a name or an IP, and a port.
type address struct {
	name string // lower case, without the last dot; empty for an IP
	ip   netip.Addr
	port uint16
}

// parseAddress reads host:port. A name that some resolvers take for a number, such
// as "127.1" or "0x7f000001", is none.
func parseAddress(s string) (a address, err error) {
	host, port, err := net.SplitHostPort(s)
	if err != nil || len(s) > MaxName {
		return a, fmt.Errorf("%q is no address; write host:port", clip(s))
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return a, fmt.Errorf("%q is no address: its port is no number from 1 to 65535", clip(s))
	}
	a.port = uint16(n)
	if ip, err := netip.ParseAddr(host); err == nil && ip.Zone() == "" {
		a.ip = ip.Unmap()
	} else if a.name, err = canonical(host); err != nil {
		return address{}, fmt.Errorf("%q is no address: %w", clip(s), err)
	}
	return a, nil
}

// canonical returns the form of a DNS name that names are compared in.
func canonical(name string) (string, error) {
	name = strings.TrimSuffix(strings.ToLower(name), ".")
	labels := strings.Split(name, ".")
	last := labels[len(labels)-1]
	if len(name) > 253 || last != "" && '0' <= last[0] && last[0] <= '9' {
		return "", fmt.Errorf("%q is neither a name nor an IP address", clip(name))
	}
	for _, l := range labels {
		if !validLabel(l) {
			return "", fmt.Errorf("%q is neither a name nor an IP address; names are of letters, digits, - and _, others in their form with xn--", clip(name))
		}
	}
	return name, nil
}

func validLabel(l string) bool {
	for _, c := range []byte(l) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return 0 < len(l) && len(l) <= 63
}

// A pattern is what a policy grants to connect to. One of the first five is set.
type pattern struct {
	any     bool         // "*": names and public addresses
	below   string       // "*.example.com": ".example.com"
	name    string       // "example.com"
	ip      netip.Addr   // "192.0.2.1"
	network netip.Prefix // "192.0.2.0/24"
	port    uint16       // 0: any
}

// parsePattern reads a pattern host:port.
func parsePattern(s string) (p pattern, err error) {
	host, port, err := net.SplitHostPort(s)
	if err != nil || len(s) > MaxName {
		return p, fmt.Errorf("%q is no pattern of addresses; write host:port, \"*.example.com:443\", \"192.0.2.0/24:*\" or \"[2001:db8::/32]:443\"", clip(s))
	}
	if port != all {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return p, fmt.Errorf("%q: its port is neither a number from 1 to 65535 nor *", clip(s))
		}
		p.port = uint16(n)
	}
	if err := p.parseHost(host); err != nil {
		return pattern{}, fmt.Errorf("%q is no pattern of addresses: %w", clip(s), err)
	}
	return p, nil
}

func (p *pattern) parseHost(host string) (err error) {
	if host == all {
		p.any = true
		return nil
	}
	if rest, ok := strings.CutPrefix(host, "*."); ok {
		p.below, err = canonical(rest)
		p.below = "." + p.below
		return err
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.Zone() == "" {
		p.ip = ip.Unmap()
		return nil
	}
	if network, err := netip.ParsePrefix(host); err == nil {
		if network.Addr().Is4In6() || network != network.Masked() {
			return fmt.Errorf("%q is no network; write %q", host, network.Masked())
		}
		p.network = network
		return nil
	}
	p.name, err = canonical(host)
	return err
}

// allows says whether a guest may ask for a.
func (p pattern) allows(a address) bool {
	switch {
	case p.port != 0 && p.port != a.port:
		return false
	case a.name == "":
		return (p.any || p.ip.IsValid() || p.network.IsValid()) && p.reaches(a.ip)
	case p.any:
		return a.name != localhost
	case p.below != "":
		return strings.HasSuffix(a.name, p.below) && len(a.name) > len(p.below)
	}
	return p.name == a.name
}

// reaches says whether a connection that p allows may go to ip: the loopback and
// other special addresses are reached only by who is granted that very address, or
// "localhost", and private ones not by "*". So a name that its owner lets point into
// the host or its network opens nothing.
func (p pattern) reaches(ip netip.Addr) bool {
	switch {
	case p.ip.IsValid():
		return ip == p.ip
	case p.name == localhost:
		return ip.IsLoopback()
	case special(ip):
		return false
	case p.network.IsValid():
		return p.network.Contains(ip)
	case p.any:
		return !private(ip)
	}
	return true
}

const localhost = "localhost"

// Addresses that are inside others, or inside the operator's network.
var (
	nat64      = netip.MustParsePrefix("64:ff9b::/96")   // RFC 6052: an IPv4 address in its last 32 bits
	compatible = netip.MustParsePrefix("::/96")          // RFC 4291, 2.5.5.1: likewise
	sixToFour  = netip.MustParsePrefix("2002::/16")      // RFC 3056: one in the 32 bits behind
	thisHost   = netip.MustParsePrefix("0.0.0.0/8")      // RFC 791
	reserved   = netip.MustParsePrefix("240.0.0.0/4")    // RFC 1112
	shared     = netip.MustParsePrefix("100.64.0.0/10")  // RFC 6598
	benchmark  = netip.MustParsePrefix("198.18.0.0/15")  // RFC 2544
	protocols  = netip.MustParsePrefix("192.0.0.0/24")   // RFC 6890
	siteLocal  = netip.MustParsePrefix("fec0::/10")      // RFC 3879
	localNAT64 = netip.MustParsePrefix("64:ff9b:1::/48") // RFC 8215
)

// special says whether ip is no address of a host that one connects to: loopback,
// link-local (metadata services of clouds are there), multicast, broadcast,
// unspecified or reserved.
func special(ip netip.Addr) bool {
	ip = inner(ip)
	return !ip.IsGlobalUnicast() || thisHost.Contains(ip) || reserved.Contains(ip)
}

// private says whether ip is one of a network that has no public addresses.
func private(ip netip.Addr) bool {
	ip = inner(ip)
	if ip.IsPrivate() {
		return true
	}
	for _, p := range []netip.Prefix{shared, benchmark, protocols, siteLocal, localNAT64} {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}

// inner returns the IPv4 address that ip stands for, if it does for one.
func inner(ip netip.Addr) netip.Addr {
	ip = ip.Unmap()
	b := ip.As16()
	switch {
	case nat64.Contains(ip), compatible.Contains(ip):
		return netip.AddrFrom4([4]byte(b[12:]))
	case sixToFour.Contains(ip):
		return netip.AddrFrom4([4]byte(b[2:6]))
	}
	return ip
}

// Connects returns nil if the module may ask to connect to hostport, a name or an IP with
// a port. Check it before the name is resolved, and [Grant.Dials] afterwards. The error
// is a [*Refusal], or says that hostport is not an address.
func (g Grant) Connects(hostport string) error {
	a, err := parseAddress(hostport)
	if err != nil {
		return err
	}
	if !g.asks(a) {
		return fmt.Errorf("the module's manifest does not ask to connect to %q; see the options of offloadgen", hostport)
	}
	for p := range g.patterns {
		if p.allows(a) {
			return nil
		}
	}
	return g.refuse(hostport)
}

// Dials returns nil if a connection that the module asked for as hostport may go to ip,
// one of the addresses that hostport was resolved to. Without this check anyone could
// point a name of theirs into the host's own network. The errors are those of Connects.
func (g Grant) Dials(ip netip.AddrPort, hostport string) error {
	if err := g.Connects(hostport); err != nil {
		return err
	}
	a, err := parseAddress(hostport)
	if err != nil {
		return err
	}
	to := ip.Addr().Unmap()
	if ip.Port() == a.port && to.IsValid() && (a.name != "" || to == a.ip) {
		for p := range g.patterns {
			if p.allows(a) && p.reaches(to) {
				return nil
			}
		}
	}
	return g.refuse(hostport + " at " + ip.String())
}

// asks says whether the manifest asks for a.
func (g Grant) asks(a address) bool {
	for _, o := range g.Only {
		if b, err := parseAddress(o); err == nil && a == b {
			return true
		}
	}
	return len(g.Only) == 0
}

// patterns ranges over what Connect has.
func (g Grant) patterns(yield func(pattern) bool) {
	for _, s := range g.Connect {
		if p, err := parsePattern(s); err == nil && !yield(p) {
			return
		}
	}
}

func (g Grant) refuse(what string) error {
	return &Refusal{Capability: "connect", What: what, Tenant: g.tenant, Where: g.connectAt,
		Cure: "special addresses must be named there, and private ones not only by *"}
}
