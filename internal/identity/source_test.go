package identity

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A folder is that of a device, whose files a test changes.
type folder struct {
	t   *testing.T
	dir string
}

func newFolder(t *testing.T, a *Authority) folder {
	t.Helper()
	f := folder{t, filepath.Join(t.TempDir(), "certs")}
	if err := a.Write(f.dir); err != nil {
		t.Fatal(err)
	}
	return f
}

// put replaces a file as operators do: a new one in its place.
func (f folder) put(name string, text []byte) {
	f.t.Helper()
	tmp := filepath.Join(f.dir, name+".tmp")
	if err := errors.Join(os.WriteFile(tmp, text, 0o600), os.Rename(tmp, filepath.Join(f.dir, name))); err != nil {
		f.t.Fatal(err)
	}
}

// from replaces files by those of another folder.
func (f folder) from(other folder, names ...string) {
	f.t.Helper()
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join(other.dir, name))
		if err != nil {
			f.t.Fatal(err)
		}
		f.put(name, text)
	}
}

func (f folder) open(role Role, log *slog.Logger) *Source {
	f.t.Helper()
	s, err := Open(f.dir, role, log)
	if err != nil {
		f.t.Fatal(err)
	}
	return s
}

func certsPEM(certs ...*x509.Certificate) (text []byte) {
	for _, c := range certs {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: pemCertificate, Bytes: c.Raw})...)
	}
	return text
}

// A running UE and a running host take their next certificates, their next authority and a list of revoked
// ones, without a restart; the authority of before counts until it is dropped.
func TestSourcesFollowTheirFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old, next := authority(t), authority(t)
		ueFolder, hostFolder, nextFolder := newFolder(t, old), newFolder(t, old), newFolder(t, next)
		log := slog.New(slog.DiscardHandler)
		u, h := ueFolder.open(UE, log), hostFolder.open(Host, log)
		uc, hc := u.TLS(), h.TLS()
		meet := func(step string, ok bool) tls.ConnectionState {
			t.Helper()
			time.Sleep(pollEvery)
			id, ueErr, hostErr := handshake(t, uc, hc)
			if (ueErr == nil && hostErr == nil) != ok {
				t.Fatalf("%s: UE: %v, host: %v; want success %v", step, ueErr, hostErr, ok)
			}
			if ok && id.Name != "ue" {
				t.Errorf("%s: the host sees %v", step, id)
			}
			return tls.ConnectionState{PeerCertificates: []*x509.Certificate{Leaf(uc)}}
		}
		first := meet("begin", true)
		if err := Recheck(hc, first); err != nil {
			t.Errorf("what has just been accepted: %v", err)
		}
		both := certsPEM(next.cert, old.cert)
		hostFolder.put(RootsFile, both)
		ueFolder.put(RootsFile, both)
		meet("both authorities are trusted", true)
		ueFolder.from(nextFolder, "ue.key", "ue.pem")
		second := meet("the UE has its next certificate", true)
		if u.Ends() != Leaf(uc).NotAfter || u.ID().Name != "ue" {
			t.Errorf("the source says %v, %v", u.ID(), u.Ends())
		}
		hostFolder.from(nextFolder, "host.key", "host.pem")
		meet("so has the host", true)
		hostFolder.put(RootsFile, certsPEM(next.cert))
		ueFolder.put(RootsFile, certsPEM(next.cert))
		meet("the authority of before is dropped", true)
		if err := Recheck(hc, first); err == nil {
			t.Error("the UE of the authority that was dropped is still accepted")
		}
		if err := Recheck(hc, second); err != nil {
			t.Errorf("the UE of the next one is not: %v", err)
		}
		list, err := next.SignRevocations(nil, 1, []*big.Int{Leaf(uc).SerialNumber}, nil)
		if err != nil {
			t.Fatal(err)
		}
		hostFolder.put(RevokedFile, list)
		meet("the UE is revoked", false)
		if r, ok := errors.AsType[*Refusal](Recheck(hc, second)); !ok || r.Why != Revoked {
			t.Errorf("a revoked UE: %v", r)
		}
	})
}

