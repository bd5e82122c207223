package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bungee-xr/bungee/handler/ue"
	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/internal/link"
)

// ca runs "bungee ca" on a folder and returns what it says.
func ca(t *testing.T, dir string, args ...string) string {
	t.Helper()
	b, err := exec.Command(program, append([]string{"ca", "--dir", dir}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v: %s", args, err, b)
	}
	return string(b)
}

// folderIn returns the folder at the end of what "bungee ca issue" has said.
func folderIn(said string) string {
	return strings.TrimSpace(said[strings.LastIndex(said, ": ")+2:])
}

// An operator makes an authority, a host and two devices, and revokes one while it is connected.
func TestAuthorityByItsCommands(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ca")
	if said := ca(t, dir, "init", "--name", "acme.example"); !strings.Contains(said, "authority acme.example is made") {
		t.Errorf("init says %q", said)
	}
	if said := ca(t, dir, "init"); !strings.Contains(said, "authority acme.example was there") {
		t.Errorf("a second init says %q", said)
	}
	host := folderIn(ca(t, dir, "issue", "host", "edge-1", "--address", "edge-1.acme.example", "--address", "192.0.2.7"))
	stolen := folderIn(ca(t, dir, "issue", "ue", "stolen", "--tenant", "acme"))
	other := folderIn(ca(t, dir, "issue", "ue", "other", "--tenant", "acme"))
	if said := ca(t, dir, "issue", "ue", "other", "--tenant", "acme"); !strings.Contains(said, "was issued on") || folderIn(said) != other {
		t.Errorf("a second issue says %q", said)
	}
	short := folderIn(ca(t, dir, "issue", "ue", "short", "--lifetime", "48h"))
	for folder, days := range map[string]int{host: 365, other: 365, short: 2} {
		role := identity.UE
		if folder == host {
			role = identity.Host
		}
		s, err := identity.Open(folder, role, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := int(time.Until(s.Ends()).Round(24*time.Hour).Hours() / 24); got != days {
			t.Errorf("%s lasts for %d days, want %d", s.ID(), got, days)
		}
	}
	if said := ca(t, dir, "revoke", "ue", "short"); !strings.Contains(said, "1 certificates are revoked") {
		t.Errorf("revoke says %q", said)
	}
	if said := ca(t, dir, "renew"); said != "0 of 4 renewed\n" {
		t.Errorf("renew says %q", said)
	}
	p := &process{log: new(output)}
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("the host said:\n%s", p.log)
		}
	})
	p.start(t, []string{"host", "--listen", "127.0.0.1:0", "--certs", host, "--cache", filepath.Join(t.TempDir(), "cache"), "--name", "edge-1", "-v"})
	bad, good := startUE(t, p.with(stolen)), startUE(t, p.with(other))
	f := raw(t, "basic", 0, errNative)
	for _, h := range []*ue.Handler{bad, good} {
		ready(t, h, &f.Desc)
	}
	if said := ca(t, dir, "renew", "--all"); !strings.Contains(said, "3 of 4 renewed") {
		t.Errorf("renew --all says %q", said)
	}
	p.says(t, `msg="identity is read again" id=spiffe://acme.example/host/edge-1`, 1)
	if said := ca(t, dir, "revoke", "ue", "stolen", "--tenant", "acme"); !strings.Contains(said, "2 certificates are revoked") {
		t.Errorf("revoke says %q", said)
	}
	p.says(t, `msg="sessions of a UE are ended" ue=acme/stolen .*is revoked`, 1)
	p.says(t, `msg="handshake failed" .*is revoked`, 1) // it comes back, and is refused
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := bad.Prepare(ctx, &f.Desc); !errors.Is(err, link.ErrIdentity) {
		t.Errorf("the revoked device: %v", err)
	}
	ready(t, good, &f.Desc)
	if log := p.log.String(); strings.Contains(log, `msg="connection ends" ue=acme/other`) {
		t.Error("the other device has lost its connection")
	}
	said := ca(t, dir, "ls")
	for _, line := range []string{`host/edge-1 +\S+ +valid +here`, `tenant/acme/ue/stolen +\S+ +revoked +here`, `tenant/acme/ue/other +\S+ +valid +here`} {
		if !regexp.MustCompile(line).MatchString(said) {
			t.Errorf("ls says\n%swant %s", said, line)
		}
	}
	ca(t, dir, "rotate")
	if said := ca(t, dir, "ls"); strings.Count(said, "of the authority before") != 2 {
		t.Errorf("in a rotation ls says\n%s", said)
	}
	ca(t, dir, "renew")
	ca(t, dir, "rotate", "--end")
	ready(t, good, &f.Desc)
}

