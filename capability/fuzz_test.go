package capability

import (
	"net/netip"
	"reflect"
	"slices"
	"testing"
)

// FuzzRead holds that what is read can be written and read again, alike, and passes
// Check.
func FuzzRead(f *testing.F) {
	f.Add([]byte(empty))
	f.Add([]byte(empty + custom(Section, `{"host":["a"],"limits":{"deadline":5}}`)))
	f.Fuzz(func(t *testing.T, wasm []byte) {
		m, err := Read(wasm)
		if err != nil {
			return
		}
		if err := m.Check(); err != nil {
			t.Fatalf("Read gave a manifest that Check refuses: %v", err)
		}
		out, err := Append(wasm, m)
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		again, err := Read(out)
		if err != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
		third, err := Append(out, again)
		if err != nil || !reflect.DeepEqual(out, third) {
			t.Fatalf("writing it once more gave %x, %v; want %x", third, err, out)
		}
	})
}

// FuzzImports holds that Imports and Append agree on what a module is.
func FuzzImports(f *testing.F) {
	f.Add([]byte(empty + "\x02\x07\x01\x01a\x01f\x00\x00"))
	f.Fuzz(func(t *testing.T, wasm []byte) {
		before, err := Imports(wasm)
		if err != nil {
			return
		}
		out, err := Append(wasm, Manifest{Clock: true})
		if err != nil {
			t.Fatalf("Imports read it and Append did not: %v", err)
		}
		if after, err := Imports(out); err != nil || !reflect.DeepEqual(before, after) {
			t.Fatalf("imports were %q, and with a manifest %q, %v", before, after, err)
		}
	})
}

// FuzzPolicy holds that a policy which is read answers, that a module runs by it only if "*"
// or an entry of its own says so, and that no module is granted an address by it that is
// special, unless it is named.
func FuzzPolicy(f *testing.F) {
	f.Add([]byte(example), "acme-1", "api.acme.example:443")
	f.Add([]byte("[default]\nconnect = [\"*:*\"]\n"), "", "localhost:80")
	f.Add([]byte("[default]\nmodules = [\"0123456789abcdef\", \"00000000000000000\"]\n"), "", "a:1")
	f.Add([]byte("[default]\nmodules = []\n[[tenant]]\nname = \"a\"\nmodules = [\"*\"]\n"), "a", "a:1")
	f.Fuzz(func(t *testing.T, text []byte, peer, address string) {
		p, err := ParsePolicy("edge.toml", text)
		if err != nil {
			return
		}
		var low, high [32]byte
		high[0] = 0x80
		r := p.For(peer)
		modules := r.table.Modules
		any, both := slices.Contains(modules, all), r.Runs(low) == nil && r.Runs(high) == nil
		if any && !both || both && !any && len(modules) < 2 {
			t.Fatalf("modules = %q, and two that begin differently both run: %t", modules, both)
		}
		g, err := p.For(peer).Grant(Manifest{Connect: []string{address}})
		if err != nil {
			return
		}
		if err := g.Connects(address); err != nil {
			t.Fatalf("Grant has %q, and Connects refuses it: %v", address, err)
		}
		a, err := parseAddress(address)
		if err != nil {
			t.Fatalf("%q was granted and is no address: %v", address, err)
		}
		metadata := netip.AddrPortFrom(netip.MustParseAddr("169.254.169.254"), a.port)
		named := false
		for p := range g.patterns {
			named = named || p.ip == metadata.Addr()
		}
		if g.Dials(metadata, address) == nil && !named {
			t.Fatalf("%q may go to %v", address, metadata)
		}
	})
}

// FuzzAddress holds that an address has one form, which is no pattern.
func FuzzAddress(f *testing.F) {
	for _, s := range []string{"example.com:443", "[::ffff:127.0.0.1]:80", "127.1:80", "EXAMPLE.com.:1", "*.a:*", "10.0.0.0/8:1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := parseAddress(s)
		p, patternErr := parsePattern(s)
		if err != nil {
			return
		}
		if patternErr != nil {
			t.Fatalf("%q is an address and no pattern: %v", s, patternErr)
		}
		if !p.allows(a) {
			t.Fatalf("pattern %q does not allow itself", s)
		}
		if a.ip.Is4In6() || a.name == "" && !a.ip.IsValid() {
			t.Fatalf("%q gave %+v", s, a)
		}
	})
}

// FuzzPattern holds that a pattern which is read grants a special address only if it is
// that address, or a network within the block that makes it special.
func FuzzPattern(f *testing.F) {
	for _, s := range []string{"*:*", "*.a:443", "localhost:80", "10.0.0.0/8:*", "[fd00::/8]:1", "[64:ff9b::/96]:1", "0.0.0.0/0:1", "[::ffff:10.0.0.1]:1", "127.1:1"} {
		for _, ip := range []string{"10.0.0.1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "fd00::1", "169.254.169.254", "2002:a00:1::", "8.8.8.8"} {
			f.Add(s, netip.MustParseAddr(ip).AsSlice())
		}
	}
	f.Fuzz(func(t *testing.T, s string, raw []byte) {
		p, err := parsePattern(s)
		ip, ok := netip.AddrFromSlice(raw)
		if err != nil || !ok {
			return
		}
		to := inner(ip)
		b, special := blockOf(to)
		if !special || !p.reaches(ip) && (p.name == localhost || !p.leads(ip)) {
			return
		}
		byAddress := p.ip == to || p.ip == ip.Unmap()
		byNetwork := p.network.IsValid() && b.prefix.Contains(p.network.Addr()) && p.network.Bits() >= b.prefix.Bits()
		if !byAddress && !byNetwork {
			t.Fatalf("pattern %q reaches %v, which is %s", s, ip, b.name)
		}
	})
}
