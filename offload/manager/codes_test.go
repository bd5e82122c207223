package manager

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/internal/identity"
)

var epoch = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// An issuer signs for keys, as a manager does.
type issuer struct {
	*identity.Authority
	t testing.TB
}

func newIssuer(t testing.TB) issuer {
	t.Helper()
	a, err := identity.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	return issuer{a, t}
}

func (i issuer) sign(key *ecdsa.PublicKey) func(identity.ID) ([][]byte, error) {
	return func(id identity.ID) ([][]byte, error) { return i.Sign(key, identity.Request{ID: id}) }
}

func (i issuer) ue(name string) identity.ID {
	return identity.ID{Authority: i.Name(), Tenant: "acme", Role: identity.UE, Name: name}
}

func (i issuer) fingerprint() identity.Fingerprint { return identity.FingerprintOf(i.Root()) }

func openTestStore(t testing.TB, path string) *store {
	t.Helper()
	s, err := openStore(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.close() })
	return s
}

// A code works once, for one key, for ten minutes, and for its ID only.
func TestCodesAreUsedOnce(t *testing.T) {
	ca, s := newIssuer(t), openTestStore(t, t.TempDir()+"/store")
	mine, theirs := newKey(t), newKey(t)
	code, err := s.addCode(ca.ue("headset-1"), ca.fingerprint(), epoch)
	if err != nil {
		t.Fatal(err)
	}
	first, id, err := s.useCode(code.Secret, &mine.PublicKey, epoch, ca.sign(&mine.PublicKey))
	if err != nil || id != ca.ue("headset-1") || len(first) != 1 {
		t.Fatalf("got %d certificates for %s, %v", len(first), id, err)
	}
	again, _, err := s.useCode(code.Secret, &mine.PublicKey, epoch.Add(time.Minute), func(identity.ID) ([][]byte, error) {
		return nil, errors.New("signed twice")
	})
	if err != nil || string(again[0]) != string(first[0]) {
		t.Errorf("a repeat got another answer, or %v", err)
	}
	if _, _, err := s.useCode(code.Secret, &theirs.PublicKey, epoch, ca.sign(&theirs.PublicKey)); !errors.Is(err, errUsed) {
		t.Errorf("another key got %v, want that the code was used", err)
	}
	if _, _, err := s.useCode([16]byte{1}, &theirs.PublicKey, epoch, ca.sign(&theirs.PublicKey)); !errors.Is(err, errNoCode) {
		t.Errorf("a guess got %v", err)
	}
	if _, _, err := s.useCode(code.Secret, &mine.PublicKey, epoch.Add(codeLife), ca.sign(&mine.PublicKey)); !errors.Is(err, errNoCode) {
		t.Errorf("a late repeat got %v", err)
	}
	if all, err := s.issued(); err != nil || len(all) != 1 || all[0].ID != id.String() || all[0].Serial == "" || all[0].Ends.Before(epoch) {
		t.Errorf("the store says %+v, %v", all, err)
	}
}

// Codes that are late make room, and a signer's failure leaves the code unused.
func TestCodesMakeRoom(t *testing.T) {
	ca, s := newIssuer(t), openTestStore(t, t.TempDir()+"/store")
	key := newKey(t)
	code, err := s.addCode(ca.ue("a"), ca.fingerprint(), epoch)
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("no key")
	if _, _, err := s.useCode(code.Secret, &key.PublicKey, epoch, func(identity.ID) ([][]byte, error) { return nil, broken }); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if _, _, err := s.useCode(code.Secret, &newKey(t).PublicKey, epoch, ca.sign(&key.PublicKey)); err != nil {
		t.Errorf("after a failure the code is used: %v", err)
	}
	if _, err := s.addCode(ca.ue("b"), ca.fingerprint(), epoch.Add(codeLife)); err != nil {
		t.Fatal(err)
	}
	if n := s.count(bucketCodes); n != 1 {
		t.Errorf("%d codes are kept, want the one that is not late", n)
	}
}

// A revoked ID gets no code, no certificate and no renewal.
func TestRevokedIDs(t *testing.T) {
	ca, s := newIssuer(t), openTestStore(t, t.TempDir()+"/store")
	key, id := newKey(t), ca.ue("a")
	code, err := s.addCode(id, ca.fingerprint(), epoch)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.renew(id, ca.sign(&key.PublicKey)); err != nil {
		t.Errorf("a renewal got %v", err)
	}
	for range 2 {
		if err := s.revoke(id.String(), epoch); err != nil {
			t.Fatal(err)
		}
	}
	_, _, used := s.useCode(code.Secret, &key.PublicKey, epoch, ca.sign(&key.PublicKey))
	_, renewed := s.renew(id, ca.sign(&key.PublicKey))
	_, added := s.addCode(id, ca.fingerprint(), epoch)
	for what, err := range map[string]error{"its code": used, "a renewal": renewed, "another code": added} {
		if !errors.Is(err, errRevoked) {
			t.Errorf("%s: %v, want that it is revoked", what, err)
		}
	}
	if ids, err := s.revoked(); err != nil || len(ids) != 1 || ids[0] != id.String() {
		t.Errorf("revoked are %v, %v", ids, err)
	}
}

// The store does not hold what a thief of it could enrol with.
func TestStoreKnowsNoSecret(t *testing.T) {
	ca, s := newIssuer(t), openTestStore(t, t.TempDir()+"/store")
	code, err := s.addCode(ca.ue("a"), ca.fingerprint(), epoch)
	if err != nil {
		t.Fatal(err)
	}
	if text := s.dump(); strings.Contains(text, string(code.Secret[:])) || strings.Contains(text, code.String()) {
		t.Error("the store holds a code's secret")
	}
}
