package manager

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bungee-xr/bungee/internal/authority"
	"github.com/bungee-xr/bungee/internal/control"
	"github.com/bungee-xr/bungee/internal/identity"
	tokens "github.com/bungee-xr/bungee/internal/lease"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/radio"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

var managerAddr = &net.UDPAddr{IP: net.IPv4(10, 0, 0, 9), Port: 4434}

// A lab is a manager on a network of tests, in virtual time.
type lab struct {
	t      *testing.T
	air    *radio.Air
	ca     *authority.Authority
	dir    string
	m      *Manager
	served chan error
	next   byte
	tcp    bool
	log    *lockedBuffer
	audit  *lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// inLab runs f over QUIC and over TCP.
func inLab(t *testing.T, f func(t *testing.T, l *lab)) {
	for _, tcp := range []bool{false, true} {
		t.Run(map[bool]string{false: "quic", true: "tcp"}[tcp], func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				radio.Begin()
				l := &lab{t: t, air: &radio.Air{OneWay: 2 * time.Millisecond}, dir: t.TempDir(), tcp: tcp, log: &lockedBuffer{}, audit: &lockedBuffer{}}
				ca, _, err := authority.Init(filepath.Join(l.dir, "ca"), "bungee", time.Hour*24*365)
				must(t, err)
				l.ca = ca
				l.issue(identity.Manager, "", "m1")
				l.begin(nil)
				defer ca.Close()
				defer func() { l.end() }()
				f(t, l)
			})
		})
	}
}

// issue makes a device's folder.
func (l *lab) issue(role identity.Role, tenant, name string) string {
	l.t.Helper()
	id, err := l.ca.ID(role, tenant, name)
	must(l.t, err)
	i, _, err := l.ca.Issue(id, 0, nil)
	must(l.t, err)
	return i.Dir
}

func (l *lab) begin(change func(*Config)) {
	l.t.Helper()
	cfg := Config{
		Certs: filepath.Join(l.dir, "ca", "manager", "m1"), Store: filepath.Join(l.dir, "store"), Logger: slog.New(slog.NewTextHandler(l.log, nil)),
		Audit: slog.New(slog.NewJSONHandler(l.audit, nil)),
	}
	if change != nil {
		change(&cfg)
	}
	m, err := New(cfg)
	must(l.t, err)
	l.m, l.served = m, make(chan error, 2)
	pc, ln := l.air.Endpoint(managerAddr), l.air.Listen(&net.TCPAddr{IP: managerAddr.IP, Port: managerAddr.Port})
	go func() { l.served <- m.Serve(context.Background(), pc) }()
	go func() { l.served <- m.ServeTCP(context.Background(), ln) }()
}

func (l *lab) end() {
	l.t.Helper()
	must(l.t, l.m.Close())
	for range 2 {
		if err := <-l.served; err != nil {
			l.t.Errorf("Serve returned %v", err)
		}
	}
	l.air.Leave(managerAddr)
}

// dial connects to the manager.
func (l *lab) dial(conf *tls.Config) (*link.Conn, error) {
	l.next++
	from := net.IPv4(10, 0, 1, l.next)
	if l.tcp {
		to := &net.TCPAddr{IP: managerAddr.IP, Port: managerAddr.Port}
		c, err := l.air.Dial(l.t.Context(), &net.TCPAddr{IP: from, Port: 1}, to)
		if err != nil {
			return nil, err
		}
		return link.DialTCP(l.t.Context(), c, to, conf)
	}
	return link.Dial(l.t.Context(), l.air.Endpoint(&net.UDPAddr{IP: from, Port: 1}), managerAddr, conf)
}

// A voice is an end of a conversation with the manager.
type voice struct {
	*control.Conversation
	t    *testing.T
	conn *link.Conn
}

func (l *lab) speak(role identity.Role, dir string) voice {
	l.t.Helper()
	conf, err := identity.Load(dir, role)
	must(l.t, err)
	c, err := l.dial(identity.ForManager(conf))
	must(l.t, err)
	st, err := c.Open(l.t.Context())
	must(l.t, err)
	from := control.ManagerToUE
	if role == identity.Host {
		from = control.ManagerToHost
	}
	return voice{control.Converse(st, from), l.t, c}
}

// pause lets what was said arrive, and its answers.
func pause() { time.Sleep(50 * time.Millisecond) }

func (v voice) close() { v.conn.Close("") }

func (v voice) say(f wire.ManagerFrame) {
	v.t.Helper()
	if err := v.Send(f); err != nil {
		v.t.Fatalf("%T: %v", f, err)
	}
}

// hear returns what the manager says next, which must be a T.
func hear[T wire.ManagerFrame](v voice) T {
	v.t.Helper()
	f, err := v.Next()
	got, ok := f.(T)
	if err != nil || !ok {
		v.t.Fatalf("heard %T, %v; want %T", f, err, got)
	}
	return got
}

