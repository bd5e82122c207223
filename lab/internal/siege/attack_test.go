package siege

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/capability"
	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/wazero"
	"github.com/bungee-xr/bungee/handler/host"
	nnhost "github.com/bungee-xr/bungee/hostfunc/nn/host"
	"github.com/bungee-xr/bungee/hostfunc/nn/nntest"
	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/internal/wire"
)

// A house is a whole edge host in this process, and whose UEs it serves.
type house struct {
	ca   *identity.Authority
	addr string
}

func open(t *testing.T) *house {
	t.Helper()
	networks := host.Provider{Name: nnhost.Name, Functions: func(capability.Grant) executor.HostFuncs {
		return nnhost.Functions(nntest.Mean(), []string{"*"})
	}}
	return openWith(t, host.Config{Functions: []host.Provider{networks}, MemoryLimit: 80 << 20, CallLimit: time.Second})
}

// openWith opens a house whose host has this configuration, and an engine and a certificate.
func openWith(t *testing.T, cfg host.Config) *house {
	t.Helper()
	ca, err := identity.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	conf, err := ca.TLS(identity.Host, "host")
	if err != nil {
		t.Fatal(err)
	}
	e, err := wazero.New(wazero.Config{CacheDir: t.TempDir() + "/modules"})
	if err != nil {
		t.Fatal(err)
	}
	cfg.Engine, cfg.TLS = e, conf
	h, err := host.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	pc, ln := sockets(t)
	h.ServeTCP(ln)
	served := make(chan error, 1)
	go func() { served <- h.Serve(context.Background(), pc) }()
	t.Cleanup(func() {
		if err := errors.Join(h.Close(), <-served, e.Close()); err != nil {
			t.Error(err)
		}
	})
	return &house{ca, pc.LocalAddr().String()}
}

// sockets returns a UDP socket and a TCP listener of one port. A port that is free for UDP may have a TCP
// connection of anybody.
func sockets(t *testing.T) (*net.UDPConn, net.Listener) {
	t.Helper()
	var tcp error
	for range 8 {
		pc, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		ln, err := net.Listen("tcp", pc.LocalAddr().String())
		if err == nil {
			return pc, ln
		}
		pc.Close()
		tcp = err
	}
	t.Fatal(tcp)
	return nil, nil
}

func (h *house) conf(t *testing.T, name string) *tls.Config {
	t.Helper()
	conf, err := h.ca.TLS(identity.UE, name)
	if err != nil {
		t.Fatal(err)
	}
	return conf
}

// answered checks that the host serves a quiet tenant.
func (h *house) answered(t *testing.T, dial dialer) {
	t.Helper()
	u, err := dial(t.Context(), WayOfQuiet(h.addr, 0), h.conf(t, "quiet"))
	for i := 0; err != nil && i < 40; i++ { // where it has the attacker's address, handshakes of that wait before it
		rest(t.Context(), regret)
		u, err = dial(t.Context(), WayOfQuiet(h.addr, 0), h.conf(t, "quiet"))
	}
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close("")
	if err := u.Deploy(t.Context(), Guest); err != nil {
		t.Fatal(err)
	}
	st, err := u.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer st.Reset()
	for _, body := range []string{"one", "", "three"} {
		if _, reply, err := Exchange(st, guestCall(fnAnswer, 0), Answer(10, []byte(body))); err != nil || string(reply) != body {
			t.Errorf("%q, %v; want %q", reply, err, body)
		}
	}
	if _, _, err := Exchange(st, wire.Call{Module: [32]byte{1}}, nil); !isFail(err) {
		t.Errorf("a call of an unknown module: %v, want a Fail", err)
	}
}

func TestUE(t *testing.T) {
	h := open(t)
	h.answered(t, Dial)
	h.answered(t, DialTCP)
}

// heavy are the attacks that take a host of this process, or the machine under the race detector, too
// much. Bombs are tested with smaller ones; "bungee bench siege" makes all.
var heavy = []string{"bomb-loops", "bomb-locals", "bomb-tables", "bomb-functions"}

// Each attack does what it says, ends with its context, and leaves a host that answers.
func TestAttacks(t *testing.T) {
	for _, x := range attacks {
		if slices.Contains(heavy, x.Name) {
			continue
		}
		t.Run(x.Name, func(t *testing.T) {
			h := open(t)
			ctx, stop := context.WithCancel(t.Context())
			a := &attacker{way: Way{Host: h.addr}, conf: h.conf(t, "attacker"), network: nntest.Name, serial: new(atomic.Uint64), acts: new(atomic.Uint64)}
			ended := make(chan struct{})
			go func() { x.run(ctx, a); close(ended) }()
			for a.acts.Load() == 0 { // go test ends one that does nothing
				rest(ctx, regret)
			}
			stop()
			<-ended
			h.answered(t, Dial)
		})
	}
}

