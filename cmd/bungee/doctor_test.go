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
	"io"
	"math/big"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/handler/ue/notifier"
	"github.com/bungee-xr/bungee/internal/control"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/wire"
)

// A patient is what "bungee doctor" is sent to.
type patient struct{ addr, certs string }

// doctorSays returns what it says, and its exit status.
func doctorSays(t *testing.T, p patient) (says string, status int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, "doctor", p.addr, "--certs", p.certs)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// A host that is well gets an ok for each step.
func TestDoctorFindsNothing(t *testing.T) {
	p := startHost(t)
	says, status := doctorSays(t, patient{p.addr, p.certs})
	t.Logf("\n%s", says)
	if status != 0 || strings.Contains(says, "wrong  ") {
		t.Errorf("exit status %d, want 0, and nothing wrong", status)
	}
	for _, line := range []string{"device", "identity", "address", "udp", "tcp", "handshake", "version", "certificate", "clock", "session", "policy", "call", "round trip", "packets"} {
		if !regexp.MustCompile(`(?m)^ok     ` + line + `: `).MatchString(says) {
			t.Errorf("no line says that %s is ok", line)
		}
	}
}

// Without an address it says what the device tells, each metric once: with its source, or with the reason why not.
func TestDoctorOfTheDevice(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), program, "doctor").CombinedOutput()
	t.Logf("\n%s", out)
	if err != nil {
		t.Error(err)
	}
	if !regexp.MustCompile(`(?m)^       cores +[0-9.]+ cores +\w`).Match(out) {
		t.Error("no line says how many cores there are, and who says so")
	}
	for m := range notifier.Metrics {
		value := regexp.MustCompile(`(?m)^       ` + m.String() + ` {2,}\S.* \S`)
		unknown := regexp.MustCompile(`(?m)^       unknown: (.*, )?` + m.String() + `(,.*)? \(.+\)$`)
		if got := len(value.FindAll(out, -1)) + len(unknown.FindAll(out, -1)); got != 1 && !ofPath(m) {
			t.Errorf("%v is there %d times, want once", m, got)
		}
	}
}

// Each fault has its line, and that says what to do. The lines before it are ok.
func TestDoctorFindsWhatIsWrong(t *testing.T) {
	tests := []struct {
		name  string
		fault func(t *testing.T) patient
		wrong string // the line that is
		says  string // in it
		cure  string
	}{
		{"no certificate", noCertificate, "identity", "no such file", "--certs DIR"},
		{"no name", noName, "address", "", "resolv"},
		{"no port", func(t *testing.T) patient { return patient{"127.0.0.1:no", certsHere(t)} }, "address", "no port", "4433"},
		{"no host", noHost, "udp", "no answer", "systemctl status bungee"},
		{"no host, over TCP", noHost, "tcp", "nothing listens", "as above"},
		{"UDP is blocked", udpBlocked, "udp", "no answer", "let UDP port"},
		{"no TCP", noTCP, "tcp", "nothing listens", "let TCP port"},
		{"another authority", otherAuthority, "certificate", "another authority", "one authority"},
		{"the UE's certificate has expired", expiredUE, "identity", "expired", "renew"},
		{"the host's certificate has expired", expiredHost, "certificate", "expired", "renew the host's"},
		{"the host's certificate ends soon", endingHost, "certificate", "days", "renew the host's"},
		{"an earlier version", earlierVersion, "version", "bungee/1", "same release"},
		{"the clock is an hour off", clockAhead, "clock", "1h0m0s ahead of", "set the clock"},
		{"a host that opens no session", noSession, "session", "quota", "journalctl"},
		{"the policy keeps modules out", policyRefuses, "policy", "memory", "its policy"},
		{"something else has the port", notOurs, "tcp", "HTTP/", "ss -lunpt"},
		{"large packets are lost", smallPackets, "packets", "do not grow", "MTU"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			says, status := doctorSays(t, tt.fault(t))
			found := regexp.MustCompile(`(?m)^wrong  ` + tt.wrong + `: (.*)\n +(.*)$`).FindStringSubmatch(says)
			if status != 1 || found == nil || !strings.Contains(found[1], tt.says) || !strings.Contains(found[2], tt.cure) {
				t.Errorf("exit status %d, want 1, and a line of %q that is wrong, says %q, and a cure with %q:\n%s", status, tt.wrong, tt.says, tt.cure, says)
			}
		})
	}
}

