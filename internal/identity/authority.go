package identity

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// lifetime is that of certificates for which nobody says another.
const lifetime = 365 * 24 * time.Hour

// slack is how long before its making a certificate is valid: clocks of devices are off, by a
// whole hour where somebody has mistaken the time zone.
const slack = 2 * time.Hour

// An Authority signs certificates: the authority of all, or a manager for it.
type Authority struct {
	name  string
	cert  *x509.Certificate
	key   *ecdsa.PrivateKey
	roots []*x509.Certificate // what its devices trust
	above [][]byte            // a manager's own certificate, which follows those that it signs
}

// NewAuthority makes a throw-away authority with a fresh key.
func NewAuthority() (*Authority, error) { return CreateAuthority("bungee", lifetime) }

// CreateAuthority makes an authority with a name, a fresh key, and a certificate that lasts for life.
func CreateAuthority(name string, life time.Duration) (*Authority, error) {
	if err := CheckAuthority(name); err != nil {
		return nil, err
	}
	if net.ParseIP(name) != nil || strings.Contains("."+name+".", "..") {
		return nil, fmt.Errorf("authority's name %q must be like a host's, and no IP address: certificates of managers are bound to it", name)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	t := template(life)
	t.Subject = pkix.Name{CommonName: "Bungee authority"}
	t.URIs = []*url.URL{{Scheme: "spiffe", Host: name}} // no path (X509-SVID standard, section 2)
	t.IsCA, t.BasicConstraintsValid, t.MaxPathLen = true, true, 1
	t.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	der, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return OpenAuthority(cert, key)
}

// OpenAuthority returns the authority with a certificate and its key.
func OpenAuthority(cert *x509.Certificate, key *ecdsa.PrivateKey) (*Authority, error) {
	switch {
	case authorityOf(cert) == "":
		return nil, errors.New("the certificate is not that of an authority")
	case !key.PublicKey.Equal(cert.PublicKey):
		return nil, errors.New("the authority's key and certificate do not belong together")
	}
	return &Authority{name: authorityOf(cert), cert: cert, key: key, roots: []*x509.Certificate{cert}}, nil
}

// authorityOf returns the name in the certificate of an authority, "" if it is none.
func authorityOf(cert *x509.Certificate) string {
	if !cert.IsCA || len(cert.URIs) != 1 || cert.URIs[0].Path != "" || CheckAuthority(cert.URIs[0].Host) != nil {
		return ""
	}
	return cert.URIs[0].Host
}

// OpenManager returns the authority of a manager, which signs for the one with the certificate root.
func OpenManager(cert *x509.Certificate, key *ecdsa.PrivateKey, root *x509.Certificate) (*Authority, error) {
	a, err := OpenAuthority(cert, key)
	if err != nil {
		return nil, err
	}
	if err := cert.CheckSignatureFrom(root); err != nil {
		return nil, fmt.Errorf("the manager's certificate is not the authority's: %w", err)
	}
	a.roots, a.above = []*x509.Certificate{root}, [][]byte{cert.Raw}
	return a, nil
}

// Name returns the name of the authority, Certificate its certificate, and Key its key.
func (a *Authority) Name() string { return a.name }

// Certificate returns the authority's certificate.
func (a *Authority) Certificate() *x509.Certificate { return a.cert }

// Key returns the authority's key.
func (a *Authority) Key() *ecdsa.PrivateKey { return a.key }

// A Request is what a certificate shall say.
type Request struct {
	ID        ID
	Life      time.Duration // zero means a year
	Addresses []string      // names and IP addresses of a host, for tools that ask for them; we do not
}

// Sign returns the certificate of who has the key to pub, and those above it, but the authority's.
// It ends with the authority's at the latest.
func (a *Authority) Sign(pub *ecdsa.PublicKey, r Request) ([][]byte, error) {
	if err := r.ID.Check(); err != nil {
		return nil, err
	}
	if r.ID.Authority != a.name {
		return nil, fmt.Errorf("%s is of another authority than %s", r.ID, a.name)
	}
	t := template(r.Life)
	t.Subject = pkix.Name{CommonName: r.ID.Name} // for who reads it; nothing depends on it
	u, err := url.Parse(r.ID.String())
	if err != nil {
		return nil, err
	}
	t.URIs = []*url.URL{u}
	t.BasicConstraintsValid = true
	t.KeyUsage = x509.KeyUsageDigitalSignature
	t.ExtKeyUsage = r.ID.Role.usages()
	for _, addr := range r.Addresses {
		if ip := net.ParseIP(addr); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, addr)
		}
	}
	der, err := a.sign(t, pub)
	if err != nil {
		return nil, err
	}
	return append([][]byte{der}, a.above...), nil
}

// SignManager returns a certificate with which a manager may sign UEs and hosts of this
// authority: no further authorities, no other names, no managers.
func (a *Authority) SignManager(pub *ecdsa.PublicKey, name string, life time.Duration) ([]byte, error) {
	if err := CheckName(name); err != nil {
		return nil, err
	}
	t := template(life)
	t.Subject = pkix.Name{CommonName: "Bungee manager " + name}
	t.URIs = []*url.URL{{Scheme: "spiffe", Host: a.name}}
	t.IsCA, t.BasicConstraintsValid, t.MaxPathLenZero = true, true, true
	t.KeyUsage = x509.KeyUsageCertSign
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	t.PermittedURIDomains, t.PermittedDNSDomainsCritical = []string{a.name}, true
	return a.sign(t, pub)
}

