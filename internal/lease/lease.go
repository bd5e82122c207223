// Package lease makes and checks leases: an offload manager's word that a UE may run a module on an
// edge host. A lease is a token, PASETO v4.public: anybody who has it may read it, and who has the
// manager's public key can tell that it is the manager's. To UEs it is bytes.
//
// A token says who (sub) may run what (mod) where (aud), for which session (ses), within which limits
// (lim), in which class (cls); which manager's run has signed it (iss); its own name (jti); and from when to when
// it may first be used (iat, nbf, exp). The footer names the key. The trust domain is signed with it and does
// not stand in it, so a token is worth nothing in another one.
//
// All of this is pure: time is a parameter.
package lease

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"aidanwoods.dev/go-paseto"
)

const (
	// Lifetime is for how long a lease may wait for its first use.
	Lifetime = 60 * time.Second
	// Skew is by how much earlier than its issue a lease begins: tokens have whole seconds, and a
	// host knows its manager's clock no better than their round-trip time.
	Skew = 5 * time.Second
	// MaxToken bounds a token in bytes.
	MaxToken = 2 << 10
)

// Why a token is not accepted.
var (
	ErrToken = errors.New("it is no lease of this manager, or has been changed")
	ErrKey   = errors.New("its key is not one of those that count here")
	ErrRun   = errors.New("it is of a run of the manager that does not count here")
	ErrHost  = errors.New("it is for another host")
	ErrUE    = errors.New("it is another UE's")
	ErrTime  = errors.New("it is not of this time")
)

// An ID names a lease, or a run of a manager.
type ID = [16]byte

// A Lease is what a token says.
type Lease struct {
	Run     ID     // of the manager that has signed it
	ID      ID     // its own
	UE      string // the SPIFFE ID of who may use it
	Host    string // the SPIFFE ID of the host where
	Session uint64 // of the UE
	Module  [sha256.Size]byte
	Class   string // of QoS
	Limits  Limits

	// From and Until bound its first use, in whole seconds.
	From, Until time.Time
}

// Limits are what a lease allows. Zero means as the host's policy says.
type Limits struct {
	Rate   float64 `json:"rate,omitzero"`  // calls a second
	Memory int64   `json:"mem,omitzero"`   // bytes of each instance that runs for the UE
	Share  int     `json:"share,omitzero"` // calls at once that the session needs; see wire.Limits
}

// claims are a Lease as a token has it, beside those that the standard names. Their order is that of their names, as
// other makers of tokens have it.
type claims struct {
	Audience  string    `json:"aud"`
	Class     string    `json:"cls,omitzero"`
	Expires   time.Time `json:"exp"`
	Issued    time.Time `json:"iat"`
	Issuer    string    `json:"iss"`
	ID        string    `json:"jti"`
	Limits    Limits    `json:"lim,omitzero"`
	Module    string    `json:"mod"`
	NotBefore time.Time `json:"nbf"`
	Session   string    `json:"ses"` // hexadecimal: a number of JSON has 53 bits
	Subject   string    `json:"sub"`
}

// New returns a lease of a random ID for l, which may first be used between now and now + Lifetime.
func New(l Lease, id ID, now time.Time) Lease {
	l.ID = id
	l.From, l.Until = now.Add(-Skew).UTC().Truncate(time.Second), now.Add(Lifetime).UTC().Truncate(time.Second)
	return l
}

// A Signer signs the leases of a manager.
type Signer struct {
	key    ed25519.PrivateKey
	kid    []byte
	domain []byte
}

// NewSigner returns a signer for a trust domain.
func NewSigner(key ed25519.PrivateKey, domain string) (*Signer, error) {
	if len(key) != ed25519.PrivateKeySize {
		return nil, fmt.Errorf("a key of %d bytes, not %d", len(key), ed25519.PrivateKeySize)
	}
	return &Signer{slices.Clone(key), keyID(key.Public().(ed25519.PublicKey)), []byte(domain)}, nil
}

// keyID returns the footer of tokens that key checks.
func keyID(key ed25519.PublicKey) []byte {
	sum := sha256.Sum256(key)
	return hex.AppendEncode(nil, sum[:8])
}

// Sign returns the token of l. It fails when that would be over MaxToken.
func (s *Signer) Sign(l Lease) ([]byte, error) {
	body, err := json.Marshal(claims{
		Issuer: hex.EncodeToString(l.Run[:]), ID: hex.EncodeToString(l.ID[:]), Subject: l.UE, Audience: l.Host,
		Session: strconv.FormatUint(l.Session, 16), Module: hex.EncodeToString(l.Module[:]), Class: l.Class, Limits: l.Limits,
		Issued: l.From, NotBefore: l.From, Expires: l.Until,
	})
	if err != nil {
		return nil, err
	}
	token := seal(s.key, body, s.kid, s.domain)
	if len(token) > MaxToken {
		return nil, fmt.Errorf("a lease of %d bytes, over %d", len(token), MaxToken)
	}
	return token, nil
}

