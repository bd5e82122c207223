package identity

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net/url"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/internal/wire"
)

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// A forger signs with an authority's key whatever it is told.
type forger struct {
	*Authority
	t *testing.T
}

// forge returns a certificate of id after change.
func (f forger) forge(id string, usage x509.ExtKeyUsage, change func(*x509.Certificate)) tls.Certificate {
	f.t.Helper()
	key := newKey(f.t)
	c := template(time.Hour)
	c.Subject, c.KeyUsage, c.ExtKeyUsage = pkix.Name{CommonName: "somebody"}, x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{usage}
	if id != "" {
		u, err := url.Parse(id)
		if err != nil {
			f.t.Fatal(err)
		}
		c.URIs = []*url.URL{u}
	}
	if change != nil {
		change(c)
	}
	der, err := x509.CreateCertificate(rand.Reader, c, f.cert, &key.PublicKey, f.key)
	if err != nil {
		f.t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		f.t.Fatal(err)
	}
	return tls.Certificate{Certificate: append([][]byte{der}, f.above...), PrivateKey: key, Leaf: leaf}
}

// manager returns the authority of a manager of a.
func manager(t *testing.T, a *Authority) *Authority {
	t.Helper()
	key := newKey(t)
	der, err := a.SignManager(&key.PublicKey, "m1", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	m, err := OpenManager(cert, key, a.cert)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

const (
	forUE   = x509.ExtKeyUsageClientAuth
	forHost = x509.ExtKeyUsageServerAuth
)

// Each fault ends the handshake at both ends.
func TestPeersOfEveryWrongKind(t *testing.T) {
	ca := forger{authority(t), t}
	by := forger{manager(t, ca.Authority), t}
	var deep forger
	{ // a manager that makes a manager, which it may not
		key := newKey(t)
		c := template(time.Hour)
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
		der, err := x509.CreateCertificate(rand.Reader, c, by.cert, &key.PublicKey, by.key)
		if err != nil {
			t.Fatal(err)
		}
		cert, _ := x509.ParseCertificate(der)
		deep = forger{&Authority{name: ca.name, cert: cert, key: key, above: [][]byte{der, by.cert.Raw}}, t}
	}
	why := func(w Why) *Why { return &w }
	const ue, host = "spiffe://bungee/tenant/acme/ue/a", "spiffe://bungee/host/a"
	expired := func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }
	tests := []struct {
		name string
		role Role
		cert tls.Certificate
		ok   bool
		why  *Why // nil: crypto/x509's own
	}{
		{"a UE", UE, ca.forge(ue, forUE, nil), true, nil},
		{"a host", Host, ca.forge(host, forHost, nil), true, nil},
		{"a UE of a manager", UE, by.forge(ue, forUE, nil), true, nil},
		{"a host of a manager", Host, by.forge(host, forHost, nil), true, nil},
		{"a UE, made an hour ahead of this clock", UE, ca.forge(ue, forUE, func(c *x509.Certificate) { c.NotBefore = c.NotBefore.Add(time.Hour) }), true, nil},

		{"a UE of before, by its common name", UE, ca.forge("", forUE, nil), false, why(NoID)},
		{"a host of before, by its DNS name", Host, ca.forge("", forHost, func(c *x509.Certificate) { c.DNSNames = []string{"edge-host.bungee"} }), false, why(NoID)},
		{"two IDs", UE, ca.forge(ue, forUE, func(c *x509.Certificate) { c.URIs = append(c.URIs, c.URIs[0]) }), false, why(NoID)},
		{"a name trick", UE, ca.forge("spiffe://bungee/tenant/acme%2fue%2fb/ue/a", forUE, nil), false, why(NoID)},
		{"a UE whose common name is a host's", Host, ca.forge(ue, forHost, func(c *x509.Certificate) { c.Subject.CommonName = "host" }), false, why(WrongRole)},
		{"a host among UEs", UE, ca.forge(host, forUE, nil), false, why(WrongRole)},
		{"a manager among UEs", UE, ca.forge("spiffe://bungee/manager/a", forUE, nil), false, why(WrongRole)},
		{"a UE with a host's usage", UE, ca.forge(ue, forHost, nil), false, nil},
		{"a host with a UE's usage", Host, ca.forge(host, forUE, nil), false, nil},
		{"a UE for everything", UE, ca.forge(ue, x509.ExtKeyUsageAny, nil), false, why(WrongUsage)},
		{"a host for everything", Host, ca.forge(host, x509.ExtKeyUsageAny, nil), false, why(WrongUsage)},
		{"a UE without usage", UE, ca.forge(ue, forUE, func(c *x509.Certificate) { c.ExtKeyUsage = nil }), false, why(WrongUsage)},
		{"a UE that is an authority", UE, ca.forge(ue, forUE, func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true }), false, why(WrongUsage)},
		{"another authority's name", UE, ca.forge("spiffe://bungee.evil/tenant/acme/ue/a", forUE, nil), false, why(OtherAuthority)},
		{"another authority's name by a manager", UE, by.forge("spiffe://bunge/tenant/acme/ue/a", forUE, nil), false, nil},
		{"a manager's manager", Host, by.forge("spiffe://bungee/manager/a", forHost, nil), false, why(ManagerOfManager)},
		{"a chain too long", UE, deep.forge(ue, forUE, nil), false, nil},
		{"expired", UE, ca.forge(ue, forUE, expired), false, nil},
		{"an expired host", Host, ca.forge(host, forHost, expired), false, nil},
		{"not yet valid", UE, ca.forge(ue, forUE, func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) }), false, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			u, h := issue(t, ca.Authority, UE), issue(t, ca.Authority, Host)
			if tt.role == UE {
				u = Static(UE, tt.cert, ca.cert)
			} else {
				h = Static(Host, tt.cert, ca.cert)
			}
			_, ueErr, hostErr := handshake(t, u, h)
			if (ueErr == nil && hostErr == nil) != tt.ok || !tt.ok && (ueErr == nil || hostErr == nil) {
				t.Fatalf("UE: %v; host: %v; want success %v", ueErr, hostErr, tt.ok)
			}
			looker := hostErr
			if tt.role == Host {
				looker = ueErr
			}
			r, ok := errors.AsType[*Refusal](looker)
			if tt.why != nil && (!ok || r.Why != *tt.why) {
				t.Errorf("who looks says %v", looker)
			}
			t.Log(looker)
		})
	}
}

