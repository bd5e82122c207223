package ue_test

import (
	"context"
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
	"sync/atomic"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/elastic"
	"github.com/bungee-xr/bungee/handler/host"
	"github.com/bungee-xr/bungee/handler/ue"
	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/race"
)

// A device is an identity in a folder.
type device struct {
	t    *testing.T
	id   identity.ID
	dir  string
	leaf *x509.Certificate
}

func newDevice(t *testing.T, id identity.ID, ca *identity.Authority) *device {
	id.Authority = ca.Name()
	d := &device{t: t, id: id, dir: t.TempDir()}
	d.renew(ca, time.Hour, ca)
	return d
}

// renew gives the device its next certificate, and whom to trust.
func (d *device) renew(ca *identity.Authority, life time.Duration, trusted ...*identity.Authority) {
	d.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		d.t.Fatal(err)
	}
	chain, err := ca.Sign(&key.PublicKey, identity.Request{ID: d.id, Life: life})
	if err != nil {
		d.t.Fatal(err)
	}
	if d.leaf, err = x509.ParseCertificate(chain[0]); err != nil {
		d.t.Fatal(err)
	}
	var roots []*x509.Certificate
	for _, a := range trusted {
		roots = append(roots, a.Certificate())
	}
	if err := identity.WriteFolder(d.dir, tls.Certificate{Certificate: chain, PrivateKey: key, Leaf: d.leaf}, roots...); err != nil {
		d.t.Fatal(err)
	}
}

func (d *device) tls() *tls.Config {
	d.t.Helper()
	s, err := identity.Open(d.dir, d.id.Role, slog.New(slog.DiscardHandler))
	if err != nil {
		d.t.Fatal(err)
	}
	return s.TLS()
}

func (d *device) revoke(ca *identity.Authority, c *x509.Certificate) {
	d.t.Helper()
	list, err := ca.SignRevocations(nil, 1, []*big.Int{c.SerialNumber}, nil)
	if err == nil {
		err = os.WriteFile(filepath.Join(d.dir, identity.RevokedFile), list, 0o600)
	}
	if err != nil {
		d.t.Fatal(err)
	}
}

func headset(tenant, name string) identity.ID {
	return identity.ID{Tenant: tenant, Role: identity.UE, Name: name}
}

var edgeID = identity.ID{Role: identity.Host, Name: "edge-1"}

// All certificates are renewed, and the authority is replaced, under 100 channels at 100 messages a second:
// nothing is lost or comes twice. As long as no authority is dropped, the channels stay where they are on
// the connection that they have.
func TestRotationUnderChannels(t *testing.T) {
	inBoth(t, func(t *testing.T, w *world) {
		next, err := identity.NewAuthority()
		if err != nil {
			t.Fatal(err)
		}
		u, e := newDevice(t, headset("acme", "a"), w.ca), newDevice(t, edgeID, w.ca)
		w.startHost(func(c *host.Config) { c.TLS, c.Calls = e.tls(), 64 })
		h := w.startUEWith(ue.Config{Edge: hostAddr.String(), TLS: u.tls()})
		var all []*flow
		n := 100
		if race.Enabled { // with the race detector a hundred take minutes: go test -run TestRotationUnderChannels ./handler/ue
			n = 10
		}
		for range n {
			ch := w.openTally(elastic.Config{})
			if err := ch.Move(t.Context(), h.Target("")); err != nil {
				t.Fatal(err)
			}
			all = append(all, flows(t, ch))
		}
		time.Sleep(time.Second)
		before := w.connections()
		stay := func(step string) {
			t.Helper()
			time.Sleep(5500 * time.Millisecond) // the UE looks each 5 s
			if n := w.connections() - before; n != 0 {
				t.Errorf("%s: %d further connections", step, n)
			}
			for i, f := range all {
				if f.ch.Where() != "edge-1" {
					t.Fatalf("%s: channel %d is on %q", step, i, f.ch.Where())
				}
			}
		}
		u.renew(w.ca, time.Hour, next, w.ca)
		e.renew(w.ca, time.Hour, next, w.ca)
		stay("renewed, and both authorities are trusted")
		e.renew(next, time.Hour, next, w.ca)
		u.renew(next, time.Hour, next, w.ca)
		stay("they have certificates of the next one")
		e.renew(next, time.Hour, next)
		u.renew(next, time.Hour, next)
		time.Sleep(7 * time.Second)
		if w.connections() == before {
			t.Error("the authority was dropped, and its connection goes on")
		}
		for _, f := range all { // on the connection of the next authority
			if err := f.ch.Move(t.Context(), h.Target("")); err != nil {
				t.Errorf("move: %v", err)
			}
		}
		time.Sleep(time.Second)
		for _, f := range all {
			f.stop()
		}
		if gap := all[0].longest(); gap > 3*time.Second {
			t.Errorf("a channel stood still for %v", gap)
		} else {
			t.Logf("the longest gap of the first channel was %v", gap)
		}
	})
}

