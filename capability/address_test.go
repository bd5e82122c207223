package capability

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
)

func TestParseAddress(t *testing.T) {
	tests := []struct {
		text string
		name string
		ip   string
		port uint16
	}{
		{"example.com:443", "example.com", "", 443},
		{"EXAMPLE.com.:443", "example.com", "", 443},
		{"a_b-c.xn--p1ai:1", "a_b-c.xn--p1ai", "", 1},
		{"localhost:65535", "localhost", "", 65535},
		{"192.0.2.1:80", "", "192.0.2.1", 80},
		{"[2001:DB8::1]:80", "", "2001:db8::1", 80},
		{"[::ffff:192.0.2.1]:80", "", "192.0.2.1", 80},
	}
	for _, tt := range tests {
		a, err := parseAddress(tt.text)
		ip := ""
		if a.ip.IsValid() {
			ip = a.ip.String()
		}
		if err != nil || a.name != tt.name || ip != tt.ip || a.port != tt.port {
			t.Errorf("%q is %+v, %v; want %q %q %d", tt.text, a, err, tt.name, tt.ip, tt.port)
		}
	}
	bad := []struct{ text, why string }{
		{"example.com", "no port"},
		{"example.com:", "no port"},
		{"example.com:0", "port 0"},
		{"example.com:65536", "no port has 17 bits"},
		{"example.com:https", "the name of a port"},
		{"example.com:+1", "a sign"},
		{":443", "no host"},
		{".:443", "the root of all names"},
		{"a..b:443", "an empty label"},
		{"a b:443", "a blank"},
		{"a/b:443", "a path"},
		{"user@a:443", "a user"},
		{"пример.рф:443", "not in its form with xn--"},
		{"127.1:80", "some resolvers take it for 127.0.0.1"},
		{"2130706433:80", "and this"},
		{"0x7f.1:80", "and this"},
		{"0177.0.0.1:80", "and this"},
		{"a.0x7f000001:80", "a last label that is a number"},
		{"[fe80::1%eth0]:80", "an interface of the host"},
		{"2001:db8::1:80", "an IPv6 address without brackets"},
		{"*.example.com:443", "a pattern"},
		{"10.0.0.0/8:443", "a network"},
		{strings.Repeat("a.", 128) + "b:443", "a name over 253 bytes"},
		{strings.Repeat("a", 64) + ".b:443", "a label over 63"},
	}
	for _, tt := range bad {
		if a, err := parseAddress(tt.text); err == nil {
			t.Errorf("%q is %+v; want an error: %s", tt.text, a, tt.why)
		}
	}
}

func TestParsePatternRefuses(t *testing.T) {
	for text, why := range map[string]string{
		"example.com":             "no port",
		"*":                       "no port",
		"example.com:**":          "no number and not *",
		"example.com:0":           "no pattern of any port",
		"*example.com:443":        "* is a whole label",
		"a.*.com:443":             "at the beginning only",
		"*.*.com:443":             "once",
		"*.:443":                  "nothing below it",
		"10.0.0.1/8:443":          "bits behind the network",
		"10.0.0.0/33:443":         "no such length",
		"2001:db8::/32:443":       "no brackets",
		"[::ffff:10.0.0.0/104]":   "no port",
		"[::ffff:10.0.0.0/104]:1": "an IPv4 network in an IPv6 one",
		"[fe80::1%eth0]:80":       "an interface of the host",
	} {
		if p, err := parsePattern(text); err == nil {
			t.Errorf("%q is %+v; want an error: %s", text, p, why)
		}
	}
}