// A name that looks like another is another tenant.
func TestTenantsWithAlikeNames(t *testing.T) {
	ca := forger{authority(t), t}
	for _, tenant := range []string{"acme", "acme-evil", "Acme", "acme.", "acme-7"} {
		cert := ca.forge("spiffe://bungee/tenant/"+tenant+"/ue/a", forUE, nil)
		id, ueErr, hostErr := handshake(t, Static(UE, cert, ca.cert), issue(t, ca.Authority, Host))
		if ueErr != nil || hostErr != nil || id.Tenant != tenant || id.Name != "a" {
			t.Errorf("%q: got %+v, %v, %v", tenant, id, ueErr, hostErr)
		}
	}
}

// A manager signs for its authority, and its certificate cannot be stretched.
func TestManagerSigns(t *testing.T) {
	ca := authority(t)
	m := manager(t, ca)
	u, err := m.TLS(UE, "a")
	if err != nil {
		t.Fatal(err)
	}
	h, err := m.TLS(Host, "b")
	if err != nil {
		t.Fatal(err)
	}
	for i, pair := range [][2]*tls.Config{{u, h}, {u, issue(t, ca, Host)}, {issue(t, ca, UE), h}} {
		if _, ueErr, hostErr := handshake(t, pair[0], pair[1]); ueErr != nil || hostErr != nil {
			t.Errorf("pair %d: %v, %v", i, ueErr, hostErr)
		}
	}
	if c := Leaf(u); c.NotAfter.After(m.cert.NotAfter) {
		t.Errorf("a UE's certificate ends on %v, after its manager's on %v", c.NotAfter, m.cert.NotAfter)
	}
	if _, err := m.Sign(&newKey(t).PublicKey, Request{ID: ID{"other", "", Host, "a"}}); err == nil {
		t.Error("a manager signs for another authority")
	}
	if _, err := OpenManager(m.cert, m.key, authority(t).cert); err == nil {
		t.Error("a manager of another authority was taken")
	}
	if _, err := OpenAuthority(ca.cert, m.key); err == nil {
		t.Error("a key was taken that is another's")
	}
	if _, err := OpenAuthority(Leaf(h), m.key); err == nil {
		t.Error("a host's certificate was taken for an authority's")
	}
}