// A device that is revoked loses its sessions within 2 s, in mid-call and in mid-stream, and cannot come
// back, with its ticket or without. Another one of the same tenant notices nothing.
func TestRevokedDevice(t *testing.T) {
	inBoth(t, func(t *testing.T, w *world) {
		stolen, other, e := newDevice(t, headset("acme", "stolen"), w.ca), newDevice(t, headset("acme", "other"), w.ca), newDevice(t, edgeID, w.ca)
		w.startHost(func(c *host.Config) { c.TLS = e.tls() })
		good := w.startUEWith(ue.Config{Edge: hostAddr.String(), TLS: other.tls()})
		bad := w.startUEWith(ue.Config{Edge: hostAddr.String(), TLS: stolen.tls()})
		var all [2]*flow
		for i, h := range []*ue.Handler{good, bad} {
			ch := w.openTally(elastic.Config{})
			if err := ch.Move(t.Context(), h.Target("")); err != nil {
				t.Fatal(err)
			}
			all[i] = flows(t, ch)
		}
		time.Sleep(3 * time.Second)
		if n := w.host.Tenants()[0].Sessions; n != 2 {
			t.Fatalf("the host has %d sessions of the tenant, want 2", n)
		}
		e.revoke(w.ca, stolen.leaf)
		begin := time.Now()
		for all[1].ch.Where() != "" && time.Since(begin) < time.Minute {
			time.Sleep(10 * time.Millisecond)
		}
		if took := time.Since(begin); took > 2*time.Second {
			t.Errorf("the revoked device's channel left after %v", took)
		} else {
			t.Logf("it left after %v", took)
		}
		time.Sleep(5 * time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if err := all[1].ch.Move(ctx, bad.Target("")); !errors.Is(err, link.ErrIdentity) {
			t.Errorf("the revoked device comes back: %v", err)
		}
		if n := w.host.Tenants()[0].Sessions; n != 1 {
			t.Errorf("the host has %d sessions of the tenant, want the other device's", n)
		}
		if where := all[0].ch.Where(); where != "edge-1" {
			t.Errorf("the other device's channel is on %q", where)
		}
		for _, f := range all {
			f.stop()
		}
		if all[0].longest() > 100*time.Millisecond {
			t.Errorf("the other device's channel stood still for %v", all[0].longest())
		}
	})
}

// A session ends with its certificate, and with the next one there is another session. A clock that is an
// hour off does not matter when a certificate is fresh.
func TestSessionEndsWithItsCertificate(t *testing.T) {
	inBoth(t, func(t *testing.T, w *world) {
		u, e := newDevice(t, headset("acme", "a"), w.ca), newDevice(t, edgeID, w.ca)
		u.renew(w.ca, 10*time.Minute, w.ca)
		w.startHost(func(c *host.Config) { c.TLS = e.tls() })
		h := w.startUEWith(ue.Config{Edge: hostAddr.String(), TLS: u.tls()})
		f := w.doubling()
		w.ready(h, &f.Desc)
		if ends := h.Stats().CertificateEnds; !ends.Equal(u.leaf.NotAfter) {
			t.Errorf("the UE says that its certificate ends on %v, want %v", ends, u.leaf.NotAfter)
		}
		if ends := w.host.CertificateEnds(); !ends.Equal(e.leaf.NotAfter) {
			t.Errorf("the host says that its certificate ends on %v, want %v", ends, e.leaf.NotAfter)
		}
		time.Sleep(9 * time.Minute)
		if n := w.connections(); n != 1 {
			t.Errorf("%d connections before the end", n)
		}
		time.Sleep(time.Minute + 2*time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if err := h.Prepare(ctx, &f.Desc); !errors.Is(err, link.ErrIdentity) {
			t.Errorf("after the end: %v", err)
		}
		u.renew(w.ca, time.Hour, w.ca)
		time.Sleep(5 * time.Second)
		w.ready(h, &f.Desc)
		if ends := h.Stats().CertificateEnds; !ends.Equal(u.leaf.NotAfter) {
			t.Errorf("renewed, the UE says %v, want %v", ends, u.leaf.NotAfter)
		}
	})
}

// However many connections come, a host checks each once a second, and none when there are none.
func TestChecksOnceASecond(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var checks atomic.Int64
		w.startHost(func(c *host.Config) {
			c.TLS = c.TLS.Clone()
			verify := c.TLS.VerifyConnection
			c.TLS.VerifyConnection = func(s tls.ConnectionState) error {
				if s.HandshakeComplete {
					checks.Add(1)
				}
				return verify(s)
			}
		})
		conf := mustTLS(t, w.ca, identity.UE)
		var all []*link.Conn
		for i := range 40 {
			c, err := link.Dial(t.Context(), w.air.Endpoint(&net.UDPAddr{IP: wifi, Port: 100 + i}), hostAddr, conf)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, c)
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(time.Second)
		if n := checks.Load(); n == 0 || n > 2*40 {
			t.Errorf("%d checks of 40 connections in two seconds", n)
		}
		for _, c := range all {
			c.Close("")
		}
		time.Sleep(2 * time.Second)
		before := checks.Load()
		time.Sleep(time.Hour)
		if n := checks.Load() - before; n != 0 {
			t.Errorf("%d checks without a connection", n)
		}
	})
}

// What a host lets in without an identity of ours is refused by the handler, too.
func TestHostThatChecksNothing(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.startHost(func(c *host.Config) {
			c.TLS = c.TLS.Clone()
			c.TLS.VerifyConnection, c.TLS.ClientAuth = nil, tls.NoClientCert
		})
		c, err := link.Dial(t.Context(), w.air.Endpoint(&net.UDPAddr{IP: wifi, Port: 77}), hostAddr, mustTLS(t, w.ca, identity.UE))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close("")
		<-c.Done()
		if err := c.Err(); !errors.Is(err, link.ErrClosed) {
			t.Errorf("a UE without a certificate: %v", err)
		}
		if n := len(w.host.Tenants()); n != 0 {
			t.Errorf("it is %d tenants", n)
		}
	})
}
