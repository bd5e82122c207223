//go:build cgo

package wasmtime_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/internal/bombs"
	"github.com/bungee-xr/bungee/executor/wasmtime"
)

// own is this program, which TestMain makes a compiler.
var own = []string{"/proc/self/exe"}

// loose lets every bomb pass to the compiler.
var loose = executor.Shape{Functions: 1 << 30, FunctionBytes: 1 << 30, Locals: 1 << 30, Blocks: 1 << 30, Loops: 1 << 30, Values: 1 << 30,
	Types: 1 << 30, Imports: 1 << 30, Exports: 1 << 30, Globals: 1 << 30, Segments: 1 << 30}

// Where their shape is let pass, bombs cost their own compilers, within the bounds, and
// nothing else. Without bounds these take up to 73 s of CPU and 6 GB.
func TestBombs(t *testing.T) {
	const memory, cpu = 256 << 20, 2 * time.Second
	e := newEngine(t, wasmtime.Config{Instances: 16, Compiler: own, Shape: loose, Compile: wasmtime.Compile{Memory: memory, CPU: cpu, Output: 32 << 20}})
	defer e.Close()
	kinds := map[string]string{"NestedLoops": "CPU", "ManyLocals": "CPU", "WideCalls": "", "ManyFunctions": "", "ManyTypes": "", "HugeTable": "memory", "GiantData": ""}
	for _, b := range bombs.All() {
		words, ok := kinds[b.Name]
		if !ok {
			continue
		}
		var bill executor.Bill
		src := executor.Bytes(b.Wasm)
		src.Charge = func(b executor.Bill) { bill.Add(b) }
		m, err := e.Load(t.Context(), src)
		if err == nil {
			m.Close()
		}
		if !errors.Is(err, executor.ErrTooLarge) || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: got %v, want %v that mentions %q", b.Name, err, executor.ErrTooLarge, words)
		}
		if bill.CPU <= 0 || bill.CPU > cpu+2*time.Second {
			t.Errorf("%s: billed %v of CPU; it may take %v", b.Name, bill.CPU, cpu)
		}
		t.Logf("%-15s %8d bytes, %5.2f s of CPU: %v", b.Name, len(b.Wasm), bill.CPU.Seconds(), err)
	}
	if err := useOnce(t.Context(), e, wat(t, empty)); err != nil {
		t.Errorf("after all bombs: %v", err)
	}
}

// The defaults hold each bomb, most before a compiler is asked.
func TestBombsByDefault(t *testing.T) {
	e := newEngine(t, wasmtime.Config{Instances: 16, Compiler: own})
	defer e.Close()
	for _, b := range bombs.All() {
		var bill executor.Bill
		src := executor.Bytes(b.Wasm)
		src.Charge = func(b executor.Bill) { bill.Add(b) }
		m, err := e.Load(t.Context(), src)
		if err == nil {
			m.Close()
		}
		if most := 5*time.Second + 4*time.Second*time.Duration(len(b.Wasm))>>20; bill.CPU > most+2*time.Second {
			t.Errorf("%s: took %v of CPU, of %v", b.Name, bill.CPU, most)
		}
		t.Logf("%-15s %8d bytes, %5.2f s of CPU: %v", b.Name, len(b.Wasm), bill.CPU.Seconds(), err)
	}
}

func useOnce(ctx context.Context, e *wasmtime.Engine, wasm []byte) error {
	m, err := e.Load(ctx, executor.Bytes(wasm))
	if err != nil {
		return err
	}
	defer m.Close()
	in, err := m.Instantiate(ctx, executor.InstanceConfig{})
	if err != nil {
		return err
	}
	defer in.Close()
	_, err = in.Call(ctx, 0, nil)
	return err
}

// script is a compiler that does what a shell script says, with the file of that name as $0.
func script(file, text string) []string { return []string{"sh", "-c", text, file} }

// What else a compiler may do costs its module only, is told, and is not tried again at
// once.
func TestCompilerFails(t *testing.T) {
	tests := []struct {
		why, text string
		want      error
		words     string
		forgotten bool // it is tried again
	}{
		{"it crashes", `printf r; cat >/dev/null; echo of a bug >&2; kill -SEGV $$`, nil, "of a bug", false},
		{"it ends", `printf r; cat >/dev/null; exit 3`, nil, "exit status 3", false},
		{"it is out of memory", `printf r; cat >/dev/null; echo memory allocation of 9 bytes failed >&2; kill -ABRT $$`, executor.ErrTooLarge, "MiB of memory", false},
		{"it hangs", `printf r; cat >/dev/null; exec sleep 1000`, executor.ErrTooLarge, "did nothing", false},
		{"it has no end of code", `printf rc; exec yes`, executor.ErrTooLarge, "more than 1048576 bytes", false},
		{"it refuses the module", `printf re; cat >/dev/null; printf 'because'`, executor.ErrABI, "because", true},
		{"it is of another version", `printf rc; cat >/dev/null; echo junk`, nil, "same version", true},
		{"it says nothing", `printf r; cat >/dev/null`, nil, "unexpected EOF", true},
	}
	for _, tt := range tests {
		e := newEngine(t, wasmtime.Config{Instances: 16, Compiler: script("", tt.text), Compile: wasmtime.Compile{CPU: 100 * time.Millisecond, Output: 1 << 20}})
		for k := range 2 {
			err := useOnce(t.Context(), e, wat(t, empty))
			if err == nil || tt.want != nil && !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.words) {
				t.Errorf("%s: got %v, want %v that mentions %q", tt.why, err, tt.want, tt.words)
			}
			if again := err != nil && strings.Contains(err.Error(), "it was tried"); again != (k == 1 && !tt.forgotten) {
				t.Errorf("%s, time %d: got %v; want it tried again: %t", tt.why, k, err, tt.forgotten)
			}
		}
		e.Close()
	}
}