func (a *Authority) sign(t *x509.Certificate, pub *ecdsa.PublicKey) ([]byte, error) {
	if end := a.cert.NotAfter; time.Now().After(end) {
		next := `"bungee ca rotate" makes the next authority`
		if a.above != nil {
			next = `"bungee ca renew manager NAME" makes what this manager signs with next`
		}
		return nil, fmt.Errorf("what would sign has ended on %s; %s", end.UTC().Format("2006-01-02 15:04 UTC"), next)
	}
	if t.NotAfter.After(a.cert.NotAfter) {
		t.NotAfter = a.cert.NotAfter
	}
	return x509.CreateCertificate(rand.Reader, t, a.cert, pub, a.key)
}

// LifeOf returns for how long a certificate was made.
func LifeOf(c *x509.Certificate) time.Duration { return c.NotAfter.Sub(c.NotBefore) - slack }

// template returns a certificate with a serial number that lasts for life from now on.
func template(life time.Duration) *x509.Certificate {
	if life == 0 {
		life = lifetime
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		panic("identity: no randomness: " + err.Error())
	}
	now := time.Now()
	return &x509.Certificate{SerialNumber: serial, NotBefore: now.Add(-slack), NotAfter: now.Add(life)}
}

// Issue makes a certificate and key for role. name says whose it is; the tenant of a UE has the
// same.
func (a *Authority) Issue(role Role, name string) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	id := ID{Authority: a.name, Role: role, Name: name}
	if role == UE {
		id.Tenant = name
	}
	chain, err := a.Sign(&key.PublicKey, Request{ID: id})
	if err != nil {
		return tls.Certificate{}, err
	}
	leaf, err := x509.ParseCertificate(chain[0])
	return tls.Certificate{Certificate: chain, PrivateKey: key, Leaf: leaf}, err
}

// TLS issues a certificate and returns the configuration of its role.
func (a *Authority) TLS(role Role, name string) (*tls.Config, error) {
	cert, err := a.Issue(role, name)
	if err != nil {
		return nil, err
	}
	return Static(role, cert, a.roots...), nil
}

// Write makes an authority and writes it into dir with a certificate for each
// role: ca.pem, ue.pem and ue.key, host.pem and host.key, manager.pem and manager.key with what the manager
// signs with, signer.pem and signer.key. The authority's key is thrown away; package authority keeps it. If a file
// exists already, Write keeps it and fails.
func Write(dir string) error {
	a, err := NewAuthority()
	if err != nil {
		return err
	}
	return a.Write(dir)
}

// Write writes what the function of this name does, with fresh certificates of a.
func (a *Authority) Write(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, role := range []Role{UE, Host, Manager} {
		cert, err := a.Issue(role, role.String())
		if err == nil {
			err = writePair(filepath.Join(dir, role.String()), cert.Certificate[0], cert.PrivateKey)
		}
		if err != nil {
			return err
		}
	}
	if err := a.writeSigner(dir); err != nil {
		return err
	}
	return writePEM(filepath.Join(dir, RootsFile), pemCertificate, a.cert.Raw, 0o644)
}

// writeSigner writes what the manager in dir signs with.
func (a *Authority) writeSigner(dir string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := a.SignManager(&key.PublicKey, Manager.String(), 0)
	if err != nil {
		return err
	}
	return writePair(filepath.Join(dir, SignerName), der, key)
}

const pemCertificate = "CERTIFICATE"

func writePair(base string, cert []byte, key any) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := writePEM(base+".key", "PRIVATE KEY", der, 0o600); err != nil {
		return err
	}
	return writePEM(base+".pem", pemCertificate, cert, 0o644)
}

func writePEM(path, kind string, der []byte, mode os.FileMode) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	if err := pem.Encode(f, &pem.Block{Type: kind, Bytes: der}); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// WriteFolder writes what the device with cert needs into dir, in place of what is there: each file at once.
func WriteFolder(dir string, cert tls.Certificate, roots ...*x509.Certificate) error {
	id, err := IDOf(cert.Leaf)
	if err != nil {
		return err
	}
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		return err
	}
	encode := func(kind string, ders ...[]byte) (text []byte) {
		for _, der := range ders {
			text = append(text, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})...)
		}
		return text
	}
	var trusted [][]byte
	for _, r := range roots {
		trusted = append(trusted, r.Raw)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, f := range []struct {
		name string
		text []byte
	}{
		{RootsFile, encode(pemCertificate, trusted...)},
		{id.Role.String() + ".key", encode("PRIVATE KEY", key)},
		{id.Role.String() + ".pem", encode(pemCertificate, cert.Certificate...)},
	} {
		tmp := filepath.Join(dir, "."+f.name+".tmp")
		if err := errors.Join(os.WriteFile(tmp, f.text, 0o600), os.Rename(tmp, filepath.Join(dir, f.name))); err != nil {
			return err
		}
	}
	return nil
}
