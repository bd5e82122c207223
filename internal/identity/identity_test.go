package identity

import (
	"bytes"
	"crypto/tls"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// handshake connects a and b in memory and returns the name that the host saw
// and each end's error.
func handshake(t *testing.T, ue, host *tls.Config) (name ID, ueErr, hostErr error) {
	t.Helper()
	a, b := eagerPipe()
	defer a.Close()
	defer b.Close()
	done := make(chan error, 1)
	server := tls.Server(b, host)
	go func() {
		err := server.Handshake()
		if err == nil {
			_, err = server.Write([]byte("x"))
		}
		b.Close()
		done <- err
	}()
	client := tls.Client(a, ue)
	ueErr = client.Handshake()
	if ueErr == nil { // in TLS 1.3 the host's verdict on the UE comes after
		_, ueErr = client.Read(make([]byte, 1))
	}
	a.Close()
	hostErr = <-done
	return Peer(server.ConnectionState()), ueErr, hostErr
}

// An eager connection takes what is written before the other end reads it. In a resumed handshake both
// ends write at the same time.
type eager struct {
	net.Conn
	queue chan []byte
	once  *sync.Once
}

func eagerPipe() (a, b eager) {
	x, y := net.Pipe()
	return newEager(x), newEager(y)
}

func newEager(c net.Conn) eager {
	e := eager{c, make(chan []byte, 64), new(sync.Once)}
	go func() { // ends with Close
		for p := range e.queue {
			c.Write(p)
		}
		c.Close()
	}()
	return e
}

func (e eager) Write(p []byte) (int, error) {
	e.queue <- bytes.Clone(p)
	return len(p), nil
}

func (e eager) Close() error {
	e.once.Do(func() { close(e.queue) })
	return nil
}

func TestRoles(t *testing.T) {
	ca, other := authority(t), authority(t)
	tests := []struct {
		name     string
		ue, host *tls.Config
		ok       bool
		why      string
	}{
		{"one authority", issue(t, ca, UE), issue(t, ca, Host), true, ""},
		{"foreign host", issue(t, ca, UE), issue(t, other, Host), false, "the UE trusts its own authority only"},
		{"foreign UE", issue(t, other, UE), issue(t, ca, Host), false, "and so does the host"},
		{"UE poses as host", issue(t, ca, UE), withCert(issue(t, ca, Host), issue(t, ca, UE)), false, "a UE's certificate is for dialling"},
		{"host poses as UE", withCert(issue(t, ca, UE), issue(t, ca, Host)), issue(t, ca, Host), false, "a host's is for listening"},
		{"no certificate", withCert(issue(t, ca, UE), &tls.Config{}), issue(t, ca, Host), false, "both ends must prove who they are"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			name, ueErr, hostErr := handshake(t, tt.ue, tt.host)
			if ok := ueErr == nil && hostErr == nil; ok != tt.ok {
				t.Errorf("UE: %v; host: %v; want success %v; %s", ueErr, hostErr, tt.ok, tt.why)
			}
			if tt.ok && name.String() != "spiffe://bungee/tenant/ue/ue/ue" {
				t.Errorf("the host sees %q", name)
			}
		})
	}
}

func TestWriteAndLoad(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "certs")
	if err := Write(dir); err != nil {
		t.Fatal(err)
	}
	ue, err := Load(dir, UE)
	if err != nil {
		t.Fatal(err)
	}
	host, err := Load(dir, Host)
	if err != nil {
		t.Fatal(err)
	}
	if _, ueErr, hostErr := handshake(t, ue, host); ueErr != nil || hostErr != nil {
		t.Errorf("UE: %v; host: %v", ueErr, hostErr)
	}
	manager, err := Load(dir, Manager)
	if err != nil {
		t.Fatal(err)
	}
	for name, conf := range map[string]*tls.Config{"UE": ue, "host": host} {
		if _, dialErr, listenErr := handshake(t, ForManager(conf), manager); dialErr != nil || listenErr != nil {
			t.Errorf("%s: %v; manager: %v", name, dialErr, listenErr)
		}
	}
	signer, err := LoadSigner(dir)
	if err != nil {
		t.Fatal(err)
	}
	another, err := signer.TLS(Host, "another")
	if err != nil {
		t.Fatal(err)
	}
	if _, ueErr, hostErr := handshake(t, ue, another); ueErr != nil || hostErr != nil {
		t.Errorf("UE: %v; a host that the manager has signed: %v", ueErr, hostErr)
	}
	if st, err := os.Stat(filepath.Join(dir, "host.key")); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("key: %v, %v; want mode 0600", st.Mode(), err)
	}
	if err := Write(dir); !os.IsExist(err) {
		t.Errorf("a second Write gave %v, want that the files exist", err)
	}
}

// An authority can write fresh certificates as often as it likes: both folders' trust each
// other, and not those of another authority.
func TestAuthorityWrites(t *testing.T) {
	a, dir := authority(t), t.TempDir()
	load := func(a *Authority, name string, role Role) *tls.Config {
		if err := a.Write(filepath.Join(dir, name)); err != nil && !os.IsExist(err) {
			t.Fatal(err)
		}
		c, err := Load(filepath.Join(dir, name), role)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	ue := load(a, "first", UE)
	if _, ueErr, hostErr := handshake(t, ue, load(a, "second", Host)); ueErr != nil || hostErr != nil {
		t.Errorf("UE: %v; host with new certificates: %v", ueErr, hostErr)
	}
	if _, ueErr, _ := handshake(t, ue, load(authority(t), "third", Host)); ueErr == nil {
		t.Error("the UE took a host of another authority")
	}
}

func TestLoadSaysWhatIsLacking(t *testing.T) {
	_, err := Load(t.TempDir(), UE)
	if err == nil || !strings.Contains(err.Error(), "bungee ca issue ue NAME") {
		t.Errorf("an empty folder gave %v, want the command that fills it", err)
	}
}

func authority(t *testing.T) *Authority {
	t.Helper()
	a, err := NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func issue(t *testing.T, a *Authority, role Role) *tls.Config {
	t.Helper()
	c, err := a.TLS(role, role.String())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func withCert(c, from *tls.Config) *tls.Config {
	c = c.Clone()
	c.Certificates = from.Certificates
	return c
}
