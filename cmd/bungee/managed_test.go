package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/handler/ue"
	"github.com/bungee-xr/bungee/handler/ue/policy"
	"github.com/bungee-xr/bungee/offload"
	"github.com/bungee-xr/bungee/offload/codegen"
	"github.com/bungee-xr/bungee/offload/manager"
)

// startManaged starts an edge host that takes whom m sends.
func (m *managed) startManaged(name string, args ...string) *process {
	t := m.t
	t.Helper()
	p := &process{log: new(output), certs: m.enrol("host", name)}
	args = append([]string{
		"host", "--listen", "127.0.0.1:0", "--certs", p.certs, "--cache", filepath.Join(m.dir, name+"-cache"), "--manager", m.addr, "--name", name, "-v",
	}, args...)
	p.start(t, args)
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("%s said:\n%s", name, p.log)
		}
	})
	return p
}

// enrol enrols a device and returns the folder of its certificates.
func (m *managed) enrol(role, name string, args ...string) string {
	m.t.Helper()
	dir := filepath.Join(m.dir, name)
	code := m.bungee(append([]string{"manager", "code", role, name, m.socket()}, args...)...)
	m.bungee("enroll", "--manager", m.addr, "--code", strings.TrimSpace(code), "--certs", dir)
	return dir
}

// awaitState waits until the manager's state is as is says.
func (m *managed) awaitState(what string, is func(manager.State) bool) {
	m.t.Helper()
	await(m.t, what, func() bool { return is(m.state()) })
}

// startUE starts a UE with the certificates in a folder, which goes where m says, and a function that it has an edge host run.
func (m *managed) startUE(certs string) (*tls.Config, *ue.Handler, *codegen.Func[[]byte, []byte]) {
	m.t.Helper()
	conf, err := ue.LoadTLS(certs)
	if err != nil {
		m.t.Fatal(err)
	}
	h, err := ue.Start(m.t.Context(), ue.Config{Managers: ue.Addresses{m.addr}, TLS: conf, Policy: policy.Always(policy.OnEdge), Need: ue.Need{Latency: 5 * time.Second}})
	if err != nil {
		m.t.Fatal(err)
	}
	return conf, h, raw(m.t, "basic", 0, errNative)
}

// ranOn makes a call, and returns the host that ran it; "" where none did.
func ranOn(t *testing.T, echo *codegen.Func[[]byte, []byte]) string {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var trace offload.Trace
	if _, err := echo.Call(offload.WithTrace(ctx, &trace), []byte("hi")); err != nil {
		return ""
	}
	return trace.Host
}

// A UE asks the manager, which places it on a host; the host serves it for its lease, and nobody without one.
func TestManagedHost(t *testing.T) {
	m := startManager(t)
	p := m.startManaged("edge-1", "--label", "site=north", "--price", "0.5")
	m.awaitState("the manager to know the host", func(s manager.State) bool {
		return len(s.Hosts) == 1 && s.Hosts[0].State == "ready" && s.Hosts[0].Addresses[0] == p.addr
	})
	conf, h, echo := m.startUE(m.enrol("ue", "headset-1", "--tenant", "acme"))
	defer h.Close()
	await(t, "a call to run on the host", func() bool { return ranOn(t, echo) != "" })
	m.awaitState("the session to run", func(s manager.State) bool {
		return len(s.Sessions) == 1 && s.Sessions[0].State == "running" && s.Sessions[0].Primary == "edge-1"
	})

	// Without a lease the same UE is served nowhere.
	direct, err := ue.Start(t.Context(), ue.Config{Edge: p.addr, TLS: conf, Policy: policy.Always(policy.OnEdge)})
	if err != nil {
		t.Fatal(err)
	}
	defer direct.Close()
	await(t, "the host to refuse who has no lease", func() bool { return strings.Contains(p.log.String(), "say Hello with a lease") })
	direct.Close()

	// While the manager is away the session goes on; back, it knows of it.
	m.kill()
	for range 20 {
		if _, err := echo.Call(t.Context(), []byte("hi")); err != nil {
			t.Fatalf("without the manager: %v", err)
		}
	}
	args := m.args
	args[indexOf(args, "--listen")+1] = m.addr
	m.start(t, args)
	m.awaitState("the manager to find the session again", func(s manager.State) bool {
		return s.Epoch == 2 && len(s.Sessions) == 1 && s.Sessions[0].State == "running" && s.Sessions[0].Primary == "edge-1"
	})
	m.bungee("manager", "revoke", "ue", "headset-1", "--tenant", "acme", m.socket())
	again, err := ue.Start(t.Context(), ue.Config{Edge: p.addr, TLS: conf, Policy: policy.Always(policy.OnEdge)}) // the one above may hear it from the manager, and leave
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	await(t, "the host to end the revoked UE's connection", func() bool { return strings.Contains(p.log.String(), "is revoked") })
}

// With --ports a lease has a port of its own, and its UE is served.
func TestManagedHostPorts(t *testing.T) {
	m := startManager(t)
	pc, err := net.ListenPacket("udp", "127.0.0.1:0") // the first port is in use
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	first := pc.LocalAddr().(*net.UDPAddr).Port
	if first+20 > 65535 {
		t.Skip("there are no 20 ports above the free one that the system chose; again: go test -run TestManagedHostPorts ./cmd/bungee")
	}
	p := m.startManaged("edge-1", "--ports", fmt.Sprintf("%d-%d", first, first+20))
	_, h, echo := m.startUE(m.enrol("ue", "headset-1", "--tenant", "acme"))
	defer h.Close()
	await(t, "a call to run on the host", func() bool { return ranOn(t, echo) != "" })
	got := 0
	for port := first; port <= first+20; port++ {
		if strings.Contains(p.log.String(), fmt.Sprintf(`port=%d`+"\n", port)) {
			got = port
		}
	}
	if got <= first {
		t.Errorf("the lease has port %d of those from %d on, of which the first is in use", got, first)
	}
}
