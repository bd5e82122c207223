package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/executor/enginetest"
	"github.com/bungee-xr/bungee/handler/ue"
	"github.com/bungee-xr/bungee/handler/ue/policy"
	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/offload"
	"github.com/bungee-xr/bungee/offload/codegen"
	"github.com/bungee-xr/bungee/offload/pack"
)

// program is the real bungee, with the race detector.
var program string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "bungee-test-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		program = filepath.Join(dir, "bungee")
		build := exec.Command("go", "build", "-race", "-o", program, ".")
		build.Stderr = os.Stderr
		if err := build.Run(); err != nil {
			fmt.Fprintln(os.Stderr, "build the program under test:", err)
			return 1
		}
		return m.Run()
	}())
}

// A process is a running "bungee host".
type process struct {
	build string // the program; "": the one under test
	cmd   *exec.Cmd
	addr  string
	certs string
	log   *output
}

// An output is what a process has said so far.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

func (o *output) reset() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.buf.Reset()
}

// startHost starts an edge host. Its cache is the test's own.
func startHost(t *testing.T, args ...string) *process {
	t.Helper()
	dir := t.TempDir()
	p := &process{certs: filepath.Join(dir, "certs"), log: new(output)}
	if err := identity.Write(p.certs); err != nil {
		t.Fatal(err)
	}
	args = append([]string{"host", "--listen", "127.0.0.1:0", "--certs", p.certs, "--cache", filepath.Join(dir, "cache"), "--name", "edge-1", "-v"}, args...)
	p.start(t, args)
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("the host said:\n%s", p.log)
		}
	})
	return p
}

// start starts the process and waits until it listens.
func (p *process) start(t *testing.T, args []string) {
	t.Helper()
	p.cmd = exec.Command(cmp.Or(p.build, program), args...)
	p.cmd.Stderr = p.log
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	addr, ok := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
	if err != nil || !ok {
		t.Fatalf("the host said %q, %v", line, err)
	}
	p.addr = addr
}

// kill ends a host as no host ends itself.
func (p *process) kill() {
	p.cmd.Process.Kill()
	p.cmd.Wait()
}

// again starts a host that has ended, at the address that it had.
func (p *process) again(t *testing.T) {
	t.Helper()
	args := p.cmd.Args[1:]
	args[indexOf(args, "--listen")+1] = p.addr
	p.log.reset()
	p.start(t, args)
}

// raw is an elastic function of bytes whose module is one of enginetest's. Its
// native version returns the error native.
func raw(t *testing.T, guest string, fn uint32, native error) *codegen.Func[[]byte, []byte] {
	t.Helper()
	return &codegen.Func[[]byte, []byte]{
		Desc: offload.Desc{
			Name: fmt.Sprint(guest, " ", fn), Index: fn, Module: codegen.NewModule(enginetest.Guest(t, guest)),
			Deadline: patience, Idempotent: true,
		},
		Native:    func(context.Context, []byte) ([]byte, error) { return nil, native },
		AppendIn:  pack.AppendBytes,
		ReadIn:    (*pack.Reader).Bytes,
		AppendOut: pack.AppendBytes,
		ReadOut:   (*pack.Reader).Bytes,
	}
}

func startUE(t *testing.T, p *process) *ue.Handler {
	t.Helper()
	conf, err := ue.LoadTLS(p.certs)
	if err != nil {
		t.Fatal(err)
	}
	h, err := ue.Start(t.Context(), ue.Config{Edge: p.addr, TLS: conf, Policy: policy.Always(policy.OnEdge), Transport: ue.QUIC})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

func ready(t *testing.T, h *ue.Handler, d *offload.Desc) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := h.Prepare(ctx, d); err != nil {
		t.Fatal(err)
	}
}

var errNative = errors.New("ran natively")

// A module that does harm costs its call, and the host goes on.
func TestHostOutlivesItsGuests(t *testing.T) {
	p := startHost(t, "--memory", "16")
	h := startUE(t, p)
	echo := raw(t, "basic", 0, errNative)
	ready(t, h, &echo.Desc)
	tests := []struct {
		name     string
		fn       uint32
		deadline time.Duration
		fallback bool
	}{
		{"traps", 4, patience, true},
		{"loops for ever", 5, 300 * time.Millisecond, true},
		{"recurses for ever", 7, patience, true},
		{"answers with 2^32-1 bytes", 9, patience, true},
		{"grows until it is refused", 6, patience, false}, // and then answers something
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := raw(t, "basic", tt.fn, errNative)
			f.Deadline = tt.deadline
			ready(t, h, &f.Desc)
			_, err := f.Call(t.Context(), []byte("x"))
			if errors.Is(err, errNative) != tt.fallback || err == nil {
				t.Errorf("%v; fall back: want %v", err, tt.fallback)
			}
			ready(t, h, &echo.Desc)
			if got, err := echo.Call(t.Context(), []byte("still there")); string(got) != "still there" {
				t.Errorf("the call after: %q, %v", got, err)
			}
		})
	}
	if n := h.Stats().Fallbacks; n != 4 {
		t.Errorf("%d fallbacks counted, want 4: %v", n, h.Stats().Reasons)
	}
}

