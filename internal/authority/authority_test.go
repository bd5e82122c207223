package authority

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bungee-xr/bungee/internal/identity"
)

const dayLong = 24 * time.Hour

func make1(t *testing.T) *Authority {
	t.Helper()
	a, made, err := Init(filepath.Join(t.TempDir(), "ca"), "acme.example", Life)
	if err != nil || !made {
		t.Fatalf("init: made %v, %v", made, err)
	}
	t.Cleanup(func() { a.Close() })
	return a
}

func (a *Authority) must(t *testing.T, role identity.Role, tenant, name string) Issued {
	t.Helper()
	id, err := a.ID(role, tenant, name)
	if err != nil {
		t.Fatal(err)
	}
	i, made, err := a.Issue(id, DeviceLife, nil)
	if err != nil || !made {
		t.Fatalf("%s: made %v, %v", id, made, err)
	}
	return i
}

// files returns the names of what is in a folder.
func files(t *testing.T, dir string) string {
	t.Helper()
	all, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range all {
		names = append(names, f.Name())
	}
	return strings.Join(names, " ")
}

// accepts says whether a host takes a UE, and the UE the host, by what is in their folders.
func accepts(t *testing.T, host, ue Issued) bool {
	t.Helper()
	h, err := identity.Load(host.Dir, identity.Host)
	if err != nil {
		t.Fatal(err)
	}
	u, err := identity.Load(ue.Dir, identity.UE)
	if err != nil {
		t.Fatal(err)
	}
	toHost := tls.ConnectionState{PeerCertificates: chainOf(u)}
	toUE := tls.ConnectionState{PeerCertificates: chainOf(h)}
	return identity.Recheck(h, toHost) == nil && identity.Recheck(u, toUE) == nil
}

func chainOf(c *tls.Config) []*x509.Certificate { return []*x509.Certificate{identity.Leaf(c)} }

// A folder has what its device needs and nothing else, and each command can be repeated.
func TestFoldersOfDevices(t *testing.T) {
	a := make1(t)
	ue, host, manager := a.must(t, identity.UE, "acme", "headset-1"), a.must(t, identity.Host, "", "edge-1"), a.must(t, identity.Manager, "", "m1")
	for dir, want := range map[string]string{
		ue.Dir:      "ca.pem ue.key ue.pem",
		host.Dir:    "ca.pem host.key host.pem revoked.pem",
		manager.Dir: "ca.pem manager.key manager.pem revoked.pem signer.key signer.pem",
	} {
		if got := files(t, dir); got != want {
			t.Errorf("%s has %s, want %s", dir, got, want)
		}
	}
	if !accepts(t, host, ue) {
		t.Error("they do not accept each other")
	}
	for _, key := range []string{filepath.Join(a.dir, keyFile), filepath.Join(ue.Dir, "ue.key"), filepath.Join(manager.Dir, "signer.key")} {
		if st, err := os.Stat(key); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v; want mode 0600", key, st.Mode(), err)
		}
	}
	if _, err := identity.Open(manager.Dir, identity.Manager, nil); err != nil {
		t.Errorf("the manager's folder: %v", err)
	}
	again, made, err := a.Issue(ue.ID, DeviceLife, nil)
	if err != nil || made || !again.Cert.Equal(ue.Cert) || !again.Here {
		t.Errorf("a second issue: made %v, %v, another certificate %v", made, err, !again.Cert.Equal(ue.Cert))
	}
	if err := os.RemoveAll(ue.Dir); err != nil { // it has gone to the device
		t.Fatal(err)
	}
	again, made, err = a.Issue(ue.ID, DeviceLife, nil)
	if err != nil || made || again.Here {
		t.Errorf("after it has gone: made %v, %v, here %v", made, err, again.Here)
	}
	all, err := a.List()
	if err != nil || len(all) != 3 {
		t.Errorf("%d are listed, %v", len(all), err)
	}
}

func TestInitTwice(t *testing.T) {
	a := make1(t)
	key, err := os.ReadFile(filepath.Join(a.dir, keyFile))
	if err != nil {
		t.Fatal(err)
	}
	a.Close()
	b, made, err := Init(a.dir, "other", Life)
	if err != nil || made || b.Name() != "acme.example" {
		t.Fatalf("init of an authority that is there: made %v, %v, %v", made, b, err)
	}
	b.Close()
	if now, _ := os.ReadFile(filepath.Join(a.dir, keyFile)); string(now) != string(key) {
		t.Error("the key has changed")
	}
	if _, err := Open(t.TempDir()); !errors.Is(err, ErrNone) {
		t.Errorf("an empty folder: %v", err)
	}
}

