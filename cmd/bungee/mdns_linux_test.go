package main

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/bungee-xr/bungee/handler/ue"
	"github.com/bungee-xr/bungee/handler/ue/discover/mdns"
	"github.com/bungee-xr/bungee/handler/ue/policy"
	"github.com/bungee-xr/bungee/internal/needs"
)

// zoned are the managers of another Discoverer that are at link-local addresses of IPv6.
type zoned struct{ ue.Discoverer }

func (z zoned) Managers(ctx context.Context) (all []string, err error) {
	found, err := z.Discoverer.Managers(ctx)
	for _, a := range found {
		if strings.Contains(a, "%") {
			all = append(all, a)
		}
	}
	return all, err
}

// A UE that knows no address finds the manager on its link, and its calls run on a host; also where the link has nothing but link-local addresses.
func TestUpAnnounces(t *testing.T) {
	if os.Getenv("BUNGEE_MDNS_SPACE") == "" {
		inLink(t)
		return
	}
	m := startUp(t, t.TempDir(), "--hosts", "1", "--listen", "[::]:0", "--mdns")
	for what, d := range map[string]ue.Discoverer{"any address": mdns.Browser{}, "a link-local address": zoned{mdns.Browser{}}} {
		conf, err := ue.LoadTLS("")
		if err != nil {
			t.Fatal(err)
		}
		h, err := ue.Start(t.Context(), ue.Config{Managers: d, TLS: conf, Policy: policy.Always(policy.OnEdge)})
		if err != nil {
			t.Fatal(err)
		}
		echo := raw(t, "basic", 0, errNative)
		await(t, "a call to run on a host by "+what, func() bool { return ranOn(t, echo) != "" })
		h.Close()
	}
	if out, err := m.try("up", "--listen", "127.0.0.1:0", "--mdns", "--store", t.TempDir()+"/store"); err == nil || !strings.Contains(out, "--listen :4434") {
		t.Errorf("--mdns on the loopback: %q, %v; want an error that says what to do", out, err)
	}
}

// inLink runs the test in a process of its own, in a network namespace with one link.
func inLink(t *testing.T) {
	if _, err := exec.LookPath("ip"); err != nil || os.Getuid() != 0 {
		needs.Network(t, "a network namespace with a link needs iproute2 and root: sudo -E go test ./cmd/bungee -run "+t.Name())
	}
	script := `set -e
ip link set lo up
ip link add eth-a type veth peer name far-a
ip link set eth-a addrgenmode none
ip addr add fe80::a:1/64 dev eth-a nodad
ip addr add 10.9.1.1/24 dev eth-a
ip link set eth-a up
ip link set far-a up
exec "$@"`
	cmd := exec.Command("sh", "-c", script, "sh", "/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=90s")
	if self, err := os.Executable(); err == nil {
		cmd.Args[4] = self
	}
	cmd.Env = append(os.Environ(), "BUNGEE_MDNS_SPACE=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("in the namespace: %v\n%s", err, out)
	}
}
