package lease

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"aidanwoods.dev/go-paseto"
	"github.com/google/go-cmp/cmp"
)

const (
	domain = "edge.example"
	host   = "spiffe://edge.example/host/edge-1"
	ue     = "spiffe://edge.example/tenant/acme/ue/headset"
)

var (
	run   = ID{1}
	issue = time.Date(2026, 11, 29, 16, 0, 0, 700e6, time.UTC)
)

func key(n byte) (ed25519.PrivateKey, [32]byte) {
	k := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize))
	return k, [32]byte(k.Public().(ed25519.PublicKey))
}

func signer(t testing.TB, n byte, domain string) *Signer {
	t.Helper()
	k, _ := key(n)
	s, err := NewSigner(k, domain)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// verifier knows keys 1 and 2.
func verifier(host string) *Verifier {
	_, one := key(1)
	_, two := key(2)
	return NewVerifier(domain, host, [][32]byte{one, two}, []ID{run, {7}})
}

func example() Lease {
	return New(Lease{
		Run: run, UE: ue, Host: host, Session: 1<<63 + 5, Module: sha256.Sum256([]byte("module")), Class: "ar",
		Limits: Limits{Rate: 30, Memory: 1 << 40, Share: 2},
	}, ID{9}, issue)
}

// secret is key 1 as the library has it.
func secret(t testing.TB) paseto.V4AsymmetricSecretKey {
	t.Helper()
	k, _ := key(1)
	s, err := paseto.NewV4AsymmetricSecretKeyFromEd25519(k)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func sign(t testing.TB, s *Signer, l Lease) []byte {
	t.Helper()
	token, err := s.Sign(l)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestSignAndVerify(t *testing.T) {
	for _, want := range []Lease{example(), New(Lease{Run: ID{7}, UE: ue, Host: host}, ID{8}, issue)} {
		token := sign(t, signer(t, 2, domain), want)
		got, err := verifier(host).Verify(token)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%v; -want +got:\n%s", err, diff)
		}
		if !bytes.HasPrefix(token, []byte("v4.public.")) || len(token) > 1000 {
			t.Errorf("a token of %d bytes: %.20s", len(token), token)
		}
	}
}

func TestVerifyRefuses(t *testing.T) {
	good := sign(t, signer(t, 1, domain), example())
	with := func(change func(*Lease)) []byte {
		l := example()
		change(&l)
		return sign(t, signer(t, 1, domain), l)
	}
	body, _ := base64.RawURLEncoding.DecodeString(strings.Split(string(good), ".")[2])
	changed := func(from, to string) []byte {
		other := bytes.Replace(body, []byte(from), []byte(to), 1)
		if bytes.Equal(other, body) {
			t.Fatalf("%s has no %q", body, from)
		}
		return []byte("v4.public." + base64.RawURLEncoding.EncodeToString(other) + "." + strings.Split(string(good), ".")[3])
	}
	own := func(claims map[string]any) []byte { // signed, and not of the form of a lease
		k, _ := key(1)
		tok, err := paseto.MakeToken(claims, keyID(k.Public().(ed25519.PublicKey)))
		if err != nil {
			t.Fatal(err)
		}
		return []byte(tok.V4Sign(secret(t), []byte(domain)))
	}
	tests := []struct {
		name  string
		token []byte
		want  error
	}{
		{"another host's", with(func(l *Lease) { l.Host = "spiffe://edge.example/host/edge-2" }), ErrHost},
		{"of a run that ended", with(func(l *Lease) { l.Run = ID{2} }), ErrRun},
		{"by another manager's key", sign(t, signer(t, 3, domain), example()), ErrKey},
		{"of another trust domain", sign(t, signer(t, 1, "other.example"), example()), ErrToken},
		{"for another tenant, changed", changed("/tenant/acme/", "/tenant/evil/"), ErrToken},
		{"for longer, changed", changed(`"exp":"2026-`, `"exp":"2036-`), ErrToken},
		{"with the footer of another key", bytes.Replace(good, []byte(strings.Split(string(good), ".")[3]), []byte(base64.RawURLEncoding.EncodeToString(keyIDOf(2))), 1), ErrToken},
		{"without a footer", []byte(strings.Join(strings.Split(string(good), ".")[:3], ".")), ErrKey},
		{"of another version", append([]byte("v2"), good[2:]...), ErrToken},
		{"cut", good[:len(good)/2], ErrToken},
		{"empty", nil, ErrToken},
		{"too long", append(good, make([]byte, MaxToken)...), ErrToken},
		{"signed, and empty", own(nil), ErrToken},
		{"signed, with a short name", own(map[string]any{"iss": "01", "jti": "", "mod": "", "ses": "5"}), ErrToken},
		{"signed, with a limit below 0", with(func(l *Lease) { l.Limits.Memory = -1 }), ErrToken},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if l, err := verifier(host).Verify(tt.token); !errors.Is(err, tt.want) {
				t.Errorf("got %+v, %v; want %v", l, err, tt.want)
			}
		})
	}
}