// with returns p as a UE with its identity in dir sees it.
func (p *process) with(dir string) *process { return &process{addr: p.addr, certs: dir} }

// An authority in its last year says so, since no renewal makes a certificate that lasts longer.
func TestAuthorityThatEndsSoon(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ca")
	ca(t, dir, "init", "--lifetime", "700h")
	const short = `the authority ends on .*"bungee ca rotate" makes the next one`
	for _, args := range [][]string{{"issue", "host", "h"}, {"issue", "host", "h"}, {"renew"}, {"renew", "--all"}, {"ls"}} {
		if said := ca(t, dir, args...); !regexp.MustCompile(short).MatchString(said) {
			t.Errorf("%v says %q, want %s", args, said, short)
		}
	}
	ca(t, dir, "rotate")
	if said := ca(t, dir, "renew"); regexp.MustCompile(short).MatchString(said) || !strings.Contains(said, "1 of 1 renewed") {
		t.Errorf("in a rotation renew says %q", said)
	}
}

// Two processes that issue and renew at the same time do not harm each other.
func TestTwoCommandsAtOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ca")
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for _, args := range [][]string{{"init"}, {"issue", "host", "h"}, {"renew", "host", "h"}} {
				if b, err := exec.Command(program, append([]string{"ca", "--dir", dir}, args...)...).CombinedOutput(); err != nil {
					t.Errorf("%v: %v: %s", args, err, b)
				}
			}
		})
	}
	wg.Wait()
	if _, err := identity.Open(filepath.Join(dir, "host", "h"), identity.Host, nil); err != nil {
		t.Error(err)
	}
}

// What is wrong with a command is one line that says what to do.
func TestAuthorityCommandsRefuse(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ca")
	ca(t, dir, "init")
	stray := filepath.Join(t.TempDir(), "stray")
	if err := identity.Write(stray); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		args []string
		exit int
		want string
	}{
		{[]string{"issue", "ue", "acme-*"}, 2, "other characters"},
		{[]string{"issue", "ue", "a", "--tenant", "../b"}, 2, "tenant name"},
		{[]string{"issue", "host", strings.Repeat("n", 65)}, 2, "65 bytes"},
		{[]string{"issue", "boss", "a"}, 2, "no role"},
		{[]string{"issue", "host", "a", "--lifetime", "-1h"}, 2, "--lifetime"},
		{[]string{"renew", "host"}, 2, "a role and a name"},
		{[]string{"renew", "host", "a"}, 1, "bungee ca ls"},
		{[]string{"revoke", "host", "a"}, 1, "bungee ca ls"},
		{[]string{"revoke", "certificate", filepath.Join(dir, "ca.key")}, 1, "PRIVATE KEY"},
		{[]string{"revoke", "certificate", filepath.Join(dir, "none.pem")}, 1, "none.pem"},
		{[]string{"rotate", "--end"}, 1, "bungee ca rotate"},
	}
	for _, tt := range tests {
		cmd := exec.Command(program, append([]string{"ca", "--dir", dir}, tt.args...)...)
		b, _ := cmd.CombinedOutput()
		if got := cmd.ProcessState.ExitCode(); got != tt.exit || !strings.Contains(string(b), tt.want) || strings.Count(string(b), "\n") != 1 {
			t.Errorf("%v: exit %d, %q; want %d and one line with %q", tt.args, got, b, tt.exit, tt.want)
		}
	}
}

