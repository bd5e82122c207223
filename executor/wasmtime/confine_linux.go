//go:build cgo

package wasmtime

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// confine takes from a compiler what it does not need: it can write no file, leave no
// core, open few descriptors, make no connection and start no program. It has an empty
// environment, and no descriptors but three, from its engine. Where the kernel lets
// nobody do that without rights, the compiler does without: its output is trusted
// anyway, so that is no wall but a habit.
func confine() {
	for _, l := range []struct {
		what int
		most uint64
	}{{unix.RLIMIT_CORE, 0}, {unix.RLIMIT_FSIZE, 0}, {unix.RLIMIT_NOFILE, 64}} {
		_ = unix.Setrlimit(l.what, &unix.Rlimit{Cur: l.most, Max: l.most})
	}
	runtime.LockOSThread() // no new privileges are a thread's, until the filter spreads them
	defer runtime.UnlockOSThread()
	if unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != nil {
		return
	}
	filter := denied()
	if len(filter) == 0 {
		return
	}
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	_, _, _ = unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&prog)))
}

// arch is the number of the processor in a filter, by its name in Go.
var arch = map[string]uint32{"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64}

// denied returns a filter of system calls which refuses those that make connections,
// start programs or look into other processes, with EPERM. See seccomp(2).
func denied() []unix.SockFilter {
	calls := []uint32{
		unix.SYS_SOCKET, unix.SYS_SOCKETPAIR, unix.SYS_CONNECT, unix.SYS_BIND, unix.SYS_LISTEN, unix.SYS_ACCEPT, unix.SYS_ACCEPT4,
		unix.SYS_EXECVE, unix.SYS_EXECVEAT, unix.SYS_PTRACE, unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV,
		unix.SYS_PIDFD_OPEN, unix.SYS_PIDFD_GETFD, unix.SYS_BPF, unix.SYS_IO_URING_SETUP, unix.SYS_PERF_EVENT_OPEN, unix.SYS_USERFAULTFD,
	}
	number, ok := arch[runtime.GOARCH]
	if !ok {
		return nil
	}
	load := func(at uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: at}
	}
	answer := func(v uint32) unix.SockFilter { return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: v} }
	refuse := answer(unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM))
	// A jump goes over so many instructions if the comparison holds, and else to the next but so many.
	f := []unix.SockFilter{
		load(4), // of seccomp_data: arch
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: number, Jt: 1},
		refuse,
		load(0), // nr
		{Code: unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K, K: 1 << 30, Jf: 1}, // x32's numbers
		refuse,
	}
	for _, call := range calls {
		f = append(f, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: call, Jf: 1}, refuse)
	}
	return append(f, answer(unix.SECCOMP_RET_ALLOW))
}

// bound limits the memory and the CPU time that this process takes from now on.
//
// The memory is RLIMIT_DATA's: private pages that can be written, which is what a
// compiler allocates. RLIMIT_AS would count addresses that wasmtime and Go set aside,
// some GiB in a process that has 20 MB. The kernel kills a process that is over its time.
func bound(memory uint64, cpu time.Duration) error {
	var r unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &r); err != nil {
		return err
	}
	used := time.Duration(r.Utime.Nano() + r.Stime.Nano())
	seconds := uint64((used + cpu + time.Second - 1) / time.Second)
	if err := lower(unix.RLIMIT_CPU, seconds); err != nil {
		return err
	}
	return lower(unix.RLIMIT_DATA, dataBytes()+memory)
}

// lower sets a limit, unless a lower one holds.
func lower(what int, most uint64) error {
	var l unix.Rlimit
	if err := unix.Getrlimit(what, &l); err != nil {
		return err
	}
	most = min(most, l.Max)
	return unix.Setrlimit(what, &unix.Rlimit{Cur: most, Max: most})
}

// dataBytes returns what this process has of what RLIMIT_DATA counts. Without /proc it
// guesses.
func dataBytes() uint64 {
	const guess = 256 << 20
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return guess
	}
	for line := range strings.Lines(string(status)) {
		var kib uint64
		if _, err := fmt.Sscanf(line, "VmData: %d kB", &kib); err == nil {
			return kib << 10
		}
	}
	return guess
}

// childAttr says how a compiler is started: it ends with the thread that starts it, and no
// signal of a terminal reaches it.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}

// setNice gives a compiler that has just been started the priority of what may wait.
func setNice(pid int) { _ = syscall.Setpriority(syscall.PRIO_PROCESS, pid, niceness) }
