package link_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/internal/link"
)

// An issuer is an authority that makes certificates of every wrong kind.
type issuer struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newIssuer(t *testing.T) *issuer {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, authorityTemplate(), authorityTemplate(), &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &issuer{cert, key}
}

func authorityTemplate() *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true,
		URIs: []*url.URL{{Scheme: "spiffe", Host: "bungee"}}, KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(10 * 365 * 24 * time.Hour),
	}
}

// issue makes a good certificate of role after change.
func (i *issuer) issue(t *testing.T, role identity.Role, change func(*x509.Certificate)) []tls.Certificate {
	c := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "somebody"}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		URIs: []*url.URL{{Scheme: "spiffe", Host: "bungee", Path: "/tenant/acme/ue/a"}},
	}
	if role == identity.Host {
		c.ExtKeyUsage, c.URIs[0].Path = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, "/host/a"
	}
	if change != nil {
		change(c)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, c, i.cert, &key.PublicKey, i.key)
	if err != nil {
		t.Fatal(err)
	}
	return []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}
}

func unnamed(c *x509.Certificate)   { c.URIs, c.DNSNames = nil, []string{"edge-host.bungee"} } // as before there were IDs
func elsewhere(c *x509.Certificate) { c.URIs[0].Host = "bungee.evil" }
func unused(c *x509.Certificate)    { c.ExtKeyUsage = nil }
func swapped(c *x509.Certificate) {
	if c.URIs[0].Path == "/host/a" {
		c.URIs[0].Path = "/tenant/acme/ue/a"
	} else {
		c.URIs[0].Path = "/host/a"
	}
}

func expired(c *x509.Certificate)    { c.NotAfter = time.Now().Add(-time.Minute) }
func notYet(c *x509.Certificate)     { c.NotBefore = time.Now().Add(time.Minute) }
func forNothing(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning} }

// Each end says what is wrong, once, and so that the right end can be mended.
func TestCertificatesOfEveryWrongKind(t *testing.T) {
	const ours, theirs = "the peer does not accept our certificate", "the peer's certificate "
	tests := []struct {
		name     string
		role     identity.Role // whose certificate is wrong
		change   func(*x509.Certificate)
		stranger bool // of another authority
		none     bool // there is no certificate
		ue, host string
	}{
		{"expired host", identity.Host, expired, false, false, theirs + "has expired (valid until ", ours},
		{"host of tomorrow", identity.Host, notYet, false, false, theirs + "is not valid yet (valid from ", ours},
		{"host of another authority", identity.Host, nil, true, false, theirs + "is of another authority", ours},
		{"a UE as host", identity.Host, swapped, false, false, theirs + "is for another role (spiffe://bungee/tenant/acme/ue/a", ours},
		{"a host as UE", identity.UE, swapped, false, false, ours, theirs + "is for another role (spiffe://bungee/host/a"},
		{"host of before", identity.Host, unnamed, false, false, theirs + "has no SPIFFE ID", ours},
		{"UE of before", identity.UE, unnamed, false, false, ours, "bungee ca issue"},
		{"host without usage", identity.Host, unused, false, false, theirs + "is for another use", ours},
		{"UE without usage", identity.UE, unused, false, false, ours, theirs + "is for another use"},
		{"host with another authority's name", identity.Host, elsewhere, false, false, theirs + "is of another authority", ours},
		{"UE with another authority's name", identity.UE, elsewhere, false, false, ours, theirs + "is of another authority"},
		{"host for another use", identity.Host, forNothing, false, false, theirs + "is for another use", ours},
		{"expired UE", identity.UE, expired, false, false, ours + ": it has expired or is not valid yet, by the peer's clock", theirs + "has expired (valid until "},
		{"UE of tomorrow", identity.UE, notYet, false, false, ours + ": it has expired or is not valid yet, by the peer's clock", theirs + "is not valid yet (valid from "},
		{"UE of another authority", identity.UE, nil, true, false, ours + ": it is of another authority", theirs + "is of another authority"},
		{"UE for another use", identity.UE, forNothing, false, false, ours, theirs + "is for another use"},
		{"UE without one", identity.UE, nil, false, true, ours + ": it is missing", theirs + "is missing"},
	}
	for _, tt := range tests {
		overBoth(t, tt.name, func(t *testing.T, over link.Transport) {
			inWorld(t, func(t *testing.T, w *world) {
				var log bytes.Buffer
				ca := newIssuer(t)
				w.hostTLS = identity.Static(identity.Host, ca.issue(t, identity.Host, nil)[0], ca.cert)
				w.ue = identity.Static(identity.UE, ca.issue(t, identity.UE, nil)[0], ca.cert)
				if tt.stranger {
					ca = newIssuer(t)
				}
				wrong := ca.issue(t, tt.role, tt.change)
				if tt.none {
					wrong = nil
				}
				if tt.role == identity.Host {
					w.hostTLS.Certificates = wrong
				} else {
					w.ue.Certificates = wrong
				}
				w.listener.Close()
				w.air.Leave(hostAddr)
				l := w.listenOver(t, over, &log)
				for port := range 3 {
					err := fate(t, w, over, port)
					if !errors.Is(err, link.ErrIdentity) || !strings.HasPrefix(err.Error(), tt.ue) || strings.Contains(err.Error(), "10.0.0") {
						t.Errorf("the UE says %q, want %q, no address", err, tt.ue)
					}
				}
				l.Close()
				said := log.String()
				if strings.Count(said, "\n") != 1 || !strings.Contains(said, "addr=10.0.0.1:") || !strings.Contains(said, tt.host) || len(said) > 300 {
					t.Errorf("the host says\n%swant one line with the UE's address and %q", said, tt.host)
				}
			})
		})
	}
}

