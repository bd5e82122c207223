package link_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/internal/link"
)

// folders gives the world's ends identities in folders.
type folders struct {
	ca       *identity.Authority
	ue, host string
	leaf     *x509.Certificate // of the UE
}

// inFolders makes the world's identities follow folders. The UE's certificate lasts for life.
func (w *world) inFolders(t *testing.T, life time.Duration) *folders {
	t.Helper()
	dir := t.TempDir()
	f := &folders{ca: authority(t), ue: filepath.Join(dir, "ue"), host: filepath.Join(dir, "host")}
	f.leaf = f.issue(t, f.ca, identity.ID{Tenant: "acme", Role: identity.UE, Name: "headset"}, life, f.ca)
	f.issue(t, f.ca, identity.ID{Role: identity.Host, Name: "edge-1"}, 24*time.Hour, f.ca)
	log := slog.New(slog.DiscardHandler)
	ue, err := identity.Open(f.ue, identity.UE, log)
	if err != nil {
		t.Fatal(err)
	}
	host, err := identity.Open(f.host, identity.Host, log)
	if err != nil {
		t.Fatal(err)
	}
	w.ue = ue.TLS()
	w.restart(t, host.TLS())
	return f
}

// issue writes a fresh identity into its folder, which trusts some authorities.
func (f *folders) issue(t *testing.T, ca *identity.Authority, id identity.ID, life time.Duration, trusted ...*identity.Authority) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id.Authority = ca.Name()
	chain, err := ca.Sign(&key.PublicKey, identity.Request{ID: id, Life: life})
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(chain[0])
	if err != nil {
		t.Fatal(err)
	}
	var roots []*x509.Certificate
	for _, a := range trusted {
		roots = append(roots, a.Certificate())
	}
	dir := f.ue
	if id.Role == identity.Host {
		dir = f.host
	}
	if err := identity.WriteFolder(dir, tls.Certificate{Certificate: chain, PrivateKey: key, Leaf: leaf}, roots...); err != nil {
		t.Fatal(err)
	}
	return leaf
}

func (f *folders) revoke(t *testing.T, c *x509.Certificate) {
	t.Helper()
	list, err := f.ca.SignRevocations(nil, 1, []*big.Int{c.SerialNumber}, nil)
	if err == nil {
		err = os.WriteFile(filepath.Join(f.host, identity.RevokedFile), list, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A host whose revoked UE resumes takes none of its early data.
func TestRevokedUEDoesNotResume(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		f := w.inFolders(t, 24*time.Hour)
		p := w.meet(t)
		again, _ := w.first(t, 101)
		<-again.Confirmed()
		if !again.Resumed() {
			t.Fatal("it does not resume before; the test shows nothing")
		}
		time.Sleep(time.Second)
		again.Close("")
		<-p.conns
		f.revoke(t, f.leaf)
		time.Sleep(time.Second)
		for port := 102; port < 105; port++ { // with the ticket, and then by a whole handshake
			c, err := link.Dial(t.Context(), w.air.Endpoint(&net.UDPAddr{IP: ueAddr.IP, Port: port}), hostAddr, w.ue)
			if err == nil {
				_, err = ask(t.Context(), c, "hello")
				c.Close("")
			}
			why, ok := errors.AsType[*link.CertificateError](link.Explain(err))
			if !ok || !why.Ours || why.Fault != link.Revoked {
				t.Errorf("the UE says %v, want that its certificate is revoked", err)
			}
		}
		if len(p.conns) != 0 {
			t.Error("the host accepted a connection of the revoked UE")
		}
	})
}

// A ticket ends with the certificate that it was given for: the UE's next one makes a whole handshake, and
// without a next one there is none.
func TestTicketOfAnEndedCertificate(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		f := w.inFolders(t, time.Minute)
		p := w.meet(t)
		time.Sleep(2 * time.Minute)
		c, err := link.Dial(t.Context(), w.air.Endpoint(&net.UDPAddr{IP: ueAddr.IP, Port: 101}), hostAddr, w.ue)
		if err == nil {
			_, err = ask(t.Context(), c, "hello")
			c.Close("")
		}
		if why, ok := errors.AsType[*link.CertificateError](link.Explain(err)); !ok || !why.Ours || why.Fault != link.OutOfTime {
			t.Errorf("the UE says %v, want that its certificate has ended", err)
		}
		if len(p.conns) != 0 {
			t.Error("the host accepted a UE whose certificate has ended")
		}
		f.issue(t, f.ca, identity.ID{Tenant: "acme", Role: identity.UE, Name: "headset"}, time.Hour, f.ca)
		time.Sleep(time.Second)
		if ue, _ := w.first(t, 102); ue.Resumed() {
			t.Error("the UE's next certificate resumed what the one before had begun")
		}
	})
}