// Where no compiler can be started, modules are compiled in this process, and the log
// says so once.
func TestNoCompiler(t *testing.T) {
	for why, command := range map[string][]string{
		"no such program":      {"/no/such/program"},
		"a program that fails": {"false"},
		"no compiler":          {"echo"},
	} {
		var log bytes.Buffer
		e := newEngine(t, wasmtime.Config{Instances: 16, Compiler: command, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		for k := range 2 {
			if err := useOnce(t.Context(), e, wat(t, empty+strings.Repeat(" (func)", k))); err != nil {
				t.Errorf("%s: %v", why, err)
			}
		}
		if err := useOnce(t.Context(), e, bombs.Loops(2000)); !errors.Is(err, executor.ErrTooLarge) {
			t.Errorf("%s, and a bomb: got %v, want %v", why, err, executor.ErrTooLarge)
		}
		e.Close()
		if n := strings.Count(log.String(), "compiled in this process"); n != 1 {
			t.Errorf("%s: the log says so %d times:\n%s", why, n, &log)
		}
	}
}

// There is memory for one compiler, and the first one never ends. Its module is put out for that of
// another tenant, and compiled in its next turn: both are loaded.
func TestPutOutIsCompiledAgain(t *testing.T) {
	first := filepath.Join(t.TempDir(), "first")
	text := `if mkdir $0 2>/dev/null; then printf r; cat >/dev/null; exec sleep 1000; fi; exec ` + os.Args[0] + ` "$@"`
	const memory = 256 << 20
	e := newEngine(t, wasmtime.Config{Instances: 16, Compiler: script(first, text), Compile: wasmtime.Compile{AtOnce: 1, Memory: memory, TotalMemory: memory}})
	defer e.Close()
	var wg sync.WaitGroup
	for _, tenant := range []string{"a", "b"} {
		wg.Go(func() {
			src := executor.Bytes(wat(t, empty))
			src.Tenant = tenant
			m, err := e.Load(t.Context(), src)
			if err != nil {
				t.Errorf("tenant %s: %v", tenant, err)
				return
			}
			m.Close()
		})
	}
	wg.Wait()
	if _, err := os.Stat(first); err != nil {
		t.Errorf("no compiler was the one that never ends: %v", err)
	}
}

// A compilation ends with the context of its Load, and the engine goes on.
func TestCancelCompilation(t *testing.T) {
	begun := filepath.Join(t.TempDir(), "begun")
	if err := unix.Mkfifo(begun, 0o600); err != nil {
		t.Fatal(err)
	}
	e := newEngine(t, wasmtime.Config{Instances: 16, Compiler: script(begun, `printf r; head -c 30 >/dev/null; echo $$ >$0; exec sleep 1000`)})
	defer e.Close()
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("nobody wants it any more")
	done := make(chan error, 1)
	go func() { done <- useOnce(ctx, e, wat(t, empty)) }()
	text, err := os.ReadFile(begun) // waits for it
	if err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Sscan(string(text), &pid); err != nil {
		t.Fatal(err)
	}
	cancel(gone)
	if err := <-done; !errors.Is(err, gone) {
		t.Errorf("got %v, want %v", err, gone)
	}
	if err := syscall.Kill(pid, 0); err == nil {
		t.Error("the compiler lives on")
	}
}

// helperMain is the main of processes that tests start.
func helperMain() {
	if len(os.Args) != 2 {
		return
	}
	switch os.Args[1] {
	case "confined":
		wasmtime.Confine()
		_, dial := net.Dial("tcp", "127.0.0.1:1")
		run := exec.Command("/bin/true").Run()
		signal := ""
		f, file := os.CreateTemp("", "confined")
		if file == nil {
			_, file = f.Write([]byte("x"))
			os.Remove(f.Name())
		}
		fmt.Printf("dial %t exec %t write %t%s\n", errors.Is(dial, os.ErrPermission), errors.Is(run, os.ErrPermission), file != nil, signal)
		os.Exit(0)
	case "host":
		wasmtime.CompilerMain() // what it finds to start is this program
		e, err := wasmtime.New(wasmtime.Config{Instances: -1})
		if err == nil {
			err = useOnce(context.Background(), e, []byte("\x00asm\x01\x00\x00\x00"))
		}
		fmt.Println(e.SparePID(), err)
		select {} // until it is killed
	}
}

// A compiler can do no more than compile.
func TestConfined(t *testing.T) {
	out, err := exec.Command(os.Args[0], "confined").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got := string(out); got != "dial true exec true write true\n" {
		t.Errorf("refused: %s", got)
	}
}

// A compiler does not outlive its engine's process, however that ends.
func TestCompilerEndsWithItsEngine(t *testing.T) {
	host := exec.Command(os.Args[0], "host")
	out, err := host.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := host.Start(); err != nil {
		t.Fatal(err)
	}
	said, err := bufio.NewReader(out).ReadString('\n')
	var pid int
	if _, scanErr := fmt.Sscan(said, &pid); scanErr != nil || pid == 0 {
		t.Fatalf("%q, %v: no compiler waits", said, errors.Join(err, scanErr))
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	host.Process.Kill()
	host.Wait()
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 60_000)
		if err == unix.EINTR {
			continue
		}
		if n != 1 {
			t.Errorf("the compiler lives on: %d, %v", n, err)
		}
		return
	}
}

func compiler() []string { return own }
