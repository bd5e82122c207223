package mdns

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/bungee-xr/bungee/internal/needs"
)

// inSpace runs the rest of the test in a process of its own, in a network namespace that has the links eth-a and eth-b and nobody else. It says
// whether this is that process.
func inSpace(t *testing.T) bool {
	t.Helper()
	if os.Getenv("BUNGEE_MDNS_SPACE") == t.Name() {
		return true
	}
	if _, err := exec.LookPath("ip"); err != nil || os.Getuid() != 0 {
		needs.Network(t, "a network namespace with links needs iproute2 and root: sudo -E go test ./handler/ue/discover/mdns -run "+t.Name())
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=60s")
	cmd.Env = append(os.Environ(), "BUNGEE_MDNS_SPACE="+t.Name())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	out, err := cmd.CombinedOutput()
	switch {
	case err != nil && cmd.ProcessState == nil:
		needs.Network(t, fmt.Sprintf("no network namespace can be made here (%v): run as root, go test ./handler/ue/discover/mdns -run %s", err, t.Name()))
	case err != nil:
		t.Errorf("in the namespace: %v\n%s", err, out)
	default:
		t.Logf("%s", out)
	}
	return false
}

// ip runs commands of that program.
func ip(t *testing.T, commands ...string) {
	t.Helper()
	for _, c := range commands {
		if out, err := exec.Command("ip", strings.Fields(c)...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v: %s", c, err, out)
		}
	}
}

// twoLinks makes eth-a, 10.9.1.1 and fe80::a:1, and eth-b, 10.9.2.1 and fe80::b:1.
func twoLinks(t *testing.T) {
	t.Helper()
	ip(t, "link set lo up")
	makeLink(t, "a", "1")
	makeLink(t, "b", "2")
}

func makeLink(t *testing.T, x, n string) {
	t.Helper()
	ip(t,
		"link add eth-"+x+" type veth peer name far-"+x, "link set eth-"+x+" addrgenmode none", "link set far-"+x+" addrgenmode none",
		"addr add 10.9."+n+".1/24 dev eth-"+x, "addr add fe80::"+x+":1/64 dev eth-"+x+" nodad",
		"link set eth-"+x+" up", "link set far-"+x+" up")
}
