package wasi_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/wasi"
	"github.com/bungee-xr/bungee/executor/wazero"
)

// engines are those that the tests of whole guests run on.
var engines = map[string]func() (executor.Engine, error){
	"wazero": func() (executor.Engine, error) { return wazero.New(wazero.Config{}) },
}

// onEach runs test on each engine, with a guest of wasm.
func onEach(t *testing.T, wasm []byte, test func(t *testing.T, m executor.Module)) {
	for name, newEngine := range engines {
		t.Run(name, func(t *testing.T) {
			e, err := newEngine()
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			m, err := e.Load(t.Context(), executor.Bytes(wasm))
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			test(t, m)
		})
	}
}

// goGuest builds the guest in testdata/goguest, once.
var goGuest = sync.OnceValues(func() ([]byte, error) {
	return built("go", "build", "-buildmode=c-shared", "-ldflags=-s -w", "-o", "OUT", "./testdata/goguest")
})

// cGuest builds the guest testdata/guest.c, once.
var cGuest = sync.OnceValues(func() ([]byte, error) {
	return built("clang-19", "--target=wasm32-wasi", "-O2", "-Wall", "-Werror", "-mexec-model=reactor", "-Wl,--strip-all", "-o", "OUT", "testdata/guest.c")
})

// built returns what a command leaves in the file OUT.
func built(name string, args ...string) ([]byte, error) {
	dir, err := os.MkdirTemp("", "wasi")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	out := filepath.Join(dir, "guest.wasm")
	args[slices.Index(args, "OUT")] = out
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOFLAGS=")
	if msg, err := cmd.CombinedOutput(); err != nil {
		return nil, errors.New(cmd.String() + ": " + err.Error() + "\n" + string(msg))
	}
	return os.ReadFile(out)
}

func guestOf(t *testing.T, tool, install string, build func() ([]byte, error)) []byte {
	t.Helper()
	if _, err := exec.LookPath(tool); err != nil {
		t.Skipf("no %s to build a guest with; %s and run go test -run %s ./executor/wasi", tool, install, t.Name())
	}
	wasm, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return wasm
}

func goWasm(t *testing.T) []byte {
	t.Helper()
	return guestOf(t, "go", "install Go", goGuest)
}

func cWasm(t *testing.T) []byte {
	t.Helper()
	return guestOf(t, "clang-19", "apt-get install clang-19 lld-19 wasi-libc libclang-rt-19-dev-wasm32", cGuest)
}

// instance returns one of m that has WASI as in cfg.
func instance(t *testing.T, m executor.Module, cfg wasi.Config) executor.Instance {
	t.Helper()
	host, err := wasi.Functions(cfg)
	if err != nil {
		t.Fatal(err)
	}
	in, err := m.Instantiate(t.Context(), executor.InstanceConfig{Host: []executor.HostFuncs{host}})
	if err != nil {
		t.Fatal(err)
	}
	return in
}

// ask gives in a command, and returns the answer.
func ask(t *testing.T, in executor.Instance, command string) string {
	t.Helper()
	r, err := in.Call(t.Context(), 0, []byte(command))
	if err != nil {
		t.Fatalf("%q: %v", command, err)
	}
	return string(r.Payload)
}

// A step is a command, and what its answer begins with. An empty answer is empty, and
// something is what is neither empty nor an error.
type step struct{ command, want string }

const something = "something"

func (s step) check(t *testing.T, in executor.Instance) {
	t.Helper()
	got := ask(t, in, s.command)
	ok := strings.HasPrefix(got, s.want)
	switch s.want {
	case "":
		ok = got == ""
	case something:
		ok = got != "" && !strings.HasPrefix(got, "error")
	}
	if !ok {
		t.Errorf("%q: got %q, want %q", s.command, got, s.want)
	}
}