// The user's own folder is filled when that takes nothing from anybody.
func TestOwnFolder(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	tests := []struct {
		name string
		make func(dir string) error // nil: nothing is there
		kept bool                   // what is there stays
		ok   bool
	}{
		{"nothing is there", nil, false, true},
		{"it was filled before", identity.Write, true, true},
		{"a process ended while it was filled", func(dir string) error {
			return errors.Join(identity.Write(dir), os.Remove(filepath.Join(dir, "ca.pem")))
		}, false, true},
		{"those from before there were IDs", writeUnnamed, false, true},
		{"a UE's of an authority", func(dir string) error {
			return errors.Join(identity.Write(dir), os.Remove(filepath.Join(dir, "host.pem")))
		}, true, false},
		{"a host's with a key of another", func(dir string) error {
			return errors.Join(identity.Write(dir), os.Rename(filepath.Join(dir, "ue.key"), filepath.Join(dir, "host.key")))
		}, true, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("XDG_CONFIG_HOME", t.TempDir())
			dir, err := identity.Dir()
			if err != nil {
				t.Fatal(err)
			}
			if tt.make != nil {
				if err := tt.make(dir); err != nil {
					t.Fatal(err)
				}
			}
			before, _ := os.ReadFile(filepath.Join(dir, "ue.pem"))
			s, err := hostIdentity("", log)
			if (err == nil) != tt.ok {
				t.Fatalf("got %v, want success %v", err, tt.ok)
			}
			after, _ := os.ReadFile(filepath.Join(dir, "ue.pem"))
			if kept := string(before) == string(after); kept != tt.kept {
				t.Errorf("what was there stays: %v, want %v", kept, tt.kept)
			}
			if !tt.ok {
				return
			}
			if _, err := ue.LoadTLS(""); err != nil || s.ID().Role != identity.Host {
				t.Errorf("the UE's: %v; the host is %v", err, s.ID())
			}
		})
	}
}

// After a year the user's own authority has ended, and another takes its place.
func TestOwnFolderAfterAYear(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	synctest.Test(t, func(t *testing.T) {
		log := slog.New(slog.DiscardHandler)
		first, err := hostIdentity("", log)
		if err != nil {
			t.Fatal(err)
		}
		ends := first.Ends()
		time.Sleep(366 * 24 * time.Hour)
		second, err := hostIdentity("", log)
		if err != nil {
			t.Fatal(err)
		}
		if !second.Ends().After(ends.Add(24 * time.Hour)) {
			t.Errorf("after a year the certificate ends on %v, that before on %v", second.Ends(), ends)
		}
		if got := first.Ends(); !got.Equal(second.Ends()) {
			t.Errorf("a host that still runs has not read it: %v", got)
		}
	})
}

// writeUnnamed writes a host's certificate as it was before there were IDs, with a common name and a DNS name.
func writeUnnamed(dir string) error {
	a, err := identity.NewAuthority()
	if err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "host"}, DNSNames: []string{"edge-host.bungee"}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, c, a.Certificate(), &key.PublicKey, a.Key())
	if err != nil {
		return err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for name, b := range map[string]*pem.Block{
		"ca.pem": {Type: "CERTIFICATE", Bytes: a.Certificate().Raw}, "host.pem": {Type: "CERTIFICATE", Bytes: der}, "host.key": {Type: "PRIVATE KEY", Bytes: pkcs8},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(b), 0o600); err != nil {
			return err
		}
	}
	_, err = tls.LoadX509KeyPair(filepath.Join(dir, "host.pem"), filepath.Join(dir, "host.key"))
	return err
}
