//go:build amd64 || arm64

package link

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

// refuseEnv names what the kernel refuses the test binary.
const refuseEnv = "BUNGEE_TEST_REFUSE"

// A refusal is a system call that a kernel does not know, or does not know with
// these arguments.
type refusal struct {
	call  uint32
	args  map[uint32]uint32 // by their place
	errno unix.Errno
}

// refusals are kernels and sandboxes that lack what makes sockets faster.
var refusals = map[string][]refusal{
	"UDP_GRO": {{unix.SYS_SETSOCKOPT, map[uint32]uint32{1: unix.IPPROTO_UDP, 2: unix.UDP_GRO}, unix.ENOPROTOOPT}}, // before Linux 5.0, gVisor
	"UDP_GRO and UDP_SEGMENT": { // before Linux 4.18
		{unix.SYS_SETSOCKOPT, map[uint32]uint32{1: unix.IPPROTO_UDP, 2: unix.UDP_GRO}, unix.ENOPROTOOPT},
		{unix.SYS_SETSOCKOPT, map[uint32]uint32{1: unix.IPPROTO_UDP, 2: unix.UDP_SEGMENT}, unix.ENOPROTOOPT},
		{unix.SYS_GETSOCKOPT, map[uint32]uint32{1: unix.IPPROTO_UDP, 2: unix.UDP_SEGMENT}, unix.ENOPROTOOPT},
	},
	"recvmmsg":               {{unix.SYS_RECVMMSG, nil, unix.ENOSYS}},
	"recvmmsg, as a sandbox": {{unix.SYS_RECVMMSG, nil, unix.EPERM}},
	"ECN":                    {setting(unix.IPPROTO_IP, unix.IP_RECVTOS), setting(unix.IPPROTO_IPV6, unix.IPV6_RECVTCLASS)},
	"DF":                     {setting(unix.IPPROTO_IP, unix.IP_MTU_DISCOVER), setting(unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER)},
	"pktinfo":                {setting(unix.IPPROTO_IP, unix.IP_PKTINFO), setting(unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO)},
	"UDP_GRO and recvmmsg": {
		{unix.SYS_SETSOCKOPT, map[uint32]uint32{1: unix.IPPROTO_UDP, 2: unix.UDP_GRO}, unix.ENOPROTOOPT},
		{unix.SYS_RECVMMSG, nil, unix.ENOSYS},
	},
}

// setting is the refusal of a socket's option.
func setting(level, name uint32) refusal {
	return refusal{unix.SYS_SETSOCKOPT, map[uint32]uint32{1: level, 2: name}, unix.ENOPROTOOPT}
}

// A UE and a host exchange frames and change paths in a process whose kernel
// refuses what is optional.
func TestOptionsThatTheKernelRefuses(t *testing.T) {
	for name := range refusals {
		t.Run(name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^(TestSwitchPathOnRealSockets|TestAnyAddress|TestSlotHammer|TestRefused)$", "-test.v")
			cmd.Env = append(os.Environ(), refuseEnv+"="+name)
			out, err := cmd.CombinedOutput()
			if strings.Contains(string(out), errNoFilter.Error()) {
				t.Skipf("%s; where seccomp(2) is allowed: go test ./internal/link", out)
			}
			if err != nil || !strings.Contains(string(out), "--- PASS: TestRefused") {
				t.Errorf("without %s: %v\n%s", name, err, out)
			}
		})
	}
}

// TestRefused runs in the process of TestOptionsThatTheKernelRefuses and says
// that the kernel does refuse.
func TestRefused(t *testing.T) {
	name, refused := os.LookupEnv(refuseEnv)
	if !refused {
		t.Skip("this is the process under the filter: go test -run TestOptionsThatTheKernelRefuses ./internal/link")
	}
	pc := loopback(t, 1)
	if _, gro := newSocket(pc).PacketConn.(*groSocket); gro && strings.Contains(name, "UDP_GRO") {
		t.Errorf("without %s: a socket with UDP_GRO is %v", name, gro)
	}
	if strings.Contains(name, "UDP_SEGMENT") && segmentation(t) {
		t.Errorf("without %s: UDP_SEGMENT is known", name)
	}
	for _, option := range []string{"ECN", "DF"} {
		if lacks, enough := probe(pc); slices.Contains(lacks, option) != strings.Contains(name, option) || strings.Contains(name, option) && enough {
			t.Errorf("without %s: the kernel lacks %q, enough %v", name, lacks, enough)
		}
	}
	if !strings.Contains(name, "recvmmsg") {
		return
	}
	if _, err := ipv4.NewPacketConn(pc).ReadBatch(messages(1), 0); !errors.Is(err, refusals[name][len(refusals[name])-1].errno) {
		t.Errorf("without %s: a batch read gave %v", name, err)
	}
}

var errNoFilter = errors.New("no filter of system calls")

// refuse has the kernel refuse this process what refusals[name] says.
func refuse(name string) error {
	var f []unix.SockFilter
	add := func(code uint16, k uint32, jt, jf uint8) {
		f = append(f, unix.SockFilter{Code: code, K: k, Jt: jt, Jf: jf})
	}
	const load, equal = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
	for _, r := range refusals[name] {
		left := uint8(2*len(r.args) + 1) // instructions to the next refusal
		add(load, 0, 0, 0)               // the call's number, see struct seccomp_data
		add(equal, r.call, 0, left)
		for n, arg := range r.args {
			left -= 2
			add(load, 16+8*n, 0, 0) // its lower half
			add(equal, arg, 0, left)
		}
		add(unix.BPF_RET, unix.SECCOMP_RET_ERRNO|uint32(r.errno), 0, 0)
	}
	add(unix.BPF_RET, unix.SECCOMP_RET_ALLOW, 0, 0)

	runtime.LockOSThread() // both calls are about this thread, and the second one about all
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("%w: %w", errNoFilter, err)
	}
	prog := &unix.SockFprog{Len: uint16(len(f)), Filter: &f[0]}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(prog)))
	if errno != 0 {
		return fmt.Errorf("%w: %w", errNoFilter, errno)
	}
	return nil
}

// init is before the tests: TestMain is in another package.
func init() {
	name, refused := os.LookupEnv(refuseEnv)
	if !refused {
		return
	}
	if err := refuse(name); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