// folder returns a folder with a file a and an empty folder sub.
func folder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := errors.Join(os.WriteFile(filepath.Join(dir, "a"), []byte("hello"), 0o600), os.Mkdir(filepath.Join(dir, "sub"), 0o700)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// The order of steps matters.
var goSteps = []step{
	{"read\n/data/a", "hello"},
	{"write\n/data/sub/b\nnew", ""},
	{"append\n/data/sub/b\ner", ""},
	{"read\n/data/sub/b", "newer"},
	{"pwrite\n/data/sub/b\nN", ""},
	{"read\n/data/sub/b", "Newer"},
	{"pwrite\n/data/sub/b\nn", ""},
	{"many\n/data/a", "1024"},
	{"list\n/data", "[- a d sub/]"},
	{"walk\n/data", ".,a,sub,sub/b"},
	{"stat\n/data/a", "5 false 1970"},
	{"stat\n/data/sub", "0 true"},
	{"stat\n/data/none", "true"},
	{"mkdir\n/data/x/y", ""},
	{"rename\n/data/a\n/data/x/y/a", ""},
	{"read\n/data/x/y/a", "hello"},
	{"remove\n/data/x/y/a", ""},
	{"remove\n/data/x/y", ""},
	{"remove\n/data/sub", "error: remove /data/sub: Directory not empty"},
	{"link\nsub/b\n/data/l", "sub/b"},
	{"read\n/data/l", "newer"},
	{"link\n../secret\n/data/m", "error: symlink ../secret /data/m: Capabilities insufficient"},
	{"link\n../secret\n/data/sub/m", "../secret"},
	{"rename\n/data/sub/m\n/data/m", "error: rename /data/sub/m /data/m: Capabilities insufficient"},
	{"mkdir\n/data/full/x", ""},
	{"mkdir\n/data/empty", ""},
	{"move\n/data/sub/b\n/data/empty", "error: Is a directory"},
	{"move\n/data/full\n/data/empty", ""},
	{"list\n/data/empty", "[d x/]"},
	{"read\n/etc/passwd", "error: open /etc/passwd: Bad file number"},
	{"read\n/data/../secret", "error:"},
	{"env", "A=1,B=2"},
	{"args", "prog,x"},
	{"stdin", ""},
	{"dial\n127.0.0.1:80", "error: dial tcp 127.0.0.1:80:"},
	{"print\nto out\nto err", ""},
	{"now", "2000-01-01T00:00:00."},
	{"sleep\n1h", "1"},
	{"now", "2000-01-01T01:00:00."},
}

// What the packages of a Go guest make of WASI.
func goFiles(t *testing.T, m executor.Module) {
	var lines []string
	in := instance(t, m, wasi.Config{
		Args: []string{"prog", "x"}, Env: map[string]string{"B": "2", "A": "1"},
		Folders: []wasi.Folder{{Name: "data", Path: folder(t), Write: true}},
		Log:     func(line string) { lines = append(lines, line) },
	})
	defer in.Close()
	for _, s := range goSteps {
		s.check(t, in)
	}
	if want := []string{"to out", "to err"}; !slices.Equal(lines, want) {
		t.Errorf("log: got %q, want %q", lines, want)
	}
	_, err := in.Call(t.Context(), 0, []byte("exit\n3"))
	var exit *wasi.ExitError
	if !errors.Is(err, executor.ErrTrap) || !errors.As(err, &exit) || exit.Code != 3 {
		t.Errorf("os.Exit(3): got %v, want ErrTrap and an ExitError of 3", err)
	}
}

// A Go guest that is given nothing starts and finds nothing.
func goWithoutGrants(t *testing.T, m executor.Module) {
	in := instance(t, m, wasi.Config{})
	defer in.Close()
	for _, s := range []step{
		{"read\n/data/a", "error: open /data/a:"}, {"write\n/data/a\nx", "error: open /data/a:"}, {"list\n/", "error: open /:"},
		{"env", ""}, {"args", ""}, {"stdin", ""}, {"print\na\nb", ""}, {"dial\n127.0.0.1:80", "error:"},
	} {
		s.check(t, in)
	}
	in = instance(t, m, wasi.Config{Folders: []wasi.Folder{{Name: "data", Path: folder(t)}}})
	defer in.Close()
	for _, s := range []step{
		{"read\n/data/a", "hello"}, {"append\n/data/a\nx", "error: open /data/a: Read-only file system"},
		{"remove\n/data/a", "error: remove /data/a: Read-only"}, {"mkdir\n/data/x", "error: mkdir /data/x: Read-only"},
		{"rename\n/data/a\n/data/b", "error: rename /data/a /data/b: Read-only"},
	} {
		s.check(t, in)
	}
}

// The real clock and real random numbers are there where they are granted.
func goClockAndRandom(t *testing.T, m executor.Module) {
	cfg := wasi.Config{Clock: true, Random: true}
	a, b := instance(t, m, cfg), instance(t, m, cfg)
	defer a.Close()
	defer b.Close()
	before := time.Now().Add(-time.Second)
	got, err := time.Parse(time.RFC3339Nano, ask(t, a, "now"))
	if err != nil || got.Before(before) || got.After(time.Now().Add(time.Second)) {
		t.Errorf("got %v, %v; want now", got, err)
	}
	if one, two := ask(t, a, "random"), ask(t, b, "random"); one == two {
		t.Errorf("two instances: both got %q", one)
	}
	if got := ask(t, a, "sleep\n5ms"); got == "0" {
		t.Error("a sleep of 5ms was shorter")
	}
	c := instance(t, m, wasi.Config{Clock: true, Folders: []wasi.Folder{{Name: "data", Path: folder(t), Write: true}}})
	defer c.Close()
	for _, s := range []step{{"touch\n/data/a", ""}, {"times\n/data/a", "5 7 true"}} {
		s.check(t, c)
	}
}

// sameAgain runs commands in two instances which are given nothing, and returns the
// answers. They must be those of before, from another engine.
func sameAgain(t *testing.T, m executor.Module, before []string, commands ...string) []string {
	for range 2 {
		in := instance(t, m, wasi.Config{})
		var got []string
		for _, c := range commands {
			got = append(got, ask(t, in, c))
		}
		in.Close()
		if before == nil {
			before = got
		}
		if !slices.Equal(got, before) {
			t.Errorf("got %q, another instance %q", got, before)
		}
	}
	if first, last := before[0], before[len(before)-1]; first == last {
		t.Errorf("random numbers twice in one instance: got %q both times", first)
	}
	return before
}

// A sleep of an hour ends at the deadline of 50 ms; the test would time out else.
func deadline(t *testing.T, m executor.Module, command string) {
	in := instance(t, m, wasi.Config{Clock: true})
	defer in.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := in.Call(ctx, 0, []byte(command)); !errors.Is(err, executor.ErrDeadline) {
		t.Errorf("%q: got %v, want %v", command, err, executor.ErrDeadline)
	}
}

// A cancelled call ends, too, from its sleep or just before.
func canceled(t *testing.T, m executor.Module) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	in := instance(t, m, wasi.Config{Clock: true, Log: func(string) { time.AfterFunc(5*time.Millisecond, cancel) }})
	defer in.Close()
	if _, err := in.Call(ctx, 0, []byte("sleep\n1h\nasleep")); !errors.Is(err, executor.ErrCanceled) {
		t.Errorf("got %v, want %v", err, executor.ErrCanceled)
	}
}

