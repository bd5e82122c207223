package manager

import (
	"crypto/ed25519"
	"time"

	"github.com/bungee-xr/bungee/internal/identity"
	tokens "github.com/bungee-xr/bungee/internal/lease"
	"github.com/bungee-xr/bungee/internal/wire"
)

// leasesOf returns what signs the leases of a run, and what reads those of all runs that count, in a trust domain.
func leasesOf(s start, domain string) (sign func(time.Time, terms) ([]byte, error), read func(string, []byte) (terms, error), err error) {
	signer, err := tokens.NewSigner(s.keys[len(s.keys)-1], domain)
	if err != nil {
		return nil, nil, err
	}
	var public [][ed25519.PublicKeySize]byte
	for _, k := range s.keys {
		public = append(public, publicOf(k))
	}
	hostID := func(name string) string {
		return identity.ID{Authority: domain, Role: identity.Host, Name: name}.String()
	}
	sign = func(now time.Time, t terms) ([]byte, error) {
		l := tokens.Lease{
			Run: s.run, UE: t.UE.String(), Host: hostID(t.Host), Session: t.Session, Module: t.Module, Class: t.Class, Limits: tokens.Limits(t.Limits),
		}
		return signer.Sign(tokens.New(l, t.ID, now))
	}
	read = func(host string, token []byte) (t terms, err error) {
		l, err := tokens.NewVerifier(domain, hostID(host), public, s.runs).Verify(token)
		if err != nil {
			return t, err
		}
		ue, err := identity.ParseID(l.UE)
		return terms{ID: l.ID, UE: ue, Host: host, Session: l.Session, Module: l.Module, Class: l.Class, Limits: wire.Limits(l.Limits)}, err
	}
	return sign, read, nil
}

func publicOf(k ed25519.PrivateKey) [ed25519.PublicKeySize]byte {
	return [ed25519.PublicKeySize]byte(k.Public().(ed25519.PublicKey))
}