// A UE is placed on a host, over the network: the first conversation of all three.
func TestManagerPlaces(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		host := l.speak(identity.Host, l.issue(identity.Host, "", "edge-1"))
		defer host.close()
		host.say(wire.Register{Addresses: []string{"10.0.0.2:4433"}, Turns: 4, Memory: 1 << 30})
		adopted := hear[wire.Adopted](host)
		if adopted.Epoch != 1 || len(adopted.Runs) != 1 || len(adopted.Keys) != 1 || adopted.Beat != time.Second {
			t.Errorf("the host is told %+v", adopted)
		}
		host.say(wire.Holding{})
		host.say(wire.Beat{Number: 1})

		ue := l.speak(identity.UE, l.issue(identity.UE, "acme", "headset-1"))
		defer ue.close()
		ue.say(wire.Ask{Session: 5, Module: [32]byte{1}, Need: wire.Need{Latency: 50 * time.Millisecond, Rate: 30}})
		c := hear[wire.Candidates](ue)
		if len(c.Hosts) != 1 || c.Hosts[0].Host != "edge-1" || c.Theta != 20*time.Millisecond {
			t.Fatalf("candidates are %+v", c)
		}
		probe := hear[wire.Order](host)
		if probe.Kind != wire.OrderProbe || probe.Module != [32]byte{1} {
			t.Fatalf("the host is told %+v; want a probe", probe)
		}
		host.say(wire.Did{Number: probe.Number, Samples: []time.Duration{5 * time.Millisecond}})
		ue.say(wire.Feel{Session: 5, Round: c.Round, Links: []wire.LinkFeel{{Host: "edge-1", RTT: 4 * time.Millisecond}}})
		prepare := hear[wire.Order](host)
		if prepare.Kind != wire.OrderPrepare {
			t.Fatalf("the host is told %+v; want to prepare", prepare)
		}
		host.say(wire.Did{Number: prepare.Number, Ready: time.Millisecond})
		place := hear[wire.Place](ue)
		if place.Primary.Host != "edge-1" || place.Primary.Addresses[0] != "10.0.0.2:4433" || place.Why == "" {
			t.Fatalf("placed at %+v", place)
		}
		got, err := tokens.NewVerifier("bungee", "spiffe://bungee/host/edge-1", adopted.Keys, adopted.Runs).Verify(place.Primary.Lease)
		if err != nil || got.Session != 5 || got.IsOf("spiffe://bungee/tenant/acme/ue/headset-1") != nil || got.ValidAt(time.Now()) != nil || got.ID != prepare.ID {
			t.Errorf("the lease says %+v, %v", got, err)
		}
		host.say(wire.Beat{Number: 2, Sessions: []wire.SessionBeat{{Lease: got.ID, Used: true}}})
		pause()
		st, err := l.m.State()
		if err != nil || len(st.Sessions) != 1 || st.Sessions[0].State != "running" || st.Sessions[0].Primary != "edge-1" || st.Hosts[0].Sessions != 1 || len(st.Leases) != 1 {
			t.Errorf("the manager says %+v, %v", st, err)
		}
		ue.say(wire.Bye{Session: 5})
		if stop := hear[wire.Order](host); stop.Kind != wire.OrderStop || stop.ID != got.ID {
			t.Errorf("the host is told %+v; want to stop", stop)
		}
		for _, word := range []string{`"verdict":"placed"`, `"what":"ended"`, `"ue":"headset-1"`} {
			if !strings.Contains(l.audit.String(), word) {
				t.Errorf("the audit does not have %s:\n%s", word, l.audit)
			}
		}
		if strings.Contains(l.audit.String(), string(place.Primary.Lease)) {
			t.Error("the audit has a lease")
		}
	})
}

// enroller asks for a certificate with a code, as "bungee enroll" does.
func (l *lab) enroller(code string, request []byte) (wire.Cert, error) {
	c, err := identity.ParseCode(code)
	must(l.t, err)
	conn, err := l.dial(identity.ForEnrolment(c.Authority))
	if err != nil {
		return wire.Cert{}, err
	}
	defer conn.Close("")
	st, err := conn.Open(l.t.Context())
	if err != nil {
		return wire.Cert{}, err
	}
	return control.Enrol(l.t.Context(), st, wire.Enrol{Code: code, Request: request})
}

