package identity

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bungee-xr/bungee/internal/wire"
)

// managerFolder writes what a manager of a has, and returns its folder.
func managerFolder(t *testing.T, a *Authority) string {
	t.Helper()
	dir := t.TempDir()
	cert, err := a.Issue(Manager, "m1")
	if err != nil {
		t.Fatal(err)
	}
	if err := WriteFolder(dir, cert, a.cert); err != nil {
		t.Fatal(err)
	}
	m := manager(t, a)
	key, err := x509.MarshalPKCS8PrivateKey(m.key)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{"signer.pem": certsPEM(m.cert), "signer.key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// Who dials whom: a certificate counts for what its role does, and for nothing else.
func TestWhoMeetsManagers(t *testing.T) {
	ca := forger{authority(t), t}
	by := forger{manager(t, ca.Authority), t}
	conf := func(role Role, cert tls.Certificate) *tls.Config { return Static(role, cert, ca.cert) }
	ue, host, m := issue(t, ca.Authority, UE), issue(t, ca.Authority, Host), issue(t, ca.Authority, Manager)
	both := func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{forUE, forHost} }
	const ueID, hostID, mID = "spiffe://bungee/tenant/acme/ue/a", "spiffe://bungee/host/a", "spiffe://bungee/manager/a"
	tests := []struct {
		name         string
		dial, listen *tls.Config
		ok           bool
		why          string
	}{
		{"a UE dials a manager", ForManager(ue), m, true, "for a place"},
		{"a host dials a manager", ForManager(host), m, true, "to register"},
		{"a UE of a manager", ForManager(conf(UE, by.forge(ueID, forUE, nil))), m, true, "enrolled"},
		{"a host of a manager", ForManager(conf(Host, by.forge(hostID, forHost, both))), m, true, "enrolled"},
		{"a manager dials a manager", ForManager(conf(UE, ca.forge(mID, forHost, both))), m, false, "it would be a UE without a tenant"},
		{"a host of before", ForManager(conf(Host, ca.forge(hostID, forHost, nil))), m, false, "its usage lacks dialling; a renewal mends that"},
		{"a UE with a host's usage, too", ForManager(conf(UE, ca.forge(ueID, forUE, both))), m, true, "its ID says UE, and it dials"},
		{"a UE's usage in a host's name", ForManager(conf(Host, ca.forge(hostID, forUE, nil))), m, false, "no host's certificate is so"},
		{"a host where a manager must be", ForManager(ue), withProtocols(host, wire.ManagerALPN), false, "a host is no manager"},
		{"a host in a manager's place with a forged role", ForManager(ue), Static(Manager, ca.forge(hostID, forHost, both), ca.cert), false, "its ID is a host's"},
		{"a UE in a manager's place", ForManager(host), Static(Manager, ca.forge(ueID, forHost, both), ca.cert), false, "its ID is a UE's"},
		{"a manager's manager", ForManager(ue), Static(Manager, by.forge(mID, forHost, both), ca.cert), false, "managers make no managers"},
		{"a UE dials a host's port for a manager", ForManager(ue), host, false, "another protocol"},
		{"a UE dials a manager for a host", ue, m, false, "another protocol"},
		{"a manager where a host must be", ue, withProtocols(m, wire.ALPN), false, "it would get modules and frames"},
		{"a host dials a host", withProtocols(host, wire.ALPN), host, false, "hosts do not meet"},
		{"a stranger's manager", ForManager(ue), issue(t, authority(t), Manager), false, "another authority"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, dialErr, listenErr := handshake(t, tt.dial, tt.listen)
			if ok := dialErr == nil && listenErr == nil; ok != tt.ok {
				t.Errorf("who dials: %v; who listens: %v; want success %v: %s", dialErr, listenErr, tt.ok, tt.why)
			}
		})
	}
}

// withProtocols is c of an end that speaks what its role does not.
func withProtocols(c *tls.Config, alpn string) *tls.Config {
	c = c.Clone()
	c.NextProtos, c.GetConfigForClient = []string{alpn}, nil
	return c
}