// Files that cannot be used change nothing, and are said once, and by Reload.
func TestSourceKeepsWhatItHas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := authority(t)
		f, other := newFolder(t, a), newFolder(t, authority(t))
		serial := big.NewInt(5)
		list := func(n uint64) []byte {
			text, err := a.SignRevocations(nil, n, []*big.Int{serial}, nil)
			if err != nil {
				t.Fatal(err)
			}
			return text
		}
		f.put(RevokedFile, list(3))
		var log bytes.Buffer
		s := f.open(Host, slog.New(slog.NewTextHandler(&log, nil)))
		good := map[string][]byte{}
		for _, name := range []string{"host.pem", "host.key", RootsFile, RevokedFile} {
			text, err := os.ReadFile(filepath.Join(f.dir, name))
			if err != nil {
				t.Fatal(err)
			}
			good[name] = text
		}
		leaf := Leaf(s.TLS())
		tests := []struct {
			name, file, says string
			change           func(path string)
		}{
			{"a key of another certificate", "host.key", "host.pem", func(string) { f.from(other, "host.key") }},
			{"half a key", "host.key", "host.pem", func(string) { f.put("host.key", good["host.key"][:50]) }},
			{"no key", "host.key", "host.key", func(path string) { os.Remove(path) }},
			{"a folder in place of the key", "host.key", "host.key", func(path string) { os.Remove(path); os.Mkdir(path, 0o700) }},
			{"an empty certificate, as a full disk leaves it", "host.pem", "host.pem", func(string) { f.put("host.pem", nil) }},
			{"a UE's certificate", "host.pem", "host.pem", func(string) {
				f.from(f, "ue.pem")
				f.put("host.pem", must(os.ReadFile(filepath.Join(f.dir, "ue.pem"))))
			}},
			{"another authority", RootsFile, "none of the authorities", func(string) { f.from(other, RootsFile) }},
			{"no authority", RootsFile, "holds no certificate", func(string) { f.put(RootsFile, []byte("# none\n")) }},
			{"nine authorities", RootsFile, "more than 8", func(string) {
				f.put(RootsFile, bytes.Repeat(good[RootsFile], 9))
			}},
			{"a file without end", RootsFile, "larger than", func(string) { f.put(RootsFile, make([]byte, maxFile+1)) }},
			{"a list of a stranger", RevokedFile, "none of our authorities", func(string) {
				f.put(RevokedFile, must(authority(t).SignRevocations(nil, 9, nil, nil)))
			}},
			{"a list of before", RevokedFile, "older", func(string) { f.put(RevokedFile, list(2)) }},
			{"the list is gone", RevokedFile, "is gone", func(path string) { os.Remove(path) }},
		}
		for _, tt := range tests {
			log.Reset()
			tt.change(filepath.Join(f.dir, tt.file))
			for range 5 {
				time.Sleep(pollEvery)
				if got := Leaf(s.TLS()); !got.Equal(leaf) {
					t.Errorf("%s: another certificate counts", tt.name)
				}
			}
			if said := log.String(); strings.Count(said, "\n") != 1 || !strings.Contains(said, tt.says) {
				t.Errorf("%s: the log has\n%swant one line with %q", tt.name, said, tt.says)
			}
			if err := s.Reload(); err == nil || !strings.Contains(err.Error(), f.dir) {
				t.Errorf("%s: Reload gave %v, want the file", tt.name, err)
			}
			if !s.current().revoked.Has(serial) {
				t.Errorf("%s: what was revoked is not", tt.name)
			}
			if s.Fault() == nil {
				t.Errorf("%s: no fault", tt.name)
			}
			os.Remove(filepath.Join(f.dir, tt.file))
			f.put(tt.file, good[tt.file])
			if err := s.Reload(); err != nil || s.Fault() != nil {
				t.Errorf("%s, mended: %v, %v", tt.name, err, s.Fault())
			}
		}
	})
}

