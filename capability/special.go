package capability

import "net/netip"

// A block is a range of addresses that has a special purpose. Who may connect to an
// address in it was granted the block, a part of it, or the address, by number.
type block struct {
	prefix netip.Prefix
	name   string // as IANA has it
}

// blockOf returns the narrowest block that ip is in.
func blockOf(ip netip.Addr) (narrowest block, special bool) {
	for _, b := range specialBlocks {
		if b.prefix.Contains(ip) && (!special || b.prefix.Bits() > narrowest.prefix.Bits()) {
			narrowest, special = b, true
		}
	}
	return narrowest, special
}

// inner returns the IPv4 address that ip stands for, if it does for one: mapped (RFC 4291,
// 2.5.5.2), or behind a translator with the well-known prefix (RFC 6052, 2.1), which is
// how names are reached from networks that have IPv6 only.
func inner(ip netip.Addr) netip.Addr {
	ip = ip.Unmap().WithZone("") // with a zone, no prefix would contain it
	if b := ip.As16(); nat64.Contains(ip) {
		return netip.AddrFrom4([4]byte(b[12:]))
	}
	return ip
}

var nat64 = netip.MustParsePrefix("64:ff9b::/96")

// specialBlocks are the rows of IANA's special-purpose address registries for both
// families (RFC 6890, RFC 8190; https://www.iana.org/assignments/iana-ipv4-special-registry
// and iana-ipv6-special-registry), by the RFCs that made the rows, up to RFC 9780 of May
// 2025, whether or not the registry calls them globally reachable: services that a module
// needs are elsewhere. The exceptions are ::ffff:0:0/96 and 64:ff9b::/96, which [inner]
// resolves. Behind the rows are the blocks of other registries, and addresses at which
// clouds hand credentials to whoever asks.
var specialBlocks = blocks([][2]string{
	{"0.0.0.0/8", "This network"},                                          // RFC 791, 3.2
	{"0.0.0.0/32", "This host on this network"},                            // RFC 1122, 3.2.1.3
	{"10.0.0.0/8", "Private-Use"},                                          // RFC 1918
	{"100.64.0.0/10", "Shared Address Space"},                              // RFC 6598
	{"127.0.0.0/8", "Loopback"},                                            // RFC 1122, 3.2.1.3
	{"169.254.0.0/16", "Link Local"},                                       // RFC 3927
	{"172.16.0.0/12", "Private-Use"},                                       // RFC 1918
	{"192.0.0.0/24", "IETF Protocol Assignments"},                          // RFC 6890, 2.1
	{"192.0.0.0/29", "IPv4 Service Continuity Prefix"},                     // RFC 7335
	{"192.0.0.8/32", "IPv4 dummy address"},                                 // RFC 7600
	{"192.0.0.9/32", "Port Control Protocol Anycast"},                      // RFC 7723
	{"192.0.0.10/32", "Traversal Using Relays around NAT Anycast"},         // RFC 8155
	{"192.0.0.170/32", "NAT64/DNS64 Discovery"},                            // RFC 8880, RFC 7050
	{"192.0.0.171/32", "NAT64/DNS64 Discovery"},                            // RFC 8880, RFC 7050
	{"192.0.2.0/24", "Documentation (TEST-NET-1)"},                         // RFC 5737
	{"192.31.196.0/24", "AS112-v4"},                                        // RFC 7535
	{"192.52.193.0/24", "AMT"},                                             // RFC 7450
	{"192.88.99.0/24", "Deprecated (6to4 Relay Anycast)"},                  // RFC 7526
	{"192.88.99.2/32", "6a44-relay anycast address"},                       // RFC 6751
	{"192.168.0.0/16", "Private-Use"},                                      // RFC 1918
	{"192.175.48.0/24", "Direct Delegation AS112 Service"},                 // RFC 7534
	{"198.18.0.0/15", "Benchmarking"},                                      // RFC 2544
	{"198.51.100.0/24", "Documentation (TEST-NET-2)"},                      // RFC 5737
	{"203.0.113.0/24", "Documentation (TEST-NET-3)"},                       // RFC 5737
	{"240.0.0.0/4", "Reserved"},                                            // RFC 1112, 4
	{"255.255.255.255/32", "Limited Broadcast"},                            // RFC 8190, RFC 919, 7
	{"::1/128", "Loopback Address"},                                        // RFC 4291
	{"::/128", "Unspecified Address"},                                      // RFC 4291
	{"64:ff9b:1::/48", "IPv4-IPv6 Translat."},                              // RFC 8215
	{"100::/64", "Discard-Only Address Block"},                             // RFC 6666
	{"100:0:0:1::/64", "Dummy IPv6 Prefix"},                                // RFC 9780
	{"2001::/23", "IETF Protocol Assignments"},                             // RFC 2928
	{"2001::/32", "TEREDO"},                                                // RFC 4380, RFC 8190
	{"2001:1::1/128", "Port Control Protocol Anycast"},                     // RFC 7723
	{"2001:1::2/128", "Traversal Using Relays around NAT Anycast"},         // RFC 8155
	{"2001:1::3/128", "DNS-SD Service Registration Protocol Anycast"},      // RFC 9665
	{"2001:2::/48", "Benchmarking"},                                        // RFC 5180
	{"2001:3::/32", "AMT"},                                                 // RFC 7450
	{"2001:4:112::/48", "AS112-v6"},                                        // RFC 7535
	{"2001:10::/28", "Deprecated (previously ORCHID)"},                     // RFC 4843
	{"2001:20::/28", "ORCHIDv2"},                                           // RFC 7343
	{"2001:30::/28", "Drone Remote ID Protocol Entity Tags (DETs) Prefix"}, // RFC 9374
	{"2001:db8::/32", "Documentation"},                                     // RFC 3849
	{"2002::/16", "6to4"},                                                  // RFC 3056
	{"2620:4f:8000::/48", "Direct Delegation AS112 Service"},               // RFC 7534
	{"3fff::/20", "Documentation"},                                         // RFC 9637
	{"5f00::/16", "Segment Routing (SRv6) SIDs"},                           // RFC 9602
	{"fc00::/7", "Unique-Local"},                                           // RFC 4193, RFC 8190
	{"fe80::/10", "Link-Local Unicast"},                                    // RFC 4291

	// IANA's registries of multicast, and of the IPv6 address space: what is not in
	// 2000::/3 is given to nobody (RFC 4291, 2.4).
	{"224.0.0.0/4", "Multicast"},                     // RFC 5771
	{"ff00::/8", "Multicast"},                        // RFC 4291, 2.7
	{"::/96", "Deprecated (IPv4-Compatible)"},        // RFC 4291, 2.5.5.1
	{"fec0::/10", "Deprecated (Site-Local Unicast)"}, // RFC 3879
	{"::/3", "Reserved by IETF"},                     // RFC 4291
	{"4000::/2", "Reserved by IETF"},                 // RFC 4291
	{"8000::/1", "Reserved by IETF"},                 // RFC 4291

	// Metadata services are single addresses, so that not even the network around them
	// grants them. Each is documented by the cloud that has it.
	{"168.63.129.16/32", "Metadata (Azure)"}, // public, and answered by the machine's own host
	{"169.254.169.254/32", "Metadata (most clouds)"},
	{"169.254.170.2/32", "Metadata (AWS containers)"},
	{"169.254.170.23/32", "Metadata (AWS pods)"},
	{"169.254.0.23/32", "Metadata (Tencent)"},
	{"169.254.42.42/32", "Metadata (Scaleway)"},
	{"100.100.100.200/32", "Metadata (Alibaba)"},
	{"192.0.0.192/32", "Metadata (Oracle)"},
	{"fd00:ec2::254/128", "Metadata (AWS)"},
	{"fd00:ec2::23/128", "Metadata (AWS pods)"},
	{"fd20:ce::254/128", "Metadata (Google)"},
	{"fd00:42::42/128", "Metadata (Scaleway)"},
	{"fe80::a9fe:a9fe/128", "Metadata (OpenStack)"},
})

func blocks(rows [][2]string) (all []block) {
	for _, r := range rows {
		all = append(all, block{netip.MustParsePrefix(r[0]), r[1]})
	}
	return all
}