func certsHere(t *testing.T) string { return makeCerts(t, dates{}) }

func noCertificate(t *testing.T) patient { return patient{"127.0.0.1:4433", t.TempDir()} }

func noName(t *testing.T) patient { return patient{"no-such-host.invalid:4433", certsHere(t)} }

// noHost returns a port that nobody has.
func noHost(t *testing.T) patient {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return patient{ln.Addr().String(), certsHere(t)}
}

func noTCP(t *testing.T) patient {
	p := startHost(t, "--tcp=false")
	return patient{p.addr, p.certs}
}

// udpBlocked is before a network that lets TCP pass only.
func udpBlocked(t *testing.T) patient {
	p := startHost(t)
	pc, ln := bothOf(t)
	_ = pc // it takes packets and answers none
	go relayTCP(ln, p.addr)
	return patient{ln.Addr().String(), p.certs}
}

func otherAuthority(t *testing.T) patient {
	return patient{startHost(t).addr, certsHere(t)}
}

func expiredUE(t *testing.T) patient {
	return patient{hostWith(t, certsHere(t)), makeCerts(t, dates{ue: -time.Hour})}
}

func expiredHost(t *testing.T) patient {
	return fakeHost(t, makeCerts(t, dates{host: -time.Hour}), wire.ALPN, func(*link.Conn) {}) // ours would not start
}

func endingHost(t *testing.T) patient {
	certs := makeCerts(t, dates{host: 29 * 24 * time.Hour})
	return patient{hostWith(t, certs), certs}
}

// hostWith starts a host that has the certificates in a folder.
func hostWith(t *testing.T, certs string) string {
	p := &process{certs: certs, log: new(output)}
	p.start(t, []string{"host", "--listen", "127.0.0.1:0", "--certs", certs, "--cache", filepath.Join(t.TempDir(), "cache")})
	t.Cleanup(p.kill)
	return p.addr
}

func earlierVersion(t *testing.T) patient {
	return fakeHost(t, certsHere(t), "bungee/1", func(*link.Conn) {})
}

func clockAhead(t *testing.T) patient {
	return fakeHost(t, certsHere(t), wire.ALPN, answering(func(st link.Stream) {
		control.Welcome(st, wire.Welcome{Name: "ahead", Cores: 1, Now: time.Now().Add(time.Hour).UnixMilli()})
	}))
}

func noSession(t *testing.T) patient {
	return fakeHost(t, certsHere(t), wire.ALPN, answering(func(st link.Stream) {
		control.Refuse(st, &wire.Fail{Code: 4, Text: "the tenant's quota of sessions"})
	}))
}

// answering serves pings, and Hellos as hello does.
func answering(hello func(link.Stream)) func(*link.Conn) {
	return func(c *link.Conn) {
		for {
			st, err := c.Accept(context.Background())
			if err != nil {
				return
			}
			go func() {
				switch typ, _ := control.Begin(st); typ {
				case wire.TypePing:
					control.Pong(st)
				case wire.TypeHello:
					if _, err := control.ReadHello(st); err == nil {
						hello(st)
					}
				}
			}()
		}
	}
}

// fakeHost listens over UDP, with the certificate in a folder, and has serve answer each connection.
func fakeHost(t *testing.T, certs, speaks string, serve func(*link.Conn)) patient {
	cert, err := tls.LoadX509KeyPair(filepath.Join(certs, "host.pem"), filepath.Join(certs, "host.key"))
	if err != nil {
		t.Fatal(err)
	}
	conf := &tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequireAnyClientCert, NextProtos: []string{speaks}, MinVersion: tls.VersionTLS13}
	pc, tcp := bothOf(t)
	ln, err := link.Listen(pc, conf)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	addr := tcp.Addr().String()
	tcp.Close()
	go func() {
		for {
			c, err := ln.Accept(context.Background())
			if err != nil {
				return
			}
			go serve(c)
		}
	}()
	return patient{addr, certs}
}

func policyRefuses(t *testing.T) patient {
	policy := filepath.Join(t.TempDir(), "edge.toml")
	if err := os.WriteFile(policy, []byte("[default]\nlimits.memory = \"64 KiB\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := startHost(t, "--policy", policy)
	return patient{p.addr, p.certs}
}

// notOurs is a web server, and takes UDP for something else.
func notOurs(t *testing.T) patient {
	_, ln := bothOf(t)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n")
			io.Copy(io.Discard, c)
			c.Close()
		}
	}()
	return patient{ln.Addr().String(), certsHere(t)}
}