// overBoth runs f for each transport.
func overBoth(t *testing.T, name string, f func(t *testing.T, over link.Transport)) {
	for _, over := range []link.Transport{link.QUIC, link.TCP} {
		t.Run(name+"/"+over.String(), func(t *testing.T) { f(t, over) })
	}
}

// listenOver listens at hostAddr, and logs to log.
func (w *world) listenOver(t *testing.T, over link.Transport, log io.Writer) io.Closer {
	t.Helper()
	logger := slog.New(slog.NewTextHandler(log, nil))
	if over == link.TCP {
		return link.ListenTCP(w.air.Listen(tcpAddr(hostAddr)), w.hostTLS, logger)
	}
	l, err := link.Listen(link.Logged(w.air.Endpoint(hostAddr), logger), w.hostTLS)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// fate dials and returns how the connection ends.
func fate(t *testing.T, w *world, over link.Transport, port int) error {
	c, err := dialOver(t, w, over, port)
	if err != nil {
		return err
	}
	defer c.Close("")
	<-c.Done()
	return c.Err()
}

func dialOver(t *testing.T, w *world, over link.Transport, port int) (*link.Conn, error) {
	if over == link.TCP {
		return link.DialTCP(t.Context(), w.stream(t), hostAddr, w.ue)
	}
	return link.Dial(t.Context(), w.air.Endpoint(&net.UDPAddr{IP: ueAddr.IP, Port: 100 + port}), hostAddr, w.ue)
}

// A peer may speak TLS, and not our protocol.
func TestPeerOfAnotherProtocol(t *testing.T) {
	overBoth(t, "h3", func(t *testing.T, over link.Transport) {
		inWorld(t, func(t *testing.T, w *world) {
			var log bytes.Buffer
			w.listener.Close()
			w.air.Leave(hostAddr)
			w.hostTLS.NextProtos = []string{"h3"}
			l := w.listenOver(t, over, &log)
			for port := range 3 {
				if err := fate(t, w, over, port); !errors.Is(err, link.ErrVersion) || !strings.HasPrefix(err.Error(), link.ErrVersion.Error()) {
					t.Errorf("the UE says %q, want %q", err, link.ErrVersion)
				}
			}
			l.Close()
			if strings.Count(log.String(), "\n") != 1 || !strings.Contains(log.String(), link.ErrVersion.Error()) {
				t.Errorf("the host says\n%swant one line with %q", log.String(), link.ErrVersion)
			}
		})
	})
}

// A peer may be something else altogether. Over TCP see TestDialTCPErrors.
func TestPeerIsSomethingElse(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.listener.Close()
		w.air.Leave(hostAddr)
		pc := w.air.Endpoint(hostAddr)
		defer pc.Close()
		go func() { // it answers everything with what is not QUIC
			b := make([]byte, 1500)
			for {
				_, from, err := pc.ReadFrom(b)
				if err != nil {
					return
				}
				pc.WriteTo([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"), from)
			}
		}()
		if err := fate(t, w, link.QUIC, 9); !errors.Is(err, link.ErrNoAnswer) {
			t.Errorf("the UE says %q, want %q", err, link.ErrNoAnswer)
		}
	})
}
