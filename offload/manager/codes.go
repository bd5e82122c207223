package manager

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"github.com/bungee-xr/bungee/internal/identity"
)

// codeLife is how long a code can be used.
const codeLife = 10 * time.Minute

// A codeRecord is what the store has of a code, whose secret it does not know.
type codeRecord struct {
	ID    string
	Until time.Time
	Key   []byte   // hash of the key that has used it
	Chain [][]byte // that this key got
}

// The reasons not to sign.
var (
	errNoCode  = errors.New("there is no such code, or it is too late: a code is good for 10 minutes")
	errUsed    = errors.New("the code was used with another key: if that was not you, revoke its ID")
	errRevoked = errors.New("the ID is revoked, for good: enrol another name")
)

// hashOf is by which the store knows a code, so that who reads the store cannot use it.
func hashOf(secret [16]byte) []byte {
	sum := sha256.Sum256(append([]byte("bungee code "), secret[:]...))
	return sum[:]
}

// addCode makes a code for an ID.
func (s *store) addCode(id identity.ID, authority identity.Fingerprint, now time.Time) (identity.Code, error) {
	c := identity.Code{Authority: authority}
	rand.Read(c.Secret[:])
	return c, s.update(func(tx *bbolt.Tx) error {
		if isRevoked(tx, id.String()) {
			return fmt.Errorf("%s: %w", id, errRevoked)
		}
		codes := tx.Bucket(bucketCodes)
		live, err := dropLate(codes, now)
		if err != nil {
			return err
		}
		if live >= maxCodes {
			return fmt.Errorf("%d codes can be used at the moment, and no more may be: wait for 10 minutes", live)
		}
		return putJSON(codes, hashOf(c.Secret), codeRecord{ID: id.String(), Until: now.Add(codeLife)})
	})
}

// dropLate removes the codes that can be used no longer, and says how many are left.
func dropLate(codes *bbolt.Bucket, now time.Time) (live int, err error) {
	var late [][]byte
	if err := codes.ForEach(func(hash, text []byte) error {
		var r codeRecord
		if json.Unmarshal(text, &r) == nil && now.Before(r.Until) {
			live++
		} else {
			late = append(late, bytes.Clone(hash))
		}
		return nil
	}); err != nil {
		return 0, err
	}
	for _, hash := range late {
		if err := codes.Delete(hash); err != nil {
			return 0, err
		}
	}
	return live, nil
}

// useCode has sign make the certificate of a code's ID for a key. A repeat with that key gets the same
// certificate, and another key none.
func (s *store) useCode(secret [16]byte, key *ecdsa.PublicKey, now time.Time, sign func(identity.ID) ([][]byte, error)) (chain [][]byte, id identity.ID, err error) {
	by, err := hashOfKey(key)
	if err != nil {
		return nil, id, err
	}
	return chain, id, s.update(func(tx *bbolt.Tx) error {
		codes := tx.Bucket(bucketCodes)
		r, err := findCode(codes, secret, now)
		if err != nil {
			return err
		}
		if id, err = identity.ParseID(r.ID); err != nil {
			return err
		}
		switch {
		case isRevoked(tx, r.ID):
			return errRevoked
		case r.Key != nil && subtle.ConstantTimeCompare(r.Key, by) != 1:
			return errUsed
		case r.Key != nil:
			chain = r.Chain
			return nil
		}
		if chain, err = sign(id); err != nil {
			return err
		}
		r.Key, r.Chain = by, chain
		return errors.Join(putJSON(codes, hashOf(secret), r), putChain(tx, id, chain))
	})
}

// findCode looks a code up by its hash, so the time that takes tells nothing about codes.
func findCode(codes *bbolt.Bucket, secret [16]byte, now time.Time) (r codeRecord, err error) {
	text := codes.Get(hashOf(secret))
	if text == nil {
		return r, errNoCode
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return r, err
	}
	if !now.Before(r.Until) {
		return r, errNoCode
	}
	return r, nil
}

// renew has sign make the next certificate of an ID.
func (s *store) renew(id identity.ID, sign func(identity.ID) ([][]byte, error)) (chain [][]byte, err error) {
	return chain, s.update(func(tx *bbolt.Tx) error {
		if isRevoked(tx, id.String()) {
			return errRevoked
		}
		if chain, err = sign(id); err != nil {
			return err
		}
		return putChain(tx, id, chain)
	})
}

// putChain takes note of a certificate that was signed.
func putChain(tx *bbolt.Tx, id identity.ID, chain [][]byte) error {
	leaf, err := x509.ParseCertificate(chain[0])
	if err != nil {
		return err
	}
	return putIssued(tx, issuedCertificate{ID: id.String(), Serial: fmt.Sprintf("%x", leaf.SerialNumber), Ends: leaf.NotAfter})
}

func hashOfKey(key *ecdsa.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(der)
	return sum[:], nil
}