func TestNamesAreChecked(t *testing.T) {
	a := make1(t)
	for _, name := range []string{"", ".", "..", "../../etc", "a/b", `a\b`, "acme-*", "a b", "\u0430cme", "a\x00", strings.Repeat("n", 65), "%2e%2e"} {
		if _, err := a.ID(identity.Host, "", name); err == nil {
			t.Errorf("a host may be called %q", name)
		}
		if _, err := a.ID(identity.UE, name, "x"); err == nil {
			t.Errorf("a tenant may be called %q", name)
		}
		if _, _, err := a.Issue(identity.ID{Authority: a.Name(), Role: identity.Host, Name: name}, 0, nil); err == nil {
			t.Errorf("a host called %q was issued", name)
		}
	}
}

// A key that others can read, or that cannot be read, is said with its file.
func TestUnusableKeys(t *testing.T) {
	a := make1(t)
	file := filepath.Join(a.dir, keyFile)
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	a.Close()
	for name, change := range map[string]func() error{
		"read by others": func() error { return os.Chmod(file, 0o640) },
		"empty":          func() error { return os.WriteFile(file, nil, 0o600) },
		"half":           func() error { return os.WriteFile(file, good[:len(good)/2], 0o600) },
		"garbage": func() error {
			return os.WriteFile(file, []byte("-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n"), 0o600)
		},
		"three of them": func() error {
			return os.WriteFile(file, append(append(append([]byte{}, good...), good...), good...), 0o600)
		},
		"a folder instead": func() error { return errors.Join(os.Remove(file), os.Mkdir(file, 0o700)) },
	} {
		if err := change(); err != nil {
			t.Fatal(err)
		}
		if b, err := Open(a.dir); err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: got %v, %v; want the file's name", name, b, err)
		}
		if err := errors.Join(os.RemoveAll(file), os.WriteFile(file, good, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	b, err := Open(a.dir)
	if err != nil {
		t.Fatal(err)
	}
	b.Close()
}

// A renewal keeps the key, works without the folder, and is due from 30 days before the end on.
func TestRenew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := make1(t)
		ue, host, m := a.must(t, identity.UE, "acme", "a"), a.must(t, identity.Host, "", "h"), a.must(t, identity.Manager, "", "m")
		if ue.Due(time.Now()) {
			t.Error("due at once")
		}
		time.Sleep(DeviceLife - 29*dayLong)
		if !ue.Due(time.Now()) {
			t.Error("not due 29 days before the end")
		}
		key, err := os.ReadFile(filepath.Join(ue.Dir, "ue.key"))
		if err != nil {
			t.Fatal(err)
		}
		next, err := a.Renew(ue, 0)
		if err != nil {
			t.Fatal(err)
		}
		if now, err := os.ReadFile(filepath.Join(ue.Dir, "ue.key")); err != nil || string(now) != string(key) {
			t.Errorf("the key has changed, %v", err)
		}
		if got := time.Until(next.Cert.NotAfter).Round(time.Minute); got != DeviceLife {
			t.Errorf("the next certificate lasts for %v, want %v as the one before", got, DeviceLife)
		}
		if len(next.All) != 2 || next.Due(time.Now()) {
			t.Errorf("%d certificates that have not ended, due %v", len(next.All), next.Due(time.Now()))
		}
		if err := os.RemoveAll(host.Dir); err != nil {
			t.Fatal(err)
		}
		if _, err := a.Renew(host, time.Hour); err != nil {
			t.Fatal(err)
		}
		if got := files(t, host.Dir); got != "ca.pem host.pem revoked.pem" {
			t.Errorf("the folder of a host that was copied away has %s", got)
		}
		if next, err := a.Renew(m, 0); err != nil || next.Signer.Equal(m.Signer) || next.Signer == nil {
			t.Errorf("the manager's own certificate to sign with is not renewed: %v", err)
		}
		time.Sleep(2 * DeviceLife)
		ended, err := a.find(ue.ID)
		if err != nil || ended.State != Ended {
			t.Fatalf("%v, %v", ended.State, err)
		}
		if _, _, err := a.Issue(ue.ID, 0, nil); err == nil || !strings.Contains(err.Error(), "renew") {
			t.Errorf("issue of a device whose certificate has ended: %v", err)
		}
		if next, err := a.Renew(ended, 0); err != nil || len(next.All) != 1 {
			t.Errorf("renewed after the end: %d certificates, %v", len(next.All), err)
		}
	})
}

