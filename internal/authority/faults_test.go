package authority

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/internal/identity"
)

// Two processes that renew at the same time make one certificate: the second finds nothing to do.
func TestTwoRenewalsAtOnce(t *testing.T) {
	a := make1(t)
	id, err := a.ID(identity.Host, "", "h")
	if err != nil {
		t.Fatal(err)
	}
	host, _, err := a.Issue(id, time.Hour, nil)
	if err != nil {
		t.Fatal(err)
	}
	later := host.Cert.NotAfter.Add(-time.Minute) // when it is due
	dir := a.dir
	a.Close()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			b, err := Open(dir)
			if err != nil {
				t.Error(err)
				return
			}
			defer b.Close()
			i, err := b.find(id)
			if err == nil && i.Due(later) && len(i.All) == 1 {
				_, err = b.Renew(i, dayLong)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	b, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if i, err := b.find(id); err != nil || len(i.All) != 2 {
		t.Errorf("%d certificates, %v; want the first and one renewal", len(i.All), err)
	}
	if _, err := identity.Open(host.Dir, identity.Host, nil); err != nil {
		t.Error(err)
	}
	*a = *b
}

// A disk that is full at any write leaves what was there in use, and the command works once there is room.
func TestFullDisk(t *testing.T) {
	commands := map[string]func(a *Authority, ue, host Issued) error{
		"renew":  func(a *Authority, _, host Issued) error { _, err := a.Renew(host, 0); return err },
		"revoke": func(a *Authority, ue, _ Issued) error { _, err := a.Revoke(ue.ID); return err },
		"rotate": func(a *Authority, _, _ Issued) error { return a.Rotate(Life) },
		"issue": func(a *Authority, ue, _ Issued) error {
			id := ue.ID
			id.Name = "next"
			_, _, err := a.Issue(id, 0, nil)
			return err
		},
	}
	for name, run := range commands {
		t.Run(name, func(t *testing.T) {
			for full := 0; ; full++ {
				a := make1(t)
				ue, host := a.must(t, identity.UE, "acme", "a"), a.must(t, identity.Host, "", "h")
				writes := 0
				a.write = func(f *os.File, text []byte) (int, error) {
					if writes++; writes > full { // a part of it has room
						n, _ := f.Write(text[:len(text)/2])
						return n, syscall.ENOSPC
					}
					return f.Write(text)
				}
				err := run(a, ue, host)
				a.write = (*os.File).Write
				if !errors.Is(err, syscall.ENOSPC) && err != nil {
					t.Fatal(err)
				}
				if err == nil && full == 0 {
					t.Fatal("it wrote nothing; the test shows nothing")
				}
				if _, err := identity.Open(host.Dir, identity.Host, nil); err != nil {
					t.Errorf("full at write %d: the host's folder: %v", full, err)
				}
				if err == nil {
					return
				}
				if name != "revoke" && !accepts(t, host, ue) {
					t.Errorf("full at write %d: they do not accept each other", full)
				}
				a.Close()
				b, err := Open(a.dir)
				if err != nil {
					t.Fatalf("full at write %d: %v", full, err)
				}
				*a = *b
				if err := run(a, ue, host); err != nil && !strings.Contains(err.Error(), "under way") {
					t.Errorf("full at write %d, and then room: %v", full, err)
				}
				if name == "revoke" && accepts(t, host, ue) {
					t.Errorf("full at write %d, and then room: the UE is accepted", full)
				}
				if name != "revoke" && !accepts(t, host, ue) {
					t.Errorf("full at write %d, and then room: they do not accept each other", full)
				}
			}
		})
	}
}

// A file system without room says so, too.
func TestFullFileSystem(t *testing.T) {
	dir := t.TempDir()
	if err := mountSmall(dir, 128<<10); err != nil {
		t.Skipf("no small file system can be mounted (%v); as root: go test -run TestFullFileSystem ./internal/authority", err)
	}
	t.Cleanup(func() { unmount(dir) })
	a, _, err := Init(filepath.Join(dir, "ca"), "acme.example", Life)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	host := a.must(t, identity.Host, "", "h")
	f, err := os.Create(filepath.Join(dir, "filler"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for err == nil {
		_, err = io.WriteString(f, strings.Repeat("x", 512))
	}
	if _, err := a.Renew(host, 0); !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "the one before is left") {
		t.Errorf("got %v", err)
	}
	s, err := identity.Open(host.Dir, identity.Host, nil)
	if err != nil || !s.Ends().Equal(host.Cert.NotAfter) {
		t.Errorf("what was there: %v", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if _, err := a.Renew(host, 0); err != nil {
		t.Errorf("once there is room: %v", err)
	}
}

// A process that ended after the folder was made and before it was noted is found out.
func TestIssueThatWasCutOff(t *testing.T) {
	a := make1(t)
	for _, role := range []identity.Role{identity.UE, identity.Manager} {
		i := a.must(t, role, "acme", "x")
		if err := os.Remove(a.path(recordOf(i.ID))); err != nil {
			t.Fatal(err)
		}
		again, made, err := a.Issue(i.ID, 0, nil)
		if err != nil || made || !again.Cert.Equal(i.Cert) || (again.Signer == nil) != (role != identity.Manager) {
			t.Errorf("%s: made %v, %v", i.ID, made, err)
		}
	}
	stranger := make1(t).must(t, identity.UE, "acme", "y")
	id, err := a.ID(identity.UE, "acme", "z")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(stranger.Dir, a.Dir(id)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := a.Issue(id, 0, nil); err == nil {
		t.Error("somebody else's folder was taken for the device's")
	}
}
