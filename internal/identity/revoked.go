package identity

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// Bounds of a list of revoked certificates. A certificate that has ended leaves the list, so
// 100,000 is how many may be stolen in one lifetime. The bytes are those of two such lists, of the authorities of
// a rotation.
const (
	MaxRevoked      = 100_000
	maxRevokedBytes = 12 << 20
	maxRevokedLists = 4
	maxSerial       = 20 // bytes (RFC 5280 section 4.1.2.2)
)

const pemRevoked = "X509 CRL"

// Revocations are the certificates that an authority has revoked. Nil are none. They do not change.
type Revocations struct {
	Number  uint64 // of the list; a later one has a higher one
	serials map[string]time.Time
}

// Has says whether the certificate with a serial number is revoked. The numbers of all certificates
// of an authority differ, whoever signed them: they are random.
func (r *Revocations) Has(serial *big.Int) bool {
	if r == nil || serial == nil {
		return false
	}
	_, ok := r.serials[string(serial.Bytes())]
	return ok
}

// Len returns how many there are.
func (r *Revocations) Len() int {
	if r == nil {
		return 0
	}
	return len(r.serials)
}

// All calls f with each serial number and when it was revoked.
func (r *Revocations) All(f func(serial *big.Int, at time.Time)) {
	if r == nil {
		return
	}
	for s, at := range r.serials {
		f(new(big.Int).SetBytes([]byte(s)), at)
	}
}

// ParseRevocations reads lists in PEM, as SignRevocations writes them, one for each authority that has
// signed. Those that one of roots has signed count, and there must be one.
func ParseRevocations(text []byte, roots []*x509.Certificate) (*Revocations, error) {
	if len(text) > maxRevokedBytes {
		return nil, fmt.Errorf("list of revoked certificates has %d bytes; it may have %d", len(text), maxRevokedBytes)
	}
	all := &Revocations{serials: map[string]time.Time{}}
	signed := false
	for n := 0; ; n++ {
		var block *pem.Block
		block, text = pem.Decode(text)
		if block == nil {
			break
		}
		if n == maxRevokedLists {
			return nil, fmt.Errorf("more than %d lists of revoked certificates", maxRevokedLists)
		}
		if block.Type != pemRevoked {
			return nil, fmt.Errorf("a %.20q is in the list of revoked certificates", block.Type)
		}
		list, err := x509.ParseRevocationList(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("list of revoked certificates: %w", err)
		}
		by := signer(list, roots)
		if by == nil {
			continue // of the authority before, or of the next one
		}
		if err := list.CheckSignatureFrom(by); err != nil {
			return nil, fmt.Errorf("list of revoked certificates: its signature is wrong: %w", err)
		}
		signed = true
		if err := all.add(list); err != nil {
			return nil, err
		}
	}
	if !signed {
		return nil, errors.New("list of revoked certificates: none of our authorities has signed it")
	}
	if len(bytes.TrimSpace(text)) > 0 {
		return nil, errors.New("list of revoked certificates: something follows its end")
	}
	return all, nil
}

// signer returns the one of roots that has signed list, by its own words.
func signer(list *x509.RevocationList, roots []*x509.Certificate) *x509.Certificate {
	for _, r := range roots {
		if len(r.SubjectKeyId) > 0 && bytes.Equal(r.SubjectKeyId, list.AuthorityKeyId) {
			return r
		}
	}
	return nil
}

func (r *Revocations) add(list *x509.RevocationList) error {
	if list.Number == nil || list.Number.Sign() < 0 || !list.Number.IsUint64() {
		return errors.New("list of revoked certificates has no number")
	}
	r.Number = max(r.Number, list.Number.Uint64())
	if n := len(list.RevokedCertificateEntries); n > MaxRevoked {
		return fmt.Errorf("list of %d revoked certificates; there may be %d", n, MaxRevoked)
	}
	for _, e := range list.RevokedCertificateEntries {
		if e.SerialNumber == nil || e.SerialNumber.Sign() <= 0 || e.SerialNumber.BitLen() > 8*maxSerial {
			return errors.New("list of revoked certificates: a serial number is wrong")
		}
		r.serials[string(e.SerialNumber.Bytes())] = e.RevocationTime
	}
	return nil
}

// SignRevocations returns list number of revoked certificates in PEM: those of before, and serials,
// which are revoked now. Where keep is not nil, those for which it returns false leave the list.
func (a *Authority) SignRevocations(before *Revocations, number uint64, serials []*big.Int, keep func(serial *big.Int) bool) ([]byte, error) {
	now := time.Now().UTC().Truncate(time.Second)
	var entries []x509.RevocationListEntry
	before.All(func(serial *big.Int, at time.Time) {
		if keep == nil || keep(serial) {
			entries = append(entries, x509.RevocationListEntry{SerialNumber: serial, RevocationTime: at})
		}
	})
	for _, s := range serials {
		if !before.Has(s) {
			entries = append(entries, x509.RevocationListEntry{SerialNumber: s, RevocationTime: now})
		}
	}
	if len(entries) > MaxRevoked {
		return nil, fmt.Errorf("%d certificates would be revoked; there may be %d; \"bungee ca init\" in another folder makes an authority that has revoked none", len(entries), MaxRevoked)
	}
	next := a.cert.NotAfter
	if next.Before(now) {
		next = now // an authority that has ended is not trusted, and must not hinder its successor
	}
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: new(big.Int).SetUint64(number), ThisUpdate: now, NextUpdate: next, RevokedCertificateEntries: entries,
	}, a.cert, a.key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemRevoked, Bytes: der}), nil
}