// Sources of hosts and UEs dial managers, and a manager's source accepts both and who enrols.
func TestSourcesMeetManagers(t *testing.T) {
	ca := authority(t)
	f := newFolder(t, ca)
	m, err := Open(managerFolder(t, ca), Manager, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, role := range []Role{UE, Host} {
		id, dialErr, listenErr := handshake(t, ForManager(f.open(role, nil).TLS()), m.TLS())
		if dialErr != nil || listenErr != nil || id.Role != role {
			t.Errorf("a %s: it gets %v, the manager sees %s and gets %v", role, dialErr, id, listenErr)
		}
	}
	if _, dialErr, listenErr := handshake(t, ForEnrolment(FingerprintOf(ca.cert)), m.TLS()); dialErr != nil || listenErr != nil {
		t.Errorf("who enrols gets %v, the manager %v", dialErr, listenErr)
	}
	if _, dialErr, _ := handshake(t, withProtocols(ForEnrolment(FingerprintOf(ca.cert)), wire.ManagerALPN), m.TLS()); dialErr == nil {
		t.Error("who has no certificate got further than enrolment")
	}
}

func TestForEnrolment(t *testing.T) {
	ca, stranger := authority(t), authority(t)
	by := forger{manager(t, ca), t}
	both := func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{forUE, forHost} }
	tests := []struct {
		name   string
		of     *Authority
		listen *tls.Config
		ok     bool
	}{
		{"the manager of the code", ca, issue(t, ca, Manager), true},
		{"a manager of another authority", ca, issue(t, stranger, Manager), false},
		{"of another, which shows ours", ca, Static(Manager, issue(t, stranger, Manager).Certificates[0], ca.cert), false},
		{"a host", ca, Static(Manager, issue(t, ca, Host).Certificates[0], ca.cert), false},
		{"a manager's manager", ca, Static(Manager, by.forge("spiffe://bungee/manager/a", forHost, both), ca.cert), false},
		{"during a rotation", ca, Static(Manager, issue(t, ca, Manager).Certificates[0], stranger.cert, ca.cert), true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, dialErr, listenErr := handshake(t, ForEnrolment(FingerprintOf(tt.of.cert)), tt.listen)
			if ok := dialErr == nil && listenErr == nil; ok != tt.ok {
				t.Errorf("who enrols gets %v, the manager %v; want success %v", dialErr, listenErr, tt.ok)
			}
		})
	}
	if err := (Fingerprint{}).check(nil, ca.cert.NotBefore); err == nil {
		t.Error("nobody is accepted")
	}
}

func TestLoadSigner(t *testing.T) {
	ca := authority(t)
	dir := managerFolder(t, ca)
	s, err := LoadSigner(dir)
	if err != nil {
		t.Fatal(err)
	}
	if !s.Root().Equal(ca.cert) || len(s.Roots()) != 1 || !ca.Root().Equal(ca.cert) {
		t.Error("the signer does not sign for its authority")
	}
	chain, err := s.Sign(&newKey(t).PublicKey, Request{ID: ID{"bungee", "", Host, "a"}})
	if err != nil || len(chain) != 2 {
		t.Errorf("a host's chain has %d certificates, %v", len(chain), err)
	}
	for name, change := range map[string]func(dir string){
		"no signer":            func(dir string) { os.Remove(filepath.Join(dir, "signer.pem")) },
		"no authority":         func(dir string) { os.Remove(filepath.Join(dir, RootsFile)) },
		"another's authority":  func(dir string) { os.WriteFile(filepath.Join(dir, RootsFile), certsPEM(authority(t).cert), 0o600) },
		"a key that is no key": func(dir string) { os.WriteFile(filepath.Join(dir, "signer.key"), []byte("x"), 0o600) },
	} {
		bad := managerFolder(t, ca)
		change(bad)
		if _, err := LoadSigner(bad); err == nil || !strings.Contains(err.Error(), bad) {
			t.Errorf("%s: %v; want an error that names the file", name, err)
		}
	}
}

func TestRequests(t *testing.T) {
	key := newKey(t)
	der, err := NewRequest(key)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := ParseRequest(der); err != nil || !got.Equal(&key.PublicKey) {
		t.Errorf("got %v, %v", got, err)
	}
	other, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	wrong, _ := NewRequest(other)
	forged := append([]byte(nil), der...)
	forged[len(forged)-1] ^= 1
	for name, der := range map[string][]byte{"nothing": nil, "another curve": wrong, "a forged signature": forged, "cut off": der[:100], "too long": make([]byte, maxRequest+1)} {
		if _, err := ParseRequest(der); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

// A request is taken only with a P-256 key whose signature it has.
func FuzzParseRequest(f *testing.F) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	der, err := NewRequest(key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(der)
	f.Add([]byte{0x30, 0})
	f.Fuzz(func(t *testing.T, der []byte) {
		key, err := ParseRequest(der)
		if (key == nil) == (err == nil) || key != nil && key.Curve != elliptic.P256() {
			t.Errorf("got %v, %v", key, err)
		}
	})
}