func TestGoGuest(t *testing.T) {
	var ambient []string
	onEach(t, goWasm(t), func(t *testing.T, m executor.Module) {
		t.Run("Files", func(t *testing.T) { goFiles(t, m) })
		t.Run("WithoutGrants", func(t *testing.T) { goWithoutGrants(t, m) })
		t.Run("ClockAndRandom", func(t *testing.T) { goClockAndRandom(t, m) })
		t.Run("NothingAmbient", func(t *testing.T) {
			ambient = sameAgain(t, m, ambient, "random", "now", "sleep\n3s", "now", "env", "args", "random")
		})
		t.Run("Deadline", func(t *testing.T) { deadline(t, m, "sleep\n1h") })
		t.Run("Canceled", func(t *testing.T) { canceled(t, m) })
	})
}

func TestCGuest(t *testing.T) {
	var ambient []string
	onEach(t, cWasm(t), func(t *testing.T, m executor.Module) {
		t.Run("Library", func(t *testing.T) { cLibrary(t, m) })
		t.Run("NothingAmbient", func(t *testing.T) {
			ambient = sameAgain(t, m, ambient, "random", "clock 3000", "poll", "env HOME", "random")
		})
		t.Run("Deadline", func(t *testing.T) { deadline(t, m, "clock 3600000") })
	})
}

// What wasi-libc makes of WASI.
func cLibrary(t *testing.T, m executor.Module) {
	var lines []string
	in := instance(t, m, wasi.Config{
		Env: map[string]string{"HOME": "/data"}, Folders: []wasi.Folder{{Name: "data", Path: folder(t), Write: true}},
		Log: func(line string) { lines = append(lines, line) },
	})
	defer in.Close()
	for _, s := range []step{
		{"read /data/a", "hello"}, {"read data/a", "hello"}, {"write /data/sub/c", "two"}, {"read /data/sub/c", "one\n"},
		{"list /data", "./,../,a,sub/,"}, {"stat /data/a", "5 0"}, {"stat /data/sub", "0 1"}, {"stat /data/none", "error: No such file or directory"},
		{"read /data/../etc/passwd", "error:"}, {"read /etc/passwd", "error:"}, {"remove /data/a", ""}, {"stat /data/a", "error: No such"},
		{"clock 1500", "1 2000"}, {"random", something}, {"poll", something}, {"env HOME", "/data"}, {"env PATH", "unset"}, {"print x", ""},
	} {
		s.check(t, in)
	}
	if want := []string{"out x", "err x"}; !slices.Equal(lines, want) {
		t.Errorf("log: got %q, want %q", lines, want)
	}
	_, err := in.Call(t.Context(), 0, []byte("exit 7"))
	var exit *wasi.ExitError
	if !errors.As(err, &exit) || exit.Code != 7 {
		t.Errorf("exit(7): got %v", err)
	}
}
