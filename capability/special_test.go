package capability

import (
	"net/netip"
	"testing"
)

// around returns the first and the last address of p, and those before and behind it.
func around(p netip.Prefix) (first, last, before, behind netip.Addr) {
	first = p.Masked().Addr()
	raw := first.AsSlice()
	for bit := p.Bits(); bit < len(raw)*8; bit++ {
		raw[bit/8] |= 1 << (7 - bit%8)
	}
	last, _ = netip.AddrFromSlice(raw)
	return first, last, first.Prev(), last.Next()
}

// widest returns the widest block that ip is in, none where the prefix is not valid.
func widest(ip netip.Addr) netip.Prefix {
	for bits := range ip.BitLen() + 1 {
		p, _ := ip.Prefix(bits)
		for _, b := range specialBlocks {
			if b.prefix == p {
				return p
			}
		}
	}
	return netip.Prefix{}
}

// TestEveryBlock goes through the edges of each block of the registries: no name and no
// "*" reaches into it, the block's own number does, and what is beside it is as it was.
func TestEveryBlock(t *testing.T) {
	for _, b := range specialBlocks {
		first, last, before, behind := around(b.prefix)
		for _, ip := range []netip.Addr{first, last} {
			unreached(t, b.name, ip)
			to := netip.AddrPortFrom(ip, 80)
			narrow, _ := blockOf(ip)
			own := Grant{Connect: []string{"*:*", netip.AddrPortFrom(ip, 80).String(), prefixPattern(b.prefix)}}
			if err := own.Dials(to, to.String()); err != nil {
				t.Errorf("%s: %v, which is granted by its number: %v", b.name, ip, err)
			}
			named := Grant{Connect: []string{"*:*", prefixPattern(narrow.prefix)}}
			if err := named.Dials(to, "example.com:80"); err != nil {
				t.Errorf("%s: a name at %v, whose network %v is granted: %v", b.name, ip, narrow.prefix, err)
			}
		}
		for _, ip := range []netip.Addr{before, behind} {
			if !ip.IsValid() || nat64.Contains(ip) {
				continue
			}
			if widest(ip).IsValid() {
				unreached(t, "beside "+b.name, ip)
				continue
			}
			to := netip.AddrPortFrom(ip, 80)
			if err := (Grant{Connect: []string{"*:*"}}).Dials(to, "example.com:80"); err != nil {
				t.Errorf("beside %s: %v, which is in no block: %v", b.name, ip, err)
			}
		}
	}
}

func prefixPattern(p netip.Prefix) string {
	if p.Addr().Is4() {
		return p.String() + ":80"
	}
	return "[" + p.String() + "]:80"
}

// unreached checks that no pattern without the number of ip, or of a network in its block,
// reaches ip, in any form that ip has.
func unreached(t *testing.T, what string, ip netip.Addr) {
	t.Helper()
	forms := []netip.Addr{ip}
	if ip.Is4() {
		b := ip.As4()
		mapped := netip.AddrFrom16(ip.As16())
		translated := nat64.Addr().As16()
		copy(translated[12:], b[:])
		forms = append(forms, mapped, netip.AddrFrom16(translated))
	}
	g := Grant{Connect: []string{"*:*", "*.acme.example:*", "acme.example:*", "localhost:81", "0.0.0.0/0:*", "[::/0]:*"}}
	for _, form := range forms {
		to := netip.AddrPortFrom(form, 80)
		for _, asked := range []string{"a.acme.example:80", "acme.example:80", "example.com:80", to.String()} {
			if err := g.Dials(to, asked); err == nil {
				t.Errorf("%s: %s reaches %v", what, asked, form)
			}
		}
	}
}

// TestBlocks holds what the table has to be: no block twice, no bits behind a prefix, and
// addresses of all kinds that the issue of the registries is about.
func TestBlocks(t *testing.T) {
	seen := map[netip.Prefix]bool{}
	for _, b := range specialBlocks {
		if seen[b.prefix] || b.prefix != b.prefix.Masked() || b.name == "" {
			t.Errorf("%v, %q: it is there twice, or has bits behind its prefix, or no name", b.prefix, b.name)
		}
		seen[b.prefix] = true
	}
	tests := map[string]string{
		"10.1.2.3": "Private-Use", "172.31.255.255": "Private-Use", "192.168.1.1": "Private-Use",
		"100.64.0.1": "Shared Address Space", "169.254.1.1": "Link Local", "127.0.0.1": "Loopback",
		"192.0.0.9": "Port Control Protocol Anycast", "192.0.0.5": "IPv4 Service Continuity Prefix",
		"fd12::1": "Unique-Local", "2001:0:1::": "TEREDO", "2002:7f00:1::": "6to4", "64:ff9b:1::1": "IPv4-IPv6 Translat.",
		"2001:db8::1": "Documentation", "198.19.255.255": "Benchmarking", "239.1.2.3": "Multicast", "ff02::1": "Multicast",
		"::7f00:1": "Deprecated (IPv4-Compatible)", "::1": "Loopback Address", "168.63.129.16": "Metadata (Azure)",
		"fec0::1": "Deprecated (Site-Local Unicast)", "4000::1": "Reserved by IETF", "9000::": "Reserved by IETF",
		"8.8.8.8": "", "2606:4700::1": "", "2a00::1": "", "172.32.0.0": "", "100.128.0.0": "", "2001:200::": "",
	}
	for text, want := range tests {
		b, special := blockOf(inner(netip.MustParseAddr(text)))
		if b.name != want || special != (want != "") {
			t.Errorf("%s is in %q; want %q", text, b.name, want)
		}
	}
}
