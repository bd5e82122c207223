package identity

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"
)

// A Why is what is wrong with a peer's certificate although its authority has signed it.
type Why int

// What may be wrong.
const (
	NoID             Why = iota // it names nobody, as those from before there were IDs
	WrongRole                   // a UE met no edge host, or a host no UE
	WrongUsage                  // its extended key usage is not that of its role
	OtherAuthority              // its ID is of another authority than ours
	Revoked                     // it, or the manager that signed it, is revoked
	ChainTooLong                // more than one signs between it and the authority
	NoCertificate               // there is none
	ManagerOfManager            // a manager has signed it, and may sign only UEs and hosts
)

// A Refusal says why a certificate is not accepted.
type Refusal struct {
	Why    Why
	Detail string // bounded
}

func (r *Refusal) Error() string {
	text := [...]string{
		"it has no SPIFFE ID", "it is for another role", "its key usage is not that of its role", "it is of another authority",
		"it is revoked", "too many certificates are between it and the authority", "there is none", "a manager may sign only UEs and hosts",
	}[r.Why]
	if r.Detail == "" {
		return text
	}
	return text + " (" + r.Detail + ")"
}

// Unwrap returns the alert that tells the peer (RFC 8446 section 6.2). QUIC sends it; crypto/tls
// over TCP sends bad_certificate.
func (r *Refusal) Unwrap() error {
	switch r.Why {
	case Revoked:
		return tls.AlertError(44)
	case OtherAuthority:
		return tls.AlertError(48) // unknown_ca
	case NoCertificate:
		return tls.AlertError(116)
	}
	return tls.AlertError(42) // bad_certificate
}

// maxChain is the longest chain: a device, a manager, the authority.
const maxChain = 3

// check says why a peer, which must be one that want says, is not accepted at now.
func (m *material) check(want partner, s tls.ConnectionState, now time.Time) error {
	if len(s.PeerCertificates) == 0 {
		return &Refusal{Why: NoCertificate}
	}
	chain, err := m.chain(want, s, now)
	if err != nil {
		return err
	}
	return m.checkChain(want, chain)
}

// checkRaw is check of certificates as they come, of a peer that one of wants says.
func (m *material) checkRaw(raw [][]byte, now time.Time, wants ...partner) (err error) {
	var s tls.ConnectionState
	for _, der := range raw {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return err
		}
		s.PeerCertificates = append(s.PeerCertificates, c)
	}
	for _, want := range slices.Backward(wants) { // the error is that of the first
		if err = m.check(want, s, now); err == nil {
			return nil
		}
	}
	return err
}

// chain returns the chain from the peer's certificate to an authority of ours that is in force at now.
func (m *material) chain(want partner, s tls.ConnectionState, now time.Time) ([]*x509.Certificate, error) {
	if len(s.PeerCertificates) > maxChain {
		return nil, &Refusal{Why: ChainTooLong}
	}
	if len(s.VerifiedChains) > 0 { // signatures do not change
		return m.standing(s.VerifiedChains, now)
	}
	chains, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{
		Roots: m.pool, Intermediates: poolOf(s.PeerCertificates[1:]), CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{want.usage},
	})
	if err != nil {
		return nil, err
	}
	return chains[0], nil
}

// standing returns one of chains that is in force at now and ends at an authority of ours.
func (m *material) standing(chains [][]*x509.Certificate, now time.Time) ([]*x509.Certificate, error) {
	var why error
	for _, chain := range chains {
		if len(chain) == 0 {
			continue
		}
		if !slices.ContainsFunc(m.roots, chain[len(chain)-1].Equal) {
			why = x509.UnknownAuthorityError{Cert: chain[0]}
			continue
		}
		ended := slices.IndexFunc(chain, func(c *x509.Certificate) bool { return now.After(c.NotAfter) || now.Before(c.NotBefore) })
		if ended < 0 {
			return chain, nil
		}
		why = x509.CertificateInvalidError{Cert: chain[ended], Reason: x509.Expired}
	}
	if why == nil {
		why = errors.New("it has no chain")
	}
	return nil, why
}

// checkChain checks what the chain says, once it is known to be true.
func (m *material) checkChain(want partner, chain []*x509.Certificate) error {
	leaf := chain[0]
	id, err := IDOf(leaf)
	switch {
	case err != nil:
		return err
	case len(chain) > maxChain:
		return &Refusal{Why: ChainTooLong}
	case id.Authority != m.id.Authority:
		return &Refusal{OtherAuthority, fmt.Sprintf("of %.64q, not of %.64q", id.Authority, m.id.Authority)}
	case len(chain) == maxChain && id.Role == Manager:
		return &Refusal{ManagerOfManager, id.String()}
	case !slices.Contains(want.roles, id.Role):
		return &Refusal{WrongRole, fmt.Sprintf("%s, where a %s must be", id, want.roles[0])}
	case !slices.Contains(leaf.ExtKeyUsage, want.usage) || !slices.Contains(leaf.ExtKeyUsage, id.Role.usages()[0]) || leaf.IsCA:
		return &Refusal{WrongUsage, id.String()}
	}
	for _, c := range chain[:len(chain)-1] {
		if m.revoked.Has(c.SerialNumber) {
			return &Refusal{Revoked, id.String()}
		}
	}
	return nil
}

// IDOf returns the ID in a certificate: its only URI (X509-SVID standard, section 2).
func IDOf(c *x509.Certificate) (ID, error) {
	switch {
	case c == nil:
		return ID{}, &Refusal{Why: NoCertificate}
	case len(c.URIs) == 0:
		return ID{}, &Refusal{NoID, fmt.Sprintf(`of %.64q: it may be from before there were IDs; "bungee ca issue" makes others`, c.Subject.CommonName)}
	case len(c.URIs) > 1:
		return ID{}, &Refusal{NoID, fmt.Sprintf("it has %d URIs, and may have one", len(c.URIs))}
	}
	id, err := ParseID(c.URIs[0].String())
	if err != nil {
		return ID{}, &Refusal{NoID, fmt.Sprintf("%.300s", err)}
	}
	return id, nil
}