// TestDials goes through patterns, what is asked for, and what that is resolved to.
func TestDials(t *testing.T) {
	const (
		public, public6 = "8.8.8.7", "2606:4700::7"
		metadata        = "169.254.169.254"
	)
	tests := []struct {
		why           string
		pattern       string
		asked         string
		ip            string // without a port: that of asked
		connect, dial bool
	}{
		{"a name", "example.com:443", "example.com:443", public, true, true},
		{"in other letters, with a dot behind", "Example.COM.:443", "example.com.:443", public6, true, true},
		{"another port", "example.com:443", "example.com:80", public, false, false},
		{"any port", "example.com:*", "example.com:80", public, true, true},
		{"another name", "example.com:443", "example.org:443", public, false, false},
		{"a name that only ends so", "example.com:443", "badexample.com:443", public, false, false},
		{"a name below is another", "example.com:443", "a.example.com:443", public, false, false},
		{"a name below", "*.example.com:443", "a.example.com:443", public, true, true},
		{"two below", "*.example.com:443", "a.b.example.com:443", public, true, true},
		{"not itself", "*.example.com:443", "example.com:443", public, false, false},
		{"the dot counts", "*.example.com:443", "badexample.com:443", public, false, false},
		{"any name", "*:443", "example.com:443", public, true, true},
		{"any public address", "*:443", public + ":443", public, true, true},
		{"a name may not be in the operator's network", "*.internal:80", "db.internal:80", "10.1.2.3", true, false},
		{"nor a name that is written whole", "db.internal:80", "db.internal:80", "192.168.0.1", true, false},
		{"any name may not: its owner would choose where", "*:80", "example.com:80", "10.1.2.3", true, false},
		{"nor in shared space", "*:80", "example.com:80", "100.100.100.200", true, false},
		{"nor in the network's IPv6", "*:80", "example.com:80", "fd00:ec2::254", true, false},
		{"nor a private address itself", "*:80", "10.1.2.3:80", "10.1.2.3", false, false},
		{"an address", "10.1.2.3:80", "10.1.2.3:80", "10.1.2.3", true, true},
		{"an address is not a name's", "10.1.2.3:80", "db.internal:80", "10.1.2.3", false, false},
		{"a name is not an address's", "db.internal:80", "10.1.2.3:80", "10.1.2.3", false, false},
		{"what was asked for is what is dialled", "10.0.0.0/8:80", "10.1.2.3:80", "10.1.2.4", true, false},
		{"at that port, too", "10.0.0.0/8:*", "10.1.2.3:80", "10.1.2.3:81", true, false},
		{"IPv4 in IPv6 is IPv4", "10.1.2.3:80", "[::ffff:10.1.2.3]:80", "::ffff:10.1.2.3", true, true},
		{"a network", "10.0.0.0/8:80", "10.1.2.3:80", "10.1.2.3", true, true},
		{"beside it", "10.0.0.0/8:80", "11.1.2.3:80", "11.1.2.3", false, false},
		{"an IPv6 network", "[2606:4700::/32]:443", "[2606:4700::7]:443", public6, true, true},
		{"of another kind", "[2606:4700::/32]:443", public + ":443", public, false, false},
		{"all of IPv4 has no special ones", "0.0.0.0/0:80", metadata + ":80", metadata, false, false},
		{"nor private ones: it does not name them", "0.0.0.0/0:80", "10.1.2.3:80", "10.1.2.3", false, false},
		{"nor a network a bit wider than the private one", "10.0.0.0/7:80", "10.1.2.3:80", "10.1.2.3", false, false},
		{"a part of the private network", "10.1.0.0/16:80", "10.1.2.3:80", "10.1.2.3", true, true},
		{"all of IPv6 has no local ones", "[::/0]:80", "[fd00::1]:80", "fd00::1", false, false},
		{"a network of special addresses names them", "127.0.0.0/8:80", "127.0.0.1:80", "127.0.0.1", true, true},
		{"but not the metadata service in it", "169.254.0.0/16:80", metadata + ":80", metadata, false, false},
		{"nor one with a public address", "*:80", "168.63.129.16:80", "168.63.129.16", false, false},
		{"nor by a network around it", "168.63.0.0/16:80", "168.63.129.16:80", "168.63.129.16", false, false},

		{"loopback by any", "*:80", "127.0.0.1:80", "127.0.0.1", false, false},
		{"loopback by its address", "127.0.0.1:80", "127.0.0.1:80", "127.0.0.1", true, true},
		{"another loopback", "127.0.0.1:80", "127.0.0.2:80", "127.0.0.2", false, false},
		{"localhost by any", "*:80", "localhost:80", "127.0.0.1", false, false},
		{"localhost by its name", "localhost:80", "localhost:80", "127.0.0.1", true, true},
		{"and IPv6", "localhost:80", "LOCALHOST.:80", "::1", true, true},
		{"localhost elsewhere", "localhost:80", "localhost:80", public, true, false},
		{"localhost is not its address", "localhost:80", "127.0.0.1:80", "127.0.0.1", false, false},
		{"a name below localhost", "*.localhost:80", "a.localhost:80", "127.0.0.1", true, false},
		{"a name that points to loopback", "example.com:80", "example.com:80", "127.0.0.1", true, false},
		{"in IPv6", "example.com:80", "example.com:80", "::1", true, false},
		{"as IPv4 in IPv6", "example.com:80", "example.com:80", "::ffff:127.0.0.1", true, false},
		{"through NAT64", "example.com:80", "example.com:80", "64:ff9b::7f00:1", true, false},
		{"in the old form of IPv4 in IPv6", "example.com:80", "example.com:80", "::7f00:1", true, false},
		{"through 6to4", "example.com:80", "example.com:80", "2002:7f00:1::1", true, false},
		{"a public one through NAT64", "example.com:80", "example.com:80", "64:ff9b::808:807", true, true},
		{"the network of NAT64 is no grant of private ones behind it", "[64:ff9b::/96]:80", "[64:ff9b::a01:203]:80", "64:ff9b::a01:203", false, false},
		{"a private one through NAT64, by its network", "10.0.0.0/8:80", "[64:ff9b::a01:203]:80", "64:ff9b::a01:203", true, true},
		{"through Teredo", "*:80", "example.com:80", "2001:0:808:807::1", true, false},
		{"with a zone", "*:80", "example.com:80", "fe80::1%eth0", true, false},
		{"a private one through NAT64, by any", "*:80", "example.com:80", "64:ff9b::a01:203", true, false},
		{"a name that points to the cloud's metadata", "*.internal:80", "metadata.google.internal:80", metadata, true, false},
		{"link-local IPv6", "example.com:80", "example.com:80", "fe80::1", true, false},
		{"metadata by its address", metadata + ":80", metadata + ":80", metadata, true, true},
		{"the unspecified address is the host itself", "example.com:80", "example.com:80", "0.0.0.0", true, false},
		{"in IPv6", "example.com:80", "example.com:80", "::", true, false},
		{"this network", "example.com:80", "example.com:80", "0.1.2.3", true, false},
		{"multicast", "example.com:80", "example.com:80", "224.0.0.1", true, false},
		{"in IPv6", "example.com:80", "example.com:80", "ff02::1", true, false},
		{"broadcast", "example.com:80", "example.com:80", "255.255.255.255", true, false},
		{"reserved", "example.com:80", "example.com:80", "240.0.0.1", true, false},
	}
	for _, tt := range tests {
		g := Grant{Connect: []string{"unrelated.example:1", tt.pattern}}
		if err := g.Connects(tt.asked); (err == nil) != tt.connect {
			t.Errorf("%s: %s grants %s: %v; want %t", tt.why, tt.pattern, tt.asked, err, tt.connect)
		}
		err := g.Dials(target(t, tt.asked, tt.ip), tt.asked)
		if (err == nil) != tt.dial {
			t.Errorf("%s: %s lets %s go to %s: %v; want %t", tt.why, tt.pattern, tt.asked, tt.ip, err, tt.dial)
		}
		var refusal *Refusal
		if err != nil && (!errors.As(err, &refusal) || refusal.Capability != "connect" || !strings.Contains(err.Error(), tt.asked)) {
			t.Errorf("%s: %v is no refusal that names %s", tt.why, err, tt.asked)
		}
	}
}