// A fault in the device's own files holds up no revocation.
func TestRevocationBesideAFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := authority(t)
		f := newFolder(t, a)
		s := f.open(Host, slog.New(slog.DiscardHandler))
		list := func(number, serial int64) []byte {
			return must(a.SignRevocations(nil, uint64(number), []*big.Int{big.NewInt(serial)}, nil))
		}
		revoked := func(serial int64) bool {
			time.Sleep(pollEvery)
			return s.current().revoked.Has(big.NewInt(serial))
		}
		good := must(os.ReadFile(filepath.Join(f.dir, "host.pem")))
		f.put("host.pem", good[:len(good)/2])
		f.put(RevokedFile, list(1, 5))
		if !revoked(5) {
			t.Error("half a certificate holds up the list")
		}
		f.from(newFolder(t, authority(t)), RootsFile) // of another authority, which has signed no list
		f.put(RevokedFile, list(2, 6))
		if !revoked(6) {
			t.Error("another authority's certificate holds up the list")
		}
		f.put(RevokedFile, list(1, 7))
		if revoked(7) || !revoked(6) {
			t.Error("a list of before counts")
		}
		f.put(RootsFile, certsPEM(a.cert))
		f.put("host.pem", good)
		f.put(RevokedFile, list(3, 8))
		if !revoked(8) || revoked(6) {
			t.Error("mended, the next list does not count alone")
		}
	})
}

// A file that could not be opened is tried again although it has not changed: its owner or its mode may have, or the process
// had no descriptors left. A revocation is not forgotten for that.
func TestSourceTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := authority(t)
		f := newFolder(t, a)
		var log bytes.Buffer
		s := f.open(Host, slog.New(slog.NewTextHandler(&log, nil)))
		serial := big.NewInt(5)
		f.put(RevokedFile, must(a.SignRevocations(nil, 1, []*big.Int{serial}, nil)))
		descriptors(t, 0, func() {
			for range 5 {
				time.Sleep(pollEvery)
				s.current()
			}
			if err := s.Reload(); err == nil {
				t.Error("files are read without descriptors")
			}
		})
		if said := log.String(); strings.Count(said, "\n") != 1 || !strings.Contains(said, "the one before counts") {
			t.Fatalf("without descriptors the log has\n%swant one line", said)
		}
		time.Sleep(pollEvery)
		if !s.current().revoked.Has(serial) {
			t.Error("the list is not read once it can be")
		}
	})
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

// What Open cannot use it says with the file and the command that helps.
func TestOpenSaysWhatIsWrong(t *testing.T) {
	ca := forger{authority(t), t}
	write := func(cert tls.Certificate) folder {
		f := newFolder(t, ca.Authority)
		key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
		if err != nil {
			t.Fatal(err)
		}
		f.put("ue.pem", certsPEM(cert.Leaf))
		f.put("ue.key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))
		return f
	}
	tests := []struct {
		name string
		cert tls.Certificate
		says []string
	}{
		{"one of before", ca.forge("", forUE, nil), []string{"ue.pem", "no SPIFFE ID", `"bungee ca issue ue NAME"`}},
		{"a host's", ca.forge("spiffe://bungee/host/a", forUE, nil), []string{"ue.pem", "host/a", "not of a ue"}},
		{"for another use", ca.forge("spiffe://bungee/tenant/a/ue/b", forHost, nil), []string{"ue.pem", "ca.pem", "incompatible key usage"}},
	}
	for _, tt := range tests {
		_, err := Open(write(tt.cert).dir, UE, nil)
		for _, says := range tt.says {
			if err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("%s: got %v, want %q", tt.name, err, says)
			}
		}
	}
	if _, err := Open(write(ca.forge("spiffe://bungee/tenant/a/ue/b", forUE, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })).dir, UE, nil); err != nil {
		t.Errorf("a certificate that has ended cannot be opened: %v", err)
	}
}

// A ticket is of no use with another certificate than that which it was given for.
func TestTicketsEndWithTheCertificate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := authority(t)
		f, again := newFolder(t, a), newFolder(t, a)
		cache := f.open(UE, slog.New(slog.DiscardHandler)).TLS().ClientSessionCache
		cache.Put("host", &tls.ClientSessionState{})
		if _, ok := cache.Get("host"); !ok {
			t.Fatal("a ticket is not kept")
		}
		f.from(again, "ue.pem", "ue.key")
		time.Sleep(pollEvery)
		if _, ok := cache.Get("host"); ok {
			t.Error("the ticket is used with the next certificate")
		}
	})
}

func TestReminder(t *testing.T) {
	conf, err := authority(t).TLS(Host, "edge-7")
	if err != nil {
		t.Fatal(err)
	}
	var r Reminder
	begin, said := Ends(conf).Add(-10*24*time.Hour), 0
	for h := range 72 {
		if r.Due(conf, begin.Add(time.Duration(h)*time.Hour)) != nil {
			said++
		}
	}
	if said != 3 {
		t.Errorf("said %d times in three days", said)
	}
}