// A bomb goes off at a host: it is a module that the host takes.
func TestBomb(t *testing.T) {
	h := open(t)
	ctx, stop := context.WithCancel(t.Context())
	a := &attacker{way: Way{Host: h.addr}, conf: h.conf(t, "attacker"), serial: new(atomic.Uint64), acts: new(atomic.Uint64)}
	ended := make(chan struct{})
	go func() { bomb(func() []byte { return nestedLoops(20) })(ctx, a); close(ended) }()
	for a.acts.Load() < 3 {
		rest(ctx, regret)
	}
	stop()
	<-ended
	h.answered(t, Dial)
}

var caseName = regexp.MustCompile(`^H([1-9]|1[0-2])$`)

func TestTable(t *testing.T) {
	if n := len(attacks); n < 24 {
		t.Errorf("%d attacks, want 24 at least", n)
	}
	for i, name := range Names() {
		if slices.Index(Names(), name) != i || !caseName.MatchString(CaseOf(name)) {
			t.Errorf("attack %q of case %q: it is there twice, or of no case", name, CaseOf(name))
		}
	}
	if err := Check([]string{"bulk-", "spin"}); err != nil {
		t.Error(err)
	}
	if err := Check([]string{"spni"}); err == nil || !strings.Contains(err.Error(), "unread-replies") {
		t.Errorf("a misspelt attack: %v; want the names that there are", err)
	}
	if err := Check([]string{Nothing}); err != nil || slices.Contains(Names(), Nothing) {
		t.Errorf("%v; want that nothing can be asked for, and is no attack", err)
	}
	if CaseOf("none") != "" {
		t.Error("no attack has a case")
	}
}

// Who does nothing keeps a core busy, and ends.
func TestNothing(t *testing.T) {
	nothingOf := new(atomic.Uint64)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { nothing(ctx, &attacker{acts: nothingOf}); close(ended) }()
	for nothingOf.Load() == 0 {
		rest(ctx, time.Millisecond)
	}
	stop()
	<-ended
}

func TestAttackersOf(t *testing.T) {
	for _, tt := range []struct {
		why       string
		attackers int
		i, n      int
		want      []int
	}{
		{"one attack is everybody's", 3, 0, 1, []int{0, 1, 2}},
		{"two are shared", 3, 1, 2, []int{1}},
		{"many: each attack is one attacker's", 3, 7, 30, []int{1}},
	} {
		if got := (Besieger{Attackers: tt.attackers}).attackersOf(tt.i, tt.n); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.why, got, tt.want)
		}
	}
}

// certificates writes the folders of the attackers.
func (h *house) certificates(t *testing.T, b Besieger) {
	t.Helper()
	if err := h.ca.Write(b.Certs); err != nil {
		t.Fatal(err)
	}
	for i := range b.Attackers {
		if err := os.MkdirAll(b.CertsOf(i), 0o700); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"ca.pem", "ue.pem", "ue.key"} {
			text, err := os.ReadFile(filepath.Join(b.Certs, name))
			if err == nil {
				err = os.WriteFile(filepath.Join(b.CertsOf(i), name), text, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}

// A process of attackers says when it begins, and in the end how often each attack did what it does.
func TestBesieger(t *testing.T) {
	h := open(t)
	b := Besieger{Host: h.addr, Certs: t.TempDir(), Attackers: 2, Attacks: []string{"pings", "garbage"}}
	h.certificates(t, b)
	ctx, stop := context.WithCancel(t.Context())
	r, w := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx, w); w.Close() }()
	line := make([]byte, len("begun\n"))
	if _, err := io.ReadFull(r, line); err != nil || string(line) != "begun\n" {
		t.Fatalf("%q, %v; want begun", line, err)
	}
	h.answered(t, Dial) // so much time they have
	stop()
	var acts map[string]uint64
	if err := json.NewDecoder(r).Decode(&acts); err != nil || len(acts) != 2 {
		t.Errorf("%v, %v; want how often each of two did what it does", acts, err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := (Besieger{Attacks: []string{"?"}}).Run(t.Context(), io.Discard); err == nil {
		t.Error("an attack that does not exist is made")
	}
	if err := (Besieger{Network: "a\nb"}).Run(t.Context(), io.Discard); err == nil {
		t.Error("a network of a name that no network has is asked for")
	}
	b.Certs = t.TempDir()
	if err := b.Run(t.Context(), io.Discard); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without certificates: %v", err)
	}
}

// The files that attackers read hold what the authority issued.
func TestCertificatesAreRead(t *testing.T) {
	h := open(t)
	b := Besieger{Certs: t.TempDir(), Attackers: 1}
	h.certificates(t, b)
	text, err := os.ReadFile(filepath.Join(b.CertsOf(0), "ue.pem"))
	if err != nil {
		t.Fatal(err)
	}
	block, rest := pem.Decode(text)
	if block == nil || len(bytes.TrimSpace(rest)) > 0 {
		t.Fatalf("%q is no certificate", text)
	}
	if c, err := x509.ParseCertificate(block.Bytes); err != nil || c.Subject.CommonName != "ue" {
		t.Errorf("%v, %v; want that of a UE", c, err)
	}
}