func keyIDOf(n byte) []byte {
	_, k := key(n)
	return keyID(k[:])
}

// Time bounds the first use, by the manager's clock.
func TestValidAt(t *testing.T) {
	l := example()
	tests := []struct {
		name  string
		after time.Duration // of its issue
		ok    bool
	}{
		{"as it is issued", 0, true},
		{"a little before, by a host's idea of the manager's clock", -time.Second, true},
		{"at its end", 59 * time.Second, true},
		{"after it", 61 * time.Second, false},
		{"an hour later", time.Hour, false},
		{"an hour before", -time.Hour, false},
	}
	for _, tt := range tests {
		if err := l.ValidAt(issue.Add(tt.after)); (err == nil) != tt.ok || err != nil && !errors.Is(err, ErrTime) {
			t.Errorf("%s: %v, want ok %v", tt.name, err, tt.ok)
		}
	}
}

func TestIsOf(t *testing.T) {
	if err := example().IsOf(ue); err != nil {
		t.Errorf("its own UE: %v", err)
	}
	for _, other := range []string{"", strings.Replace(ue, "acme", "evil", 1), ue + "2"} {
		if err := example().IsOf(other); !errors.Is(err, ErrUE) {
			t.Errorf("%q: %v, want %v", other, err, ErrUE)
		}
	}
}

// The largest IDs fit into a token; what does not is an error.
func TestSignIsBounded(t *testing.T) {
	l := example()
	l.UE, l.Host, l.Class = strings.Repeat("u", 404), strings.Repeat("h", 404), strings.Repeat("c", 64)
	if _, err := signer(t, 1, domain).Sign(l); err != nil {
		t.Errorf("a lease of the largest names: %v", err)
	}
	l.Class = strings.Repeat("c", MaxToken)
	if token, err := signer(t, 1, domain).Sign(l); err == nil {
		t.Errorf("a token of %d bytes", len(token))
	}
	if _, err := NewSigner(make(ed25519.PrivateKey, 5), domain); err == nil {
		t.Error("a key of five bytes signs")
	}
}

// A verifier keeps what it was given, whatever becomes of the list.
func TestVerifierIsItsOwn(t *testing.T) {
	_, one := key(1)
	runs := []ID{run}
	v := NewVerifier(domain, host, [][32]byte{one}, runs)
	runs[0] = ID{99}
	if _, err := v.Verify(sign(t, signer(t, 1, domain), example())); err != nil {
		t.Errorf("got %v", err)
	}
}

// No bytes but a signed token are a lease, and no claims make more of one than they say.
func FuzzVerify(f *testing.F) {
	good := sign(f, signer(f, 1, domain), example())
	f.Add(good)
	f.Add([]byte("v4.public.AAAA.AAAA"))
	f.Add([]byte("v4.public.."))
	f.Add(good[:len(good)-1])
	f.Fuzz(func(t *testing.T, token []byte) {
		l, err := verifier(host).Verify(token)
		if err == nil && !cmp.Equal(l, example()) {
			t.Errorf("%q is %+v", token, l)
		}
	})
}

// What a manager has signed, in whatever form, is read within its bounds or refused.
func FuzzClaims(f *testing.F) {
	s := signer(f, 1, domain)
	_, one := key(1)
	public, err := paseto.NewV4AsymmetricPublicKeyFromBytes(one[:])
	if err != nil {
		f.Fatal(err)
	}
	tok, _ := paseto.MakeParser(nil).ParseV4Public(public, string(sign(f, s, example())), []byte(domain))
	f.Add(tok.ClaimsJSON())
	f.Add([]byte(`{"iss":"0100","ses":"-1","lim":{"rate":-1}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		l, err := parse(body)
		if err != nil {
			return
		}
		if l.Limits.Rate < 0 || l.Limits.Memory < 0 || l.Limits.Share < 0 {
			t.Errorf("%s has limits %+v", body, l.Limits)
		}
		if !json.Valid(body) {
			t.Errorf("%q is no JSON", body)
		}
		l.ValidAt(issue)
	})
}

// A token is, byte for byte, what the library makes of the same claims.
func TestSealIsTheStandards(t *testing.T) {
	for _, l := range []Lease{example(), New(Lease{Run: ID{7}, UE: ue, Host: host}, ID{8}, issue)} {
		got := sign(t, signer(t, 1, domain), l)
		parts := strings.Split(string(got), ".")
		sealed, _ := base64.RawURLEncoding.DecodeString(parts[2])
		kid, _ := base64.RawURLEncoding.DecodeString(parts[3])
		token, err := paseto.NewTokenFromClaimsJSON(sealed[:len(sealed)-ed25519.SignatureSize], kid)
		if err != nil {
			t.Fatal(err)
		}
		if want := token.V4Sign(secret(t), []byte(domain)); string(got) != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

// BenchmarkSign is what a lease costs the manager; an Ask has two.
func BenchmarkSign(b *testing.B) {
	s, l := signer(b, 1, domain), example()
	b.ReportAllocs()
	for b.Loop() {
		sign(b, s, l)
	}
}