// A host refuses a device after revoke, at once and after its renewal, until it gets another key.
func TestRevoke(t *testing.T) {
	a := make1(t)
	ue, other, host, m := a.must(t, identity.UE, "acme", "a"), a.must(t, identity.UE, "acme-evil", "a"), a.must(t, identity.Host, "", "h"), a.must(t, identity.Manager, "", "m")
	ue, err := a.Renew(ue, 0)
	if err != nil {
		t.Fatal(err)
	}
	if !accepts(t, host, ue) || !accepts(t, host, other) {
		t.Fatal("they do not accept each other before")
	}
	if n, err := a.Revoke(ue.ID); n != 2 || err != nil {
		t.Errorf("%d are revoked, %v; want both certificates", n, err)
	}
	if accepts(t, host, ue) || !accepts(t, host, other) {
		t.Error("the wrong one is refused")
	}
	if n, err := a.Revoke(ue.ID); n != 0 || err != nil {
		t.Errorf("a second time: %d, %v", n, err)
	}
	revoked, err := a.find(ue.ID)
	if err != nil || revoked.State != Revoked {
		t.Errorf("%v, %v", revoked.State, err)
	}
	if _, err := a.Renew(revoked, 0); err == nil {
		t.Error("a revoked device was renewed")
	}
	again, made, err := a.Issue(ue.ID, 0, nil)
	if err != nil || !made || !accepts(t, host, again) {
		t.Errorf("another key: made %v, %v", made, err)
	}
	if _, err := a.Revoke(identity.ID{Authority: a.Name(), Role: identity.Host, Name: "nobody"}); err == nil {
		t.Error("a device that was never issued was revoked")
	}
	if n, err := a.Revoke(m.ID); n != 2 || err != nil { // its own, and that to sign with
		t.Errorf("of a manager %d are revoked, %v", n, err)
	}
	if err := os.Remove(filepath.Join(a.dir, identity.RevokedFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Revoke(other.ID); err == nil || !strings.Contains(err.Error(), "backup") {
		t.Errorf("without the list: %v; want that nothing is forgotten silently", err)
	}
}

// Entries leave the list once their certificates have ended.
func TestListDoesNotGrow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := make1(t)
		first, second := a.must(t, identity.UE, "acme", "a"), a.must(t, identity.UE, "acme", "b")
		if _, err := a.Revoke(first.ID); err != nil {
			t.Fatal(err)
		}
		time.Sleep(DeviceLife + dayLong)
		second, err := a.Renew(second, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.Revoke(second.ID); err != nil {
			t.Fatal(err)
		}
		r, err := a.revocations()
		if err != nil || r.Len() != 1 || !r.Has(second.Cert.SerialNumber) {
			t.Errorf("%d are in the list, %v; want the one that has not ended", r.Len(), err)
		}
	})
}

// In a rotation there is no moment at which a host and a UE do not accept each other, whichever of them
// has its files first.
func TestRotation(t *testing.T) {
	a := make1(t)
	ue, host := a.must(t, identity.UE, "acme", "a"), a.must(t, identity.Host, "", "h")
	revoked := a.must(t, identity.UE, "acme", "stolen")
	if _, err := a.Revoke(revoked.ID); err != nil {
		t.Fatal(err)
	}
	if err := a.EndRotation(false); err == nil {
		t.Error("a rotation ended that had not begun")
	}
	if err := a.Rotate(Life); err != nil {
		t.Fatal(err)
	}
	step := func(name string) {
		t.Helper()
		if !accepts(t, host, ue) {
			t.Errorf("%s: they do not accept each other", name)
		}
		if accepts(t, host, revoked) {
			t.Errorf("%s: the revoked one is accepted", name)
		}
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		b, err := Open(a.dir) // by another process
		if err != nil {
			t.Fatal(err)
		}
		*a = *b
	}
	step("both are trusted")
	if err := a.Rotate(Life); err == nil {
		t.Error("a second rotation began")
	}
	if err := a.EndRotation(false); err == nil || !strings.Contains(err.Error(), "2 devices") {
		t.Errorf("the one before was dropped too early: %v", err)
	}
	for _, i := range []*Issued{&ue, &host} {
		now, err := a.find(i.ID)
		if err != nil || !now.Before || !now.Due(time.Now()) {
			t.Fatalf("%s: before %v, due %v, %v", i.ID, now.Before, now.Due(time.Now()), err)
		}
		if *i, err = a.Renew(now, 0); err != nil || i.Before {
			t.Fatalf("%s: before %v, %v", i.ID, i.Before, err)
		}
		step("renewed " + i.ID.Path())
	}
	if err := a.EndRotation(false); err != nil {
		t.Fatal(err)
	}
	if !accepts(t, host, ue) || a.Rotating() {
		t.Error("after the rotation they do not accept each other")
	}
	if roots, err := identity.ReadCertificates(filepath.Join(ue.Dir, "ca.pem"), identity.MaxRoots); err != nil || len(roots) != 1 {
		t.Errorf("the UE trusts %d authorities, %v", len(roots), err)
	}
}