// A device enrols with a code and can then take part; a code is good for one key.
func TestEnrol(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		code, err := l.m.NewCode("ue", "acme", "headset-9")
		must(t, err)
		key := newKey(t)
		request, err := identity.NewRequest(key)
		must(t, err)
		var certs []wire.Cert
		for range 2 {
			cert, err := l.enroller(code, request)
			must(t, err)
			certs = append(certs, cert)
		}
		if !bytes.Equal(certs[0].Chain[0], certs[1].Chain[0]) || len(certs[0].Chain) != 2 || len(certs[0].Roots) != 1 {
			t.Errorf("a repeat got another certificate, or %d and %d", len(certs[0].Chain), len(certs[0].Roots))
		}
		other, err := identity.NewRequest(newKey(t))
		must(t, err)
		if _, err := l.enroller(code, other); !isDenied(err, "used with another key") {
			t.Errorf("another key got %v", err)
		}
		leaf, err := x509.ParseCertificate(certs[0].Chain[0])
		must(t, err)
		root, err := x509.ParseCertificate(certs[0].Roots[0])
		must(t, err)
		dir := t.TempDir()
		must(t, identity.WriteFolder(dir, tls.Certificate{Certificate: certs[0].Chain, PrivateKey: key, Leaf: leaf}, root))
		ue := l.speak(identity.UE, dir)
		defer ue.close()
		ue.say(wire.Enrol{Request: other})
		if renewed := hear[wire.Cert](ue); len(renewed.Chain) != 2 {
			t.Errorf("a renewal has %d certificates", len(renewed.Chain))
		}
		must(t, l.m.Revoke("ue", "acme", "headset-9"))
		if _, err := ue.Next(); err == nil {
			t.Error("a revoked UE is still heard")
		}
		if _, err := l.m.NewCode("ue", "acme", "headset-9"); !errors.Is(err, errRevoked) {
			t.Errorf("a code for a revoked ID: %v", err)
		}
	})
}

func isDenied(err error, text string) bool {
	f, ok := errors.AsType[*wire.Fail](err)
	return ok && f.Code == offload.CodeDenied && strings.Contains(f.Text, text)
}

// Codes that are late or guessed get nothing, and who guesses must wait.
func TestGuesses(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		request, err := identity.NewRequest(newKey(t))
		must(t, err)
		late, err := l.m.NewCode("host", "", "edge-9")
		must(t, err)
		time.Sleep(codeLife)
		if _, err := l.enroller(late, request); !isDenied(err, "too late") {
			t.Errorf("a late code got %v", err)
		}
		good, err := l.m.NewCode("host", "", "edge-9")
		must(t, err)
		code, _ := identity.ParseCode(good)
		code.Secret[0] ^= 1
		conn, err := l.dial(identity.ForEnrolment(code.Authority)) // all of one address
		must(t, err)
		defer conn.Close("")
		refused := 0
		for range guessesEach + 1 {
			st, err := conn.Open(t.Context())
			must(t, err)
			if _, err := control.Enrol(t.Context(), st, wire.Enrol{Code: code.String(), Request: request}); isDenied(err, "wait a minute") {
				refused++
			} else if !isDenied(err, "no such code") {
				t.Errorf("a guess got %v", err)
			}
		}
		if refused != 1 {
			t.Errorf("%d guesses were told to wait; want the last", refused)
		}
		if _, err := l.enroller(good, request); err != nil {
			t.Errorf("who has the code, from elsewhere, gets %v", err)
		}
	})
}

// Who has no certificate can enrol and do nothing else; and it is let go after a while.
func TestStrangers(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		root := identity.FingerprintOf(l.m.signer.Root())
		conn, err := l.dial(identity.ForEnrolment(root))
		must(t, err)
		defer conn.Close("")
		st, err := conn.Open(t.Context())
		must(t, err)
		v := voice{control.Converse(st, control.ManagerToUE), t, conn}
		v.say(wire.Ask{Session: 1})
		if _, err := v.Next(); err == nil {
			t.Error("a stranger may ask")
		}
		began := time.Now()
		<-conn.Done()
		if d := time.Since(began); d > strangerTime+time.Second {
			t.Errorf("a stranger stays for %v", d)
		}
	})
}