// header begins a token.
const header = "v4.public."

// seal returns the token v4.public of a message, a footer, and what is signed with them and does not stand in it (PASETO version 4,
// section "Sign"). The library would read the claims and write them again first, which takes as long as to sign them.
func seal(key ed25519.PrivateKey, message, footer, implicit []byte) []byte {
	signed := binary.LittleEndian.AppendUint64(make([]byte, 0, 1<<10), 4)
	for _, part := range [][]byte{[]byte(header), message, footer, implicit} { // the standard's PAE
		signed = binary.LittleEndian.AppendUint64(signed, uint64(len(part)))
		signed = append(signed, part...)
	}
	sealed := append(slices.Clip(message), ed25519.Sign(key, signed)...)
	encoding := base64.RawURLEncoding
	token := make([]byte, 0, len(header)+encoding.EncodedLen(len(sealed))+1+encoding.EncodedLen(len(footer)))
	token = append(token, header...)
	token = encoding.AppendEncode(token, sealed)
	token = append(token, '.')
	return encoding.AppendEncode(token, footer)
}

// A Verifier checks leases. It does not change and may be used by many goroutines.
type Verifier struct {
	domain []byte
	host   string
	keys   map[string]paseto.V4AsymmetricPublicKey
	runs   []ID
}

// NewVerifier returns a verifier of leases for host, its SPIFFE ID, in a trust domain, that one of keys has
// signed in one of runs.
func NewVerifier(domain, host string, keys [][ed25519.PublicKeySize]byte, runs []ID) *Verifier {
	v := &Verifier{[]byte(domain), host, map[string]paseto.V4AsymmetricPublicKey{}, slices.Clone(runs)}
	for _, k := range keys {
		if public, err := paseto.NewV4AsymmetricPublicKeyFromBytes(k[:]); err == nil {
			v.keys[string(keyID(k[:]))] = public
		}
	}
	return v
}

// Verify returns what a token says, once it is known to be the manager's and for this host. It asks no
// clock: see [Lease.ValidAt]. Nor does it ask whose it is: see [Lease.IsOf].
func (v *Verifier) Verify(token []byte) (Lease, error) {
	if len(token) > MaxToken {
		return Lease{}, ErrToken
	}
	text, p := string(token), paseto.MakeParser(nil)
	kid, err := p.UnsafeParseFooter(paseto.V4Public, text)
	if err != nil {
		return Lease{}, ErrToken
	}
	key, ok := v.keys[string(kid)]
	if !ok {
		return Lease{}, ErrKey
	}
	t, err := p.ParseV4Public(key, text, v.domain)
	if err != nil {
		return Lease{}, ErrToken
	}
	l, err := parse(t.ClaimsJSON())
	switch {
	case err != nil:
		return Lease{}, fmt.Errorf("%w (%.200s)", ErrToken, err)
	case !slices.Contains(v.runs, l.Run):
		return Lease{}, ErrRun
	case l.Host != v.host:
		return Lease{}, ErrHost
	}
	return l, nil
}

// parse reads claims that are known to be the manager's.
func parse(body []byte) (Lease, error) {
	var c claims
	if err := json.Unmarshal(body, &c); err != nil {
		return Lease{}, err
	}
	l := Lease{UE: c.Subject, Host: c.Audience, Class: c.Class, Limits: c.Limits, From: c.NotBefore.UTC(), Until: c.Expires.UTC()}
	session, err := strconv.ParseUint(c.Session, 16, 64)
	l.Session = session
	for _, f := range []struct {
		to   []byte
		from string
	}{{l.Run[:], c.Issuer}, {l.ID[:], c.ID}, {l.Module[:], c.Module}} {
		if b, e := hex.DecodeString(f.from); e != nil || copy(f.to, b) != len(f.to) || len(b) != len(f.to) {
			err = errors.New("a name in it has another length")
		}
	}
	if c.Limits.Rate < 0 || math.IsInf(c.Limits.Rate, 0) || c.Limits.Memory < 0 || c.Limits.Share < 0 {
		err = errors.New("a limit in it is below 0")
	}
	return l, err
}

// ValidAt says why the lease may not be used for the first time at now, by its manager's clock.
func (l Lease) ValidAt(now time.Time) error {
	if now.Before(l.From) || now.After(l.Until) {
		return fmt.Errorf("%w: from %s until %s, and by the manager's clock it is %s", ErrTime,
			l.From.Format(time.TimeOnly), l.Until.Format(time.TimeOnly), now.UTC().Format(time.DateTime))
	}
	return nil
}

// IsOf says why ue, a SPIFFE ID, may not use the lease.
func (l Lease) IsOf(ue string) error {
	if ue != l.UE {
		return fmt.Errorf("%w: %.300s", ErrUE, l.UE)
	}
	return nil
}
