package manager

import (
	"crypto/ecdsa"
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

var (
	errNoSigner = errors.New("this manager cannot sign: signer.pem is not in its folder")
	errGuesses  = errors.New("too many codes were wrong: wait a minute")
)

// How often a code may be wrong. A code has 128 bits, so this is about load, not about luck.
const (
	guessesEach = 5   // at once from one address, and one more each 12 s
	guessesAll  = 100 // at once from all, and ten more a second
	maxGuessers = 4096
)

// guesses bounds how often codes may be wrong.
type guesses struct {
	mu   sync.Mutex // leaf
	all  *rate.Limiter
	each map[netip.Prefix]*rate.Limiter

	enrolled, refused atomic.Uint64
}

func newGuesses() *guesses {
	return &guesses{all: rate.NewLimiter(10, guessesAll), each: map[netip.Prefix]*rate.Limiter{}}
}

// may says whether who is at from may try a code.
func (g *guesses) may(from netip.Addr, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.all.TokensAt(now) >= 1 && g.of(from, now).TokensAt(now) >= 1
}

// wrong takes note that a code from there was.
func (g *guesses) wrong(from netip.Addr, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.all.AllowN(now, 1)
	g.of(from, now).AllowN(now, 1)
}

// of returns the limiter of an address, or of a network of IPv6, where one machine has many. The mutex is held.
func (g *guesses) of(from netip.Addr, now time.Time) *rate.Limiter {
	bits := 64
	if from.Is4() {
		bits = 32
	}
	p, _ := from.Prefix(bits)
	l := g.each[p]
	if l == nil {
		for q, o := range g.each {
			if len(g.each) < maxGuessers {
				break
			}
			if o.TokensAt(now) >= guessesEach || len(g.each) >= 2*maxGuessers {
				delete(g.each, q)
			}
		}
		l = rate.NewLimiter(rate.Every(12*time.Second), guessesEach)
		g.each[p] = l
	}
	return l
}

// enrol answers an Enrol: of a stranger by its code, of another by its certificate.
func (t *talk) enrol(f wire.Enrol) error {
	cert, id, err := t.c.m.enrol(t.c.id, addressOf(t.c.link.RemoteAddr()), f, time.Now())
	rec := record{now: time.Now(), what: "enrolled", why: id.Path()}
	if err != nil {
		t.c.m.guesses.refused.Add(1)
		rec.what, rec.why = "enrolment refused", err.Error()
		if !errors.Is(err, errGuesses) { // else who guesses would write the audit
			t.c.m.audits.add(rec)
		}
		return &wire.Fail{Code: offload.CodeDenied, Text: toldOf(err)}
	}
	t.c.m.guesses.enrolled.Add(1)
	t.c.m.audits.add(rec)
	t.send(cert)
	return nil
}

// toldOf returns what a device is told: of the manager's own troubles not which.
func toldOf(err error) string {
	if errors.Is(err, errStore) {
		return "the manager cannot sign at the moment: its log says why"
	}
	return err.Error()
}

// enrol signs for a peer, the zero ID's being a stranger, at an address.
func (m *Manager) enrol(peer identity.ID, from netip.Addr, f wire.Enrol, now time.Time) (cert wire.Cert, id identity.ID, err error) {
	if m.signer == nil {
		return cert, id, errNoSigner
	}
	key, err := identity.ParseRequest(f.Request)
	if err != nil {
		return cert, id, err
	}
	sign := func(id identity.ID) ([][]byte, error) { return m.signer.Sign(key, identity.Request{ID: id}) }
	if peer != (identity.ID{}) {
		id = peer
		cert.Chain, err = m.store.renew(peer, sign)
	} else {
		cert.Chain, id, err = m.byCode(from, f.Code, key, now, sign)
	}
	if errors.Is(err, errStore) {
		m.cfg.Logger.Error("nobody can enrol", "why", err)
	}
	for _, r := range m.signer.Roots() {
		cert.Roots = append(cert.Roots, r.Raw)
	}
	return cert, id, err
}

// byCode signs for who has a code.
func (m *Manager) byCode(from netip.Addr, text string, key *ecdsa.PublicKey, now time.Time, sign func(identity.ID) ([][]byte, error)) (chain [][]byte, id identity.ID, err error) {
	if !m.guesses.may(from, now) {
		return nil, id, errGuesses
	}
	code, err := identity.ParseCode(text)
	if err == nil {
		chain, id, err = m.store.useCode(code.Secret, key, now, sign)
	}
	if err != nil {
		m.guesses.wrong(from, now)
	}
	return chain, id, err
}