// After a restart the epoch is higher, and leases of the run before are read.
func TestManagerBeginsAgain(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		dir := l.issue(identity.Host, "", "edge-1")
		host := l.speak(identity.Host, dir)
		host.say(wire.Register{Addresses: []string{"h:1"}, Turns: 4})
		before := hear[wire.Adopted](host)
		ue := identity.ID{Authority: "bungee", Tenant: "acme", Role: identity.UE, Name: "a"}
		token, err := ask(l.m, func(led *ledger, now time.Time) []byte {
			b, err := led.sign(now, terms{ID: wire.LeaseID{9}, UE: ue, Host: "edge-1", Session: 3, Module: [32]byte{1}})
			must(t, err)
			return b
		})
		must(t, err)
		l.end()
		if _, err := host.Next(); err == nil {
			t.Error("the host still hears the manager")
		}
		host.close()
		l.begin(nil)
		host = l.speak(identity.Host, dir)
		defer host.close()
		host.say(wire.Register{Addresses: []string{"h:1"}, Turns: 4})
		after := hear[wire.Adopted](host)
		if after.Epoch != before.Epoch+1 || after.Runs[0] != before.Run || after.Run == before.Run || after.Keys[0] != before.Keys[0] {
			t.Errorf("before %+v, after %+v", before, after)
		}
		host.say(wire.Holding{Leases: [][]byte{token, []byte("forged")}, Addresses: [][]string{{"h:5000", "h:1"}}})
		host.say(wire.Beat{Number: 1, Sessions: []wire.SessionBeat{{Lease: wire.LeaseID{9}, Used: true}}})
		time.Sleep(time.Second)
		st, err := l.m.State()
		must(t, err)
		if len(st.Sessions) != 1 || st.Sessions[0].Primary != "edge-1" || st.Sessions[0].State != "running" {
			t.Errorf("sessions are %+v", st.Sessions)
		}
		if s, err := l.m.Stats(); err != nil || s.LeasesRefused != 1 || s.Adopted != 1 {
			t.Errorf("stats are %+v, %v", s, err)
		}
	})
}

// Two hosts of one ID: the second takes the place of the first, and a third within the minute is refused.
func TestHostsOfOneID(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		dir := l.issue(identity.Host, "", "edge-1")
		var hosts []voice
		for range 3 {
			h := l.speak(identity.Host, dir)
			h.say(wire.Register{Addresses: []string{"h:1"}, Turns: 4})
			hosts = append(hosts, h)
			pause()
			time.Sleep(time.Second)
		}
		hear[wire.Adopted](hosts[0])
		hear[wire.Adopted](hosts[1])
		for _, i := range []int{0, 2} {
			if _, err := hosts[i].Next(); !isDenied(err, "another host has this ID") {
				t.Errorf("host %d got %v", i, err)
			}
			hosts[i].close()
		}
		hosts[1].say(wire.Beat{Number: 1})
		pause()
		if st, err := l.m.State(); err != nil || st.Hosts[0].State != "ready" {
			t.Errorf("hosts are %+v, %v", st.Hosts, err)
		}
		hosts[1].close()
	})
}

// A peer that does not read is let go, and holds up nobody.
func TestSlowPeer(t *testing.T) {
	inLab(t, func(t *testing.T, l *lab) {
		ue := l.speak(identity.UE, l.issue(identity.UE, "acme", "a"))
		defer ue.close()
		ue.say(wire.Bye{})
		pause()
		l.m.mu.Lock()
		var talks []*talk
		for c := range l.m.conns {
			c.mu.Lock()
			talks = slices.AppendSeq(talks, maps.Keys(c.talks))
			c.mu.Unlock()
		}
		l.m.mu.Unlock()
		if len(talks) != 1 {
			t.Fatalf("%d conversations", len(talks))
		}
		for range 100 * maxUEUnsent {
			talks[0].send(wire.Candidates{Hosts: make([]wire.Candidate, 16)})
		}
		n := 0
		for {
			if _, err := ue.Next(); err != nil {
				if err == io.EOF {
					t.Error("the UE was not told why")
				}
				break
			}
			n++
		}
		if n > 2*maxUEUnsent+10 {
			t.Errorf("%d frames came", n)
		}
	})
}

// More than half of the hosts that obey another manager end this one; one alone does not.
func TestSuperseded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		radio.Begin()
		l := &lab{t: t, air: &radio.Air{}, dir: t.TempDir(), log: &lockedBuffer{}, audit: &lockedBuffer{}}
		ca, _, err := authority.Init(filepath.Join(l.dir, "ca"), "bungee", time.Hour*24*365)
		must(t, err)
		defer ca.Close()
		l.ca = ca
		l.issue(identity.Manager, "", "m1")
		l.begin(nil)
		var hosts []voice
		for i := range 3 {
			h := l.speak(identity.Host, l.issue(identity.Host, "", fmt.Sprint("edge-", i)))
			h.say(wire.Register{Addresses: []string{"h:1"}, Turns: 4})
			hear[wire.Adopted](h)
			hosts = append(hosts, h)
		}
		obeys := &wire.Fail{Code: offload.CodeDenied, Text: "epoch 7 of another manager is obeyed here"}
		hosts[0].Refuse(obeys)
		time.Sleep(time.Second)
		if l.m.ctx.Err() != nil {
			t.Fatal("one host has ended the manager")
		}
		hosts[1].Refuse(obeys)
		for range 2 {
			if err := <-l.served; !errors.Is(err, ErrSuperseded) {
				t.Errorf("Serve returned %v", err)
			}
		}
		must(t, l.m.Close())
		for _, h := range hosts {
			h.close()
		}
	})
}
