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
	any     bool         // "*": names and addresses that are not special
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
	case !p.at(a.port):
		return false
	case a.name == "":
		return p.reaches(a.ip)
	case p.any:
		return a.name != localhost
	case p.below != "":
		return strings.HasSuffix(a.name, p.below) && len(a.name) > len(p.below)
	}
	return p.name == a.name
}

func (p pattern) at(port uint16) bool { return p.port == 0 || p.port == port }

// reaches says whether p grants a connection to ip without a name: "*" grants what is not
// special, and a number what it contains, except that a network which is wider than the
// special block around ip does not speak of ip. 0.0.0.0/0 grants no private address.
func (p pattern) reaches(ip netip.Addr) bool {
	to := inner(ip)
	b, special := blockOf(to)
	switch {
	case p.ip.IsValid():
		return p.ip == ip.Unmap() || p.ip == to
	case p.network.IsValid():
		return p.network.Contains(to) && (!special || p.network.Bits() >= b.prefix.Bits()) || !special && p.network.Contains(ip)
	}
	return p.any && !special
}

// leads says whether a connection that was asked for by a name of p may go to ip: only to
// what is not special, since the operator does not choose where other people's names lead. The name localhost has its meaning (RFC 6761, 6.3) and no other.
func (p pattern) leads(ip netip.Addr) bool {
	if p.name == localhost {
		return ip.IsLoopback()
	}
	_, special := blockOf(inner(ip))
	return !special
}

const localhost = "localhost"

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
	to := ip.Addr().Unmap().WithZone("")
	if ip.Port() == a.port && to.IsValid() && g.goes(a, to) {
		return nil
	}
	what := hostport + " at " + ip.String()
	if b, special := blockOf(inner(to)); special {
		what += " (" + b.name + ")"
	}
	return g.refuse(what)
}

// goes says whether a connection for a, which the guest may ask for, may go to ip.
func (g Grant) goes(a address, ip netip.Addr) bool {
	if a.name == "" {
		return ip == a.ip
	}
	for p := range g.patterns {
		if p.allows(a) && p.leads(ip) {
			return true
		}
	}
	for p := range g.patterns {
		if a.name != localhost && p.at(a.port) && p.reaches(ip) {
			return true
		}
	}
	return false
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
	return &Refusal{Capability: "connect", What: what, Tenant: g.Tenant, Where: g.connectAt,
		Cure: "private and special addresses must be there by IP or network, also for a name"}
}