// A UE does not resume with a host whose authority it trusts no longer, and does with its next certificate.
func TestHostOfADroppedAuthority(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		f := w.inFolders(t, 24*time.Hour)
		w.meet(t)
		next := authority(t)
		id := identity.ID{Tenant: "acme", Role: identity.UE, Name: "headset"}
		f.issue(t, f.ca, id, time.Hour, next, f.ca) // it trusts both
		time.Sleep(time.Second)
		w.first(t, 101)
		f.issue(t, next, identity.ID{Role: identity.Host, Name: "edge-1"}, time.Hour, next)
		f.issue(t, next, id, time.Hour, next)
		time.Sleep(time.Second)
		if ue, _ := w.first(t, 102); ue.Resumed() {
			t.Error("what the dropped authority had signed was resumed")
		}
	})
}

// A connection that is up ends when its peer is not accepted any longer, and both ends know why.
func TestPeersAreCheckedAgain(t *testing.T) {
	tests := []struct {
		name        string
		life        time.Duration
		change      func(t *testing.T, f *folders)
		host, theUE link.Fault
	}{
		{"revoked", time.Hour, func(t *testing.T, f *folders) { f.revoke(t, f.leaf) }, link.Revoked, link.Revoked},
		{"ended", time.Minute, func(*testing.T, *folders) { time.Sleep(time.Minute) }, link.Expired, link.OutOfTime},
		{"authority dropped", time.Hour, func(t *testing.T, f *folders) {
			next := authority(t)
			f.issue(t, next, identity.ID{Role: identity.Host, Name: "edge-1"}, time.Hour, next)
		}, link.OtherAuthority, link.OtherAuthority},
	}
	for _, tt := range tests {
		overBoth(t, tt.name, func(t *testing.T, over link.Transport) {
			inWorld(t, func(t *testing.T, w *world) {
				f := w.inFolders(t, tt.life)
				ue, host := w.pairOver(t, over)
				if a, b := host.PeerFault(), ue.PeerFault(); a != nil || b != nil {
					t.Fatal(a, b)
				}
				tt.change(t, f)
				time.Sleep(time.Second)
				why := host.PeerFault()
				if why == nil || why.Ours || why.Fault != tt.host {
					t.Fatalf("the host says %v", why)
				}
				host.Dismiss(why)
				if !errors.Is(host.Err(), link.ErrIdentity) {
					t.Errorf("the host's connection ended with %v", host.Err())
				}
				<-ue.Done()
				why, ok := errors.AsType[*link.CertificateError](ue.Err())
				if !ok || !why.Ours || why.Fault != tt.theUE {
					t.Errorf("the UE says %v", ue.Err())
				}
				if n := w.listener.HandshakeFailures(); n != (link.HandshakeFailures{}) {
					t.Errorf("it counts as a failed handshake: %+v", n)
				}
			})
		})
	}
}

// pairOver returns both ends of a connection.
func (w *world) pairOver(t *testing.T, over link.Transport) (ue, host *link.Conn) {
	t.Helper()
	if over == link.QUIC {
		return w.dial(t, w.air.Endpoint(ueAddr))
	}
	l := link.ListenTCP(w.air.Listen(tcpAddr(hostAddr)), w.hostTLS, nil)
	t.Cleanup(func() { l.Close() })
	accepted := make(chan *link.Conn, 1)
	go func() {
		if c, err := l.Accept(t.Context()); err == nil {
			accepted <- c
		}
	}()
	ue, err := link.DialTCP(t.Context(), w.stream(t), hostAddr, w.ue)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ue.Close("") })
	return ue, <-accepted
}