// A certificate that its authority's end has cut short lasts as long as others again after a rotation.
func TestRenewAfterTheAuthoritysLastYear(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := make1(t)
		time.Sleep(Life - 10*dayLong)
		ue, m := a.must(t, identity.UE, "acme", "a"), a.must(t, identity.Manager, "", "m")
		if !ue.Cert.NotAfter.Equal(a.Ends()) || !ue.Short || !m.Short {
			t.Fatalf("it ends on %v, its authority on %v; short: %v", ue.Cert.NotAfter, a.Ends(), ue.Short)
		}
		if ue.Due(time.Now()) {
			t.Error("it is due, and the next one would end with the authority, too")
		}
		if err := a.Rotate(Life); err != nil {
			t.Fatal(err)
		}
		for _, i := range []Issued{ue, m} {
			i, err := a.Renew(i, 0)
			if err != nil {
				t.Fatal(err)
			}
			if got := time.Until(i.Cert.NotAfter).Round(time.Minute); got != DeviceLife || i.Short {
				t.Errorf("%s lasts for %v after the rotation, want %v; short: %v", i.ID, got, DeviceLife, i.Short)
			}
			if i.Signer != nil && !i.Signer.NotAfter.Equal(i.Cert.NotAfter) {
				t.Errorf("what %s signs with lasts until %v, itself until %v", i.ID, i.Signer.NotAfter, i.Cert.NotAfter)
			}
		}
	})
}

// An authority that has ended signs nothing, and says what to do; a rotation replaces it.
func TestAuthorityThatHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := make1(t)
		host, ue := a.must(t, identity.Host, "", "h"), a.must(t, identity.UE, "acme", "a")
		time.Sleep(Life + time.Hour)
		host, err := a.find(host.ID)
		if err != nil {
			t.Fatal(err)
		}
		_, renews := a.Renew(host, 0)
		id := ue.ID
		id.Name = "next"
		_, _, issues := a.Issue(id, 0, nil)
		for _, err := range []error{renews, issues} {
			if err == nil || !strings.Contains(err.Error(), `"bungee ca rotate"`) {
				t.Errorf("got %v, want what to do", err)
			}
		}
		if err := a.Rotate(Life); err != nil {
			t.Fatal(err)
		}
		for _, i := range []*Issued{&host, &ue} {
			if *i, err = a.Renew(*i, 0); err != nil {
				t.Fatal(err)
			}
		}
		if err := a.EndRotation(false); err != nil || !accepts(t, host, ue) {
			t.Errorf("after the rotation they do not accept each other: %v", err)
		}
	})
}

// What a manager has signed is refused with the manager, or by itself.
func TestManagersDevices(t *testing.T) {
	a := make1(t)
	host, m := a.must(t, identity.Host, "", "h"), a.must(t, identity.Manager, "", "m")
	key, err := tls.LoadX509KeyPair(filepath.Join(m.Dir, "signer.pem"), filepath.Join(m.Dir, "signer.key"))
	if err != nil {
		t.Fatal(err)
	}
	signer, err := parsePair(key.Certificate[0], pkcs8(t, key.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	manager, err := identity.OpenManager(signer.Certificate(), signer.Key(), a.roots()[0])
	if err != nil {
		t.Fatal(err)
	}
	hostTLS, err := identity.Load(host.Dir, identity.Host)
	if err != nil {
		t.Fatal(err)
	}
	peer := func(name string) tls.ConnectionState {
		cert, err := manager.Issue(identity.UE, name)
		if err != nil {
			t.Fatal(err)
		}
		return tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert.Leaf, signer.Certificate()}}
	}
	one, two := peer("one"), peer("two")
	ok := func(s tls.ConnectionState) bool {
		conf, err := identity.Load(host.Dir, identity.Host)
		if err != nil {
			t.Fatal(err)
		}
		return identity.Recheck(conf, s) == nil
	}
	if identity.Recheck(hostTLS, one) != nil || !ok(two) {
		t.Fatalf("not accepted: %v", identity.Recheck(hostTLS, one))
	}
	if n, err := a.RevokeCertificates(one.PeerCertificates[:1]); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	if ok(one) || !ok(two) {
		t.Error("the wrong device of the manager is refused")
	}
	if _, err := a.Revoke(m.ID); err != nil {
		t.Fatal(err)
	}
	if ok(two) {
		t.Error("a device of a revoked manager is accepted")
	}
}

func pkcs8(t *testing.T, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}