func TestNamesOfAuthorities(t *testing.T) {
	for name, ok := range map[string]bool{"bungee": true, "acme.example": true, "a_b-c.d": true, "": false, "A": false, "1.2.3.4": false, "a..b": false, ".a": false, "a.": false, "a/b": false, "\u0435": false} {
		a, err := CreateAuthority(name, time.Hour)
		if (err == nil) != ok {
			t.Errorf("%q: %v, want success %v", name, err, ok)
			continue
		}
		if err == nil {
			manager(t, a)
		}
	}
}

// What was accepted is not accepted any more once it has ended, its authority is dropped, or it is
// revoked; and it is again when none of this holds.
func TestRecheck(t *testing.T) {
	ca, next := authority(t), authority(t)
	cert, err := ca.Issue(UE, "a")
	if err != nil {
		t.Fatal(err)
	}
	s := tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert.Leaf}, VerifiedChains: [][]*x509.Certificate{{cert.Leaf, ca.cert}}}
	list := &Revocations{serials: map[string]time.Time{string(cert.Leaf.SerialNumber.Bytes()): time.Now()}}
	now := time.Now()
	for _, full := range []bool{false, true} {
		tests := []struct {
			name  string
			m     *material
			at    time.Time
			wrong bool
		}{
			{"now", &material{roots: []*x509.Certificate{ca.cert}}, now, false},
			{"a clock an hour ahead", &material{roots: []*x509.Certificate{ca.cert}}, now.Add(time.Hour), false},
			{"a clock an hour back, when the certificate is a moment old", &material{roots: []*x509.Certificate{ca.cert}}, now.Add(-time.Hour), false},
			{"both authorities", &material{roots: []*x509.Certificate{next.cert, ca.cert}}, now, false},
			{"the authority is dropped", &material{roots: []*x509.Certificate{next.cert}}, now, true},
			{"revoked", &material{roots: []*x509.Certificate{ca.cert}, revoked: list}, now, true},
			{"ended", &material{roots: []*x509.Certificate{ca.cert}}, cert.Leaf.NotAfter.Add(time.Second), true},
			{"before it began", &material{roots: []*x509.Certificate{ca.cert}}, cert.Leaf.NotBefore.Add(-time.Second), true},
		}
		for _, tt := range tests {
			tt.m.id, tt.m.pool = ID{Authority: "bungee"}, poolOf(tt.m.roots)
			s := s
			if full { // as a UE does, for which crypto/tls verifies nothing
				s.VerifiedChains = nil
			}
			if err := tt.m.check(Host.partnerOf(wire.ALPN), s, tt.at); (err != nil) != tt.wrong {
				t.Errorf("%s, full %v: got %v", tt.name, full, err)
			}
		}
	}
	if err := (&material{}).check(Host.partnerOf(wire.ALPN), tls.ConnectionState{}, now); err == nil {
		t.Error("nobody is accepted")
	}
	if err := (&material{}).check(Host.partnerOf(wire.ALPN), tls.ConnectionState{PeerCertificates: s.PeerCertificates, VerifiedChains: [][]*x509.Certificate{{}}}, now); err == nil {
		t.Error("an empty chain is accepted")
	}
	if err := Recheck(&tls.Config{}, s); err != nil {
		t.Errorf("a configuration that checks nothing: %v", err)
	}
}

