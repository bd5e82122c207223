// Package identity owns certificates: a throw-away or file-based authority, the
// certificates that it issues to UEs and edge hosts, and the TLS configurations made
// from them. Every link is TLS 1.3 with certificates on both ends.
//
// A certificate is for one role. An edge host's only accepts connections, and a UE's only
// makes them, so who steals a UE's certificate cannot pose as an edge host.
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
	"os"
	"path/filepath"
	"time"

	"github.com/bungee-xr/bungee/internal/wire"
)

// A Role is the use of a certificate.
type Role int

// The roles. Each is the name of its files in a folder, too.
const (
	UE Role = iota
	Host
)

// String returns "ue" or "host".
func (r Role) String() string {
	if r == Host {
		return "host"
	}
	return "ue"
}

// hostName is the DNS name in each edge host's certificate. A UE checks that its
// peer is an edge host of its authority, whatever address it has.
const hostName = "edge-host.bungee"

// lifetime is that of all certificates. They are those of a throw-away authority, which a
// command makes again, not of a public key infrastructure.
const lifetime = 365 * 24 * time.Hour

// An Authority signs certificates.
type Authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewAuthority makes an authority with a fresh key.
func NewAuthority() (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	t := template("Bungee authority")
	t.IsCA, t.BasicConstraintsValid = true, true
	t.KeyUsage = x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return &Authority{cert, key}, err
}

// Issue makes a certificate and key for role. name says whose it is.
func (a *Authority) Issue(role Role, name string) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	t := template(name)
	t.KeyUsage = x509.KeyUsageDigitalSignature
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if role == Host {
		t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		t.DNSNames = []string{hostName}
	}
	der, err := x509.CreateCertificate(rand.Reader, t, a.cert, &key.PublicKey, a.key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// TLS issues a certificate and returns the TLS configuration of its role.
func (a *Authority) TLS(role Role, name string) (*tls.Config, error) {
	cert, err := a.Issue(role, name)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return config(role, cert, pool), nil
}

func template(name string) *x509.Certificate {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		panic("identity: no randomness: " + err.Error())
	}
	begin := time.Now().Add(-time.Hour) // clocks of devices are off
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    begin,
		NotAfter:     begin.Add(lifetime),
	}
}

func config(role Role, cert tls.Certificate, authority *x509.CertPool) *tls.Config {
	c := &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{cert},
		NextProtos:   append([]string{wire.ALPN}, wire.Before...),
	}
	if role == Host {
		c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, authority
	} else {
		c.RootCAs, c.ServerName = authority, hostName
	}
	return c
}

// Peer returns the name in the certificate that the other end has proved.
func Peer(s tls.ConnectionState) string {
	if len(s.PeerCertificates) == 0 {
		return ""
	}
	return s.PeerCertificates[0].Subject.CommonName
}

// Write makes an authority and writes it into dir with a certificate for each
// role: ca.pem, ue.pem and ue.key, host.pem and host.key. The authority's key is
// thrown away, so nobody can issue further certificates: to let another machine in, copy
// ca.pem and a role's two files to it. If a file exists already, Write keeps it and
// fails.
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
	for _, role := range []Role{UE, Host} {
		if err := a.write(dir, role); err != nil {
			return err
		}
	}
	return writePEM(filepath.Join(dir, "ca.pem"), "CERTIFICATE", a.cert.Raw, 0o644)
}

func (a *Authority) write(dir string, role Role) error {
	cert, err := a.Issue(role, role.String())
	if err != nil {
		return err
	}
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		return err
	}
	base := filepath.Join(dir, role.String())
	if err := writePEM(base+".key", "PRIVATE KEY", key, 0o600); err != nil {
		return err
	}
	return writePEM(base+".pem", "CERTIFICATE", cert.Certificate[0], 0o644)
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

// Load returns the TLS configuration of role from the files that Write wrote.
func Load(dir string, role Role) (*tls.Config, error) {
	base := filepath.Join(dir, role.String())
	cert, err := tls.LoadX509KeyPair(base+".pem", base+".key")
	if err != nil {
		return nil, fmt.Errorf(`certificate of the %s: %w; "bungee certs %s" makes one`, role, err, dir)
	}
	ca, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return nil, errors.New(filepath.Join(dir, "ca.pem") + " holds no certificate")
	}
	return config(role, cert, pool), nil
}

// Dir returns the folder where the commands keep certificates of this user.
func Dir() (string, error) {
	d, err := os.UserConfigDir()
	return filepath.Join(d, "bungee", "certs"), err
}