// target returns ip with the port of asked, unless it has its own.
func target(t *testing.T, asked, ip string) netip.AddrPort {
	t.Helper()
	if to, err := netip.ParseAddrPort(ip); err == nil {
		return to
	}
	a, err := parseAddress(asked)
	if err != nil {
		t.Fatal(err)
	}
	return netip.AddrPortFrom(netip.MustParseAddr(ip), a.port)
}

// TestNameAndNetwork holds that a name leads to a special address only where the policy has
// the address by number, too, at that port.
func TestNameAndNetwork(t *testing.T) {
	tests := []struct {
		why     string
		connect []string
		asked   string
		ip      string
		want    bool
	}{
		{"name and network", []string{"*.internal:80", "10.0.0.0/8:80"}, "db.internal:80", "10.1.2.3", true},
		{"name and address", []string{"*.internal:80", "10.1.2.3:*"}, "db.internal:80", "10.1.2.3", true},
		{"any name", []string{"*:*", "10.0.0.0/8:80"}, "example.com:80", "10.1.2.3", true},
		{"through NAT64", []string{"*:*", "10.0.0.0/8:80"}, "example.com:80", "64:ff9b::a01:203", true},
		{"the network at another port", []string{"*.internal:80", "10.0.0.0/8:443"}, "db.internal:80", "10.1.2.3", false},
		{"another network", []string{"*.internal:80", "192.168.0.0/16:80"}, "db.internal:80", "10.1.2.3", false},
		{"the network without the name", []string{"other:80", "10.0.0.0/8:80"}, "db.internal:80", "10.1.2.3", false},
		{"all networks at once", []string{"*.internal:80", "0.0.0.0/0:80", "[::/0]:80"}, "db.internal:80", "10.1.2.3", false},
		{"metadata around it", []string{"*:80", "169.254.0.0/16:80"}, "example.com:80", "169.254.169.254", false},
		{"metadata itself", []string{"*:80", "169.254.169.254:80"}, "example.com:80", "169.254.169.254", true},
		{"localhost is nowhere else", []string{"localhost:80", "10.0.0.0/8:80"}, "localhost:80", "10.1.2.3", false},
		{"and does not grant loopback to others", []string{"localhost:80", "*:80"}, "example.com:80", "127.0.0.1", false},
	}
	for _, tt := range tests {
		err := Grant{Connect: tt.connect}.Dials(target(t, tt.asked, tt.ip), tt.asked)
		if (err == nil) != tt.want {
			t.Errorf("%s: %v lets %s go to %s: %v; want %t", tt.why, tt.connect, tt.asked, tt.ip, err, tt.want)
		}
	}
}