// smallPackets is before a tunnel that loses packets over 1,228 bytes, headers included.
func smallPackets(t *testing.T) patient {
	p := startHost(t)
	pc, ln := bothOf(t)
	go relayTCP(ln, p.addr)
	go relayUDP(t, pc, p.addr, 1200)
	return patient{ln.Addr().String(), p.certs}
}

// bothOf returns a UDP socket and a TCP listener of one port, until the test ends.
func bothOf(t *testing.T) (*net.UDPConn, net.Listener) {
	t.Helper()
	for {
		pc, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		ln, err := net.Listen("tcp", pc.LocalAddr().String())
		if err != nil {
			pc.Close()
			continue
		}
		t.Cleanup(func() { pc.Close(); ln.Close() })
		return pc, ln
	}
}

func relayTCP(ln net.Listener, to string) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			there, err := net.Dial("tcp", to)
			if err != nil {
				return
			}
			defer there.Close()
			go io.Copy(there, c)
			io.Copy(c, there)
		}()
	}
}

// relayUDP carries packets of at most so many bytes both ways.
func relayUDP(t *testing.T, pc *net.UDPConn, to string, most int) {
	var mu sync.Mutex
	there := map[string]net.Conn{} // by the UE's address
	b := make([]byte, 64<<10)
	for {
		n, from, err := pc.ReadFrom(b)
		if err != nil {
			return
		}
		mu.Lock()
		c := there[from.String()]
		if c == nil {
			if c, err = net.Dial("udp", to); err != nil {
				mu.Unlock()
				return
			}
			there[from.String()] = c
			t.Cleanup(func() { c.Close() })
			go func() {
				b := make([]byte, 64<<10)
				for {
					n, err := c.Read(b)
					if err != nil {
						return
					}
					if n <= most {
						pc.WriteTo(b[:n], from)
					}
				}
			}()
		}
		mu.Unlock()
		if n <= most {
			c.Write(b[:n])
		}
	}
}

// dates are how long certificates last from now on; zero is a year.
type dates struct{ ue, host time.Duration }

// makeCerts makes a folder of an authority's certificates for a UE and a host, with dates that no
// command makes.
func makeCerts(t *testing.T, d dates) string {
	t.Helper()
	dir := t.TempDir()
	ca, caKey := makeCert(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "test authority"}, URIs: []*url.URL{{Scheme: "spiffe", Host: "bungee"}},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, 0, nil, nil)
	writeFile(t, dir, "ca.pem", "CERTIFICATE", ca.Raw)
	for _, leaf := range []struct {
		name, path string
		life       time.Duration
		usage      x509.ExtKeyUsage
		dns        []string
	}{
		{"ue", "/tenant/acme/ue/phone", d.ue, x509.ExtKeyUsageClientAuth, nil},
		{"host", "/host/edge-1", d.host, x509.ExtKeyUsageServerAuth, []string{"edge-host.bungee"}},
	} {
		cert, key := makeCert(t, &x509.Certificate{
			Subject: pkix.Name{CommonName: leaf.name}, URIs: []*url.URL{{Scheme: "spiffe", Host: "bungee", Path: leaf.path}},
			DNSNames: leaf.dns, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{leaf.usage}, BasicConstraintsValid: true,
		}, leaf.life, ca, caKey)
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, dir, leaf.name+".pem", "CERTIFICATE", cert.Raw)
		writeFile(t, dir, leaf.name+".key", "PRIVATE KEY", der)
	}
	return dir
}

// makeCert signs a certificate with a key of its own; without an authority it signs itself.
func makeCert(t *testing.T, c *x509.Certificate, life time.Duration, ca *x509.Certificate, caKey *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if life == 0 {
		life = 365 * 24 * time.Hour
	}
	if c.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62)); err != nil {
		t.Fatal(err)
	}
	c.NotBefore, c.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(life)
	if ca == nil {
		ca, caKey = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, ca, &key.PublicKey, caKey)
	if err != nil {
		t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return made, key
}

func writeFile(t *testing.T, dir, name, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}