func TestRevocations(t *testing.T) {
	ca, next, stranger := authority(t), authority(t), authority(t)
	roots := []*x509.Certificate{next.cert, ca.cert}
	one, two := big.NewInt(1), new(big.Int).Lsh(big.NewInt(1), 119)
	sign := func(a *Authority, before *Revocations, n uint64, serials ...*big.Int) []byte {
		text, err := a.SignRevocations(before, n, serials, nil)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	first, err := ParseRevocations(sign(ca, nil, 7, one), roots)
	if err != nil || first.Number != 7 || !first.Has(one) || first.Has(two) || first.Len() != 1 {
		t.Fatalf("got %+v, %v", first, err)
	}
	second, err := ParseRevocations(append(sign(ca, first, 8, two, one), sign(next, first, 8, two)...), roots)
	if err != nil || second.Number != 8 || !second.Has(one) || !second.Has(two) || second.Len() != 2 {
		t.Errorf("got %+v, %v", second, err)
	}
	if empty, err := ParseRevocations(sign(ca, nil, 1), roots); err != nil || empty.Len() != 0 {
		t.Errorf("an empty list: %+v, %v", empty, err)
	}
	kept, err := ca.SignRevocations(second, 9, nil, func(s *big.Int) bool { return s.Cmp(one) != 0 })
	if err != nil {
		t.Fatal(err)
	}
	if third, err := ParseRevocations(kept, roots); err != nil || third.Has(one) || !third.Has(two) {
		t.Errorf("an entry that left: %+v, %v", third, err)
	}
	forged := sign(ca, nil, 7, one)
	copied := *stranger.cert
	copied.SubjectKeyId = ca.cert.SubjectKeyId
	fake := sign(&Authority{cert: &copied, key: stranger.key}, nil, 9)
	for name, text := range map[string][]byte{
		"nothing":                      nil,
		"a stranger's":                 sign(stranger, nil, 1, one),
		"a stranger's in our name":     fake,
		"cut off":                      forged[:len(forged)/2],
		"with something behind":        append(forged, "x"...),
		"a certificate":                []byte("-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n"),
		"five lists":                   append(append(append(append(sign(ca, nil, 1), forged...), forged...), forged...), forged...),
		"larger than any list may be":  make([]byte, maxRevokedBytes+1),
		"a list that is none":          []byte("-----BEGIN X509 CRL-----\nMA==\n-----END X509 CRL-----\n"),
		"ours, and a forged one after": append(sign(ca, nil, 1), fake...),
	} {
		if r, err := ParseRevocations(text, roots); err == nil {
			t.Errorf("%s: got %+v", name, r)
		}
	}
	var none *Revocations
	if none.Has(one) || none.Len() != 0 || first.Has(nil) {
		t.Error("no list revokes something")
	}
}

// As many certificates may be revoked as there may be, in a rotation, too, in which there are two lists of them.
func TestLongestList(t *testing.T) {
	ca, next := authority(t), authority(t)
	all := &Revocations{serials: map[string]time.Time{}}
	for n := range MaxRevoked {
		serial := new(big.Int).Lsh(big.NewInt(1), 8*maxSerial-1)
		all.serials[string(serial.Add(serial, big.NewInt(int64(n))).Bytes())] = time.Now()
	}
	text := append(must(ca.SignRevocations(all, 1, nil, nil)), must(next.SignRevocations(all, 1, nil, nil))...)
	if r, err := ParseRevocations(text, []*x509.Certificate{next.cert, ca.cert}); err != nil || r.Len() != MaxRevoked {
		t.Errorf("%d of %d in %d bytes, %v", r.Len(), MaxRevoked, len(text), err)
	}
	if _, err := ca.SignRevocations(all, 2, []*big.Int{big.NewInt(1)}, nil); err == nil {
		t.Error("one more was revoked than there may be")
	}
}

// A reader of lists takes only what one of its authorities has signed, and holds no more than it may.
func FuzzParseRevocations(f *testing.F) {
	ca, err := NewAuthority()
	if err != nil {
		f.Fatal(err)
	}
	for _, serials := range [][]*big.Int{nil, {big.NewInt(1)}, {big.NewInt(300), big.NewInt(7)}} {
		text, err := ca.SignRevocations(nil, 3, serials, nil)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte("-----BEGIN X509 CRL-----\nMA==\n-----END X509 CRL-----\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := ParseRevocations(text, []*x509.Certificate{ca.cert})
		if (r == nil) == (err == nil) {
			t.Fatalf("got %v and %v", r, err)
		}
		if r.Len() > MaxRevoked*maxRevokedLists {
			t.Errorf("%d entries", r.Len())
		}
		r.All(func(s *big.Int, _ time.Time) {
			if s.Sign() <= 0 || s.BitLen() > 8*maxSerial || !r.Has(s) {
				t.Errorf("serial number %v", s)
			}
		})
	})
}

// BenchmarkRecheck is what a host spends each second on each connection.
func BenchmarkRecheck(b *testing.B) {
	ca, err := NewAuthority()
	if err != nil {
		b.Fatal(err)
	}
	cert, err := ca.Issue(UE, "a")
	if err != nil {
		b.Fatal(err)
	}
	conf, err := ca.TLS(Host, "h")
	if err != nil {
		b.Fatal(err)
	}
	s := tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert.Leaf}, VerifiedChains: [][]*x509.Certificate{{cert.Leaf, ca.cert}}}
	b.ReportAllocs()
	for b.Loop() {
		if err := Recheck(conf, s); err != nil {
			b.Fatal(err)
		}
	}
}