// TestOnly holds that a module connects to what both it asks for and the policy has.
func TestOnly(t *testing.T) {
	r := parse(t, "[[tenant]]\nname = \"acme\"\nconnect = [\"*.example.com:443\", \"*:8080\"]\n").For("acme")
	g, err := r.Grant(Manifest{Connect: []string{"a.example.com:443", "b.example.com:443", "c.example.org:8080"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Connects("A.example.com:443"); err != nil {
		t.Error(err)
	}
	err = g.Connects("z.example.com:443")
	if err == nil || !strings.Contains(err.Error(), "manifest does not ask") {
		t.Errorf("an address nobody asked for: got %v; want an error that says so", err)
	}
	err = g.Dials(netip.MustParseAddrPort("10.0.0.1:8080"), "c.example.org:8080")
	if err == nil || !strings.Contains(err.Error(), "edge.toml:3 decides") {
		t.Errorf("a name that the policy has by * only, in a private network: got %v; want a refusal with the line", err)
	}
	if err := (Grant{}).Connects("a.example.com:443"); err == nil {
		t.Error("the zero Grant connects")
	}
	if err := g.Connects("nonsense"); err == nil {
		t.Error("what is no address was granted")
	}
	if err := g.Dials(netip.AddrPort{}, "a.example.com:443"); err == nil {
		t.Error("the zero address may be dialled")
	}
}
