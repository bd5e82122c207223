package identity

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/bungee-xr/bungee/internal/wire"
)

// SignerName is the name of the files, .pem and .key, with which a manager signs.
const SignerName = "signer"

// maxRequest bounds a request for a certificate, in bytes; one of a P-256 key has about 200.
const maxRequest = 2 << 10

// A Fingerprint tells authorities apart: the first 16 bytes of the SHA-256 of the public key, so a rotation changes it.
type Fingerprint [16]byte

// FingerprintOf returns that of an authority's certificate.
func FingerprintOf(root *x509.Certificate) Fingerprint {
	sum := sha256.Sum256(root.RawSubjectPublicKeyInfo)
	return Fingerprint(sum[:16])
}

// LoadSigner reads the authority with which the manager whose folder dir is signs, for one of the authorities in its ca.pem.
func LoadSigner(dir string) (*Authority, error) {
	base := filepath.Join(dir, SignerName)
	pair, err := tls.LoadX509KeyPair(base+".pem", base+".key")
	if err != nil {
		return nil, fmt.Errorf("what the manager signs with, %s.pem and .key: %w; %s makes it", base, err, issues(Manager))
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s.key is not ECDSA; %s makes another", base, issues(Manager))
	}
	roots, err := ReadCertificates(filepath.Join(dir, RootsFile), MaxRoots)
	if err != nil {
		return nil, err
	}
	for _, root := range roots {
		a, bad := OpenManager(pair.Leaf, key, root)
		if bad == nil {
			a.roots = roots
			return a, nil
		}
		err = bad
	}
	return nil, fmt.Errorf("%s.pem: %w", base, err)
}

// Roots returns the certificates of the authorities that those trust for whom a signs.
func (a *Authority) Roots() []*x509.Certificate { return slices.Clone(a.roots) }

// Root returns the certificate of the authority that a signs for, which is a itself if it is no manager.
func (a *Authority) Root() *x509.Certificate {
	if len(a.above) == 0 {
		return a.cert
	}
	i := slices.IndexFunc(a.roots, func(c *x509.Certificate) bool { return a.cert.CheckSignatureFrom(c) == nil })
	return a.roots[max(i, 0)]
}

// NewRequest returns a request for a certificate for key (PKCS #10, DER). It names nobody: who signs decides that.
func NewRequest(key *ecdsa.PrivateKey) ([]byte, error) {
	return x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
}

// ParseRequest returns the key in a request, which who sent it has.
func ParseRequest(der []byte) (*ecdsa.PublicKey, error) {
	if len(der) > maxRequest {
		return nil, fmt.Errorf("request for a certificate of %d bytes; it may have %d", len(der), maxRequest)
	}
	r, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, fmt.Errorf("request for a certificate: %w", err)
	}
	key, ok := r.PublicKey.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, errors.New("request for a certificate: its key is not ECDSA P-256")
	}
	if err := r.CheckSignature(); err != nil {
		return nil, fmt.Errorf("request for a certificate: %w", err)
	}
	return key, nil
}

// enrolling returns the configuration with which a manager meets those that have no certificate yet.
// It shows the authorities, too, so that they can be known by their Fingerprint.
func (m *material) enrolling() *tls.Config {
	cert := m.cert
	for _, r := range m.roots {
		cert.Certificate = append(slices.Clip(cert.Certificate), r.Raw)
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{wire.EnrolALPN}, Certificates: []tls.Certificate{cert}, SessionTicketsDisabled: true,
	}
}

// configFor returns what an end that listens gives to a handshake.
func (m *material) configFor(h *tls.ClientHelloInfo) (*tls.Config, error) {
	if m.enrol != nil && slices.Contains(h.SupportedProtos, wire.EnrolALPN) {
		return m.enrol, nil
	}
	return m.serve, nil
}

// ForEnrolment returns the configuration with which who has no certificate dials a manager of the
// authority with a fingerprint. It accepts nobody else.
func ForEnrolment(f Fingerprint) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{wire.EnrolALPN}, ServerName: serverName,
		InsecureSkipVerify: true, // VerifyConnection does it: there is nothing yet to trust but f
		VerifyConnection:   func(s tls.ConnectionState) error { return f.check(s.PeerCertificates, time.Now()) },
	}
}

// check says why shown are not a manager's certificate and that of the authority with the fingerprint, which has signed it.
func (f Fingerprint) check(shown []*x509.Certificate, now time.Time) error {
	if len(shown) == 0 {
		return &Refusal{Why: NoCertificate}
	}
	i := slices.IndexFunc(shown, func(c *x509.Certificate) bool { return authorityOf(c) != "" && FingerprintOf(c) == f })
	if i < 0 {
		return &Refusal{OtherAuthority, "of another one than the code is for"}
	}
	root := shown[i : i+1]
	m := &material{id: ID{Authority: authorityOf(root[0])}, roots: root, pool: poolOf(root)}
	return m.check(UE.partnerOf(wire.ManagerALPN), tls.ConnectionState{PeerCertificates: shown[:1]}, now)
}