// Modules that the host must refuse: calls run natively, and the host goes on.
func TestHostRefusesBadModules(t *testing.T) {
	p := startHost(t, "--call-limit", "500ms")
	h := startUE(t, p)
	for _, guest := range []string{"noexports", "version", "unknown", "inittrap", "initspin"} {
		f := raw(t, guest, 0, errNative)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		if err := h.Prepare(ctx, &f.Desc); err == nil || !strings.Contains(err.Error(), "refused") {
			t.Errorf("%s: %v, want a refusal", guest, err)
		}
		cancel()
		if _, err := f.Call(t.Context(), nil); !errors.Is(err, errNative) {
			t.Errorf("%s: %v, want a fallback", guest, err)
		}
	}
	echo := raw(t, "basic", 0, errNative)
	ready(t, h, &echo.Desc)
}

// A module is uploaded once, ever: a host that is started again has it in its cache.
func TestModuleOutlivesTheHost(t *testing.T) {
	p := startHost(t)
	h := startUE(t, p)
	echo := raw(t, "basic", 0, errNative)
	ready(t, h, &echo.Desc)
	p.kill()
	p.again(t)
	// Calls fall back until the UE has noticed; then the host answers.
	deadline := time.Now().Add(time.Minute)
	for {
		if _, err := echo.Call(t.Context(), []byte("x")); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the host that came back is not used: %v", h.Stats().Reasons)
		}
		ready(t, h, &echo.Desc)
	}
	p.cmd.Process.Signal(syscall.SIGTERM)
	p.cmd.Wait()
	if strings.Contains(p.log.String(), "compiled") {
		t.Errorf("the module was compiled again:\n%s", p.log)
	}
}

func indexOf(args []string, want string) int {
	for i, a := range args {
		if a == want {
			return i
		}
	}
	return -1
}

func TestSIGTERMEndsInOrder(t *testing.T) {
	p := startHost(t)
	h := startUE(t, p)
	echo := raw(t, "basic", 0, errNative)
	ready(t, h, &echo.Desc)
	p.cmd.Process.Signal(syscall.SIGTERM)
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("the host ended with %v, want exit status 0", err)
	}
	if _, err := echo.Call(t.Context(), nil); !errors.Is(err, errNative) {
		t.Errorf("a call after the end: %v, want a fallback", err)
	}
}

func TestEndsWithItsParent(t *testing.T) {
	certs := filepath.Join(t.TempDir(), "certs")
	if err := identity.Write(certs); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "host", "--listen", "127.0.0.1:0", "--certs", certs, "--cache", filepath.Join(t.TempDir(), "cache"), "--until-eof")
	cmd.Stdin = strings.NewReader("")
	if b, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, b)
	}
}

func TestCommandLineErrors(t *testing.T) {
	taken, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	certs := filepath.Join(t.TempDir(), "certs")
	if err := identity.Write(certs); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		args []string
		exit int
		want string
	}{
		{[]string{"host", "--nonsense"}, 2, "unknown flag"},
		{[]string{"host", "--listen", "nowhere", "--certs", certs}, 2, "--listen"},
		{[]string{"host", "--certs", t.TempDir()}, 1, "bungee ca issue host NAME"},
		{[]string{"host", "--certs", certs, "--listen", taken.LocalAddr().String()}, 1, "in use"},
		{[]string{"host", "--certs", certs, "--model", "x"}, 1, "no model is called"},
		{[]string{"ca", "ls"}, 1, "bungee ca init"},
		{[]string{"ca", "init", "--name", "a/b"}, 2, "--name"},
		{[]string{"ca", "issue", "ue"}, 2, "accepts 2 arg(s)"},
		{[]string{"bench", "paper001"}, 1, "make build"}, // no bungee-lab is there
	}
	for _, tt := range tests {
		cmd := exec.Command(program, tt.args...)
		cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "PATH=")
		b, _ := cmd.CombinedOutput()
		if got := cmd.ProcessState.ExitCode(); got != tt.exit || !strings.Contains(string(b), tt.want) || bytes.Count(b, []byte("\n")) != 1 {
			t.Errorf("%v: exit %d, %q; want %d and one line with %q", tt.args, got, b, tt.exit, tt.want)
		}
	}
}
