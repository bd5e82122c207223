package wasi

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/bungee-xr/bungee/executor"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memory is that of a guest.
type memory []byte

func (m memory) Bytes(ptr, n uint32) ([]byte, bool) {
	if uint64(ptr)+uint64(n) > uint64(len(m)) {
		return nil, false
	}
	return m[ptr : ptr+n : ptr+n], true
}

// A guest calls functions without being a module. What it hands over begins at
// page; answers go to the addresses below.
type guest struct {
	memory
	t     testing.TB
	ctx   context.Context
	funcs map[string]executor.HostFunc
	top   uint64 // of what was handed over
	stack [16]uint64
}

// Addresses of answers.
const (
	at0  = 64
	at1  = 128
	page = 4096
	buf  = 64 << 10 // of bufSize bytes
)

const bufSize = 64 << 10

func newGuest(t testing.TB, cfg Config) *guest {
	t.Helper()
	m, err := Functions(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return start(t, m)
}

// start returns an instance of m.
func start(t testing.TB, m executor.HostFuncs) *guest {
	g := &guest{memory: make(memory, 256<<10), t: t, ctx: t.Context(), funcs: map[string]executor.HostFunc{}, top: page}
	funcs, stop := m.New()
	t.Cleanup(stop)
	for _, f := range funcs {
		g.funcs[f.Name] = f
	}
	return g
}

// call calls a function, and returns what it answers.
func (g *guest) call(name string, args ...uint64) errno {
	g.t.Helper()
	e, err := g.try(name, args...)
	if err != nil {
		g.t.Errorf("%s%v: got error %v, want an answer", name, args, err)
	}
	return e
}

func (g *guest) try(name string, args ...uint64) (errno, error) {
	g.t.Helper()
	f, ok := g.funcs[name]
	if !ok || len(f.Params) != len(args) {
		g.t.Fatalf("%s with %d arguments: got %q of that name", name, len(args), f.Params)
	}
	clear(g.stack[copy(g.stack[:], args):])
	err := f.Call(g.ctx, g.memory, g.stack[:max(len(args), 1)])
	return errno(g.stack[0]), err
}

// must calls a function which must succeed.
func (g *guest) must(name string, args ...uint64) {
	g.t.Helper()
	if e := g.call(name, args...); e != 0 {
		g.t.Fatalf("%s%v: got %v, want success", name, args, e)
	}
}

// put hands s over, and returns its address and length.
func (g *guest) put(s string) (ptr, n uint64) {
	ptr, n = g.top, uint64(len(s))
	copy(g.memory[ptr:buf], s)
	g.top = ptr + n
	return ptr, n
}

func (g *guest) u32(at uint64) uint32 { return binary.LittleEndian.Uint32(g.memory[at:]) }
func (g *guest) u64(at uint64) uint64 { return binary.LittleEndian.Uint64(g.memory[at:]) }

// vector hands over a list of one piece of memory.
func (g *guest) vector(ptr, n uint64) (list, count uint64) {
	list = 32
	binary.LittleEndian.PutUint32(g.memory[list:], uint32(ptr))
	binary.LittleEndian.PutUint32(g.memory[list+4:], uint32(n))
	return list, 1
}

// The rights that C and Go guests ask for to read, and to read and write.
const (
	toRead  = rightRead | rightsOpen
	toWrite = toRead | rightsChange
)

// open opens name below descriptor 3, and returns what was answered.
func (g *guest) open(name string, how uint32, rights uint64, flags uint16) (fd uint64, e errno) {
	g.t.Helper()
	ptr, n := g.put(name)
	e = g.call("path_open", 3, follow, ptr, n, uint64(how), rights, rights, uint64(flags), at0)
	return uint64(g.u32(at0)), e
}

// opened opens name, which must succeed.
func (g *guest) opened(name string, how uint32, rights uint64) uint64 {
	g.t.Helper()
	fd, e := g.open(name, how, rights, 0)
	if e != 0 {
		g.t.Fatalf("open %q: got %v, want success", name, e)
	}
	return fd
}

// write writes s to fd.
func (g *guest) write(fd uint64, s string) errno {
	g.t.Helper()
	list, n := g.vector(g.put(s))
	return g.call("fd_write", fd, list, n, at0)
}

// read reads what comes next from fd.
func (g *guest) read(fd uint64) string {
	g.t.Helper()
	list, n := g.vector(buf, bufSize)
	g.must("fd_read", fd, list, n, at0)
	return string(g.memory[buf : buf+g.u32(at0)])
}

// classified is what no guest may read.
const classified = "classified"

// tempFolder returns a folder that is granted, with a file a, a folder sub with file b,
// and a secret beside it.
func tempFolder(t testing.TB, write bool) Folder {
	t.Helper()
	dir := t.TempDir()
	err := errors.Join(
		os.MkdirAll(filepath.Join(dir, "given", "sub"), 0o700),
		os.WriteFile(filepath.Join(dir, "secret"), []byte(classified), 0o600),
		os.WriteFile(filepath.Join(dir, "given", "a"), []byte("hello"), 0o600),
		os.WriteFile(filepath.Join(dir, "given", "sub", "b"), []byte("below"), 0o600),
	)
	if err != nil {
		t.Fatal(err)
	}
	return Folder{Name: "data", Path: filepath.Join(dir, "given"), Write: write}
}

// The standard's functions: 45 of them are in the header that wasi-libc has, and
// proc_raise was taken out of it.
func TestFunctions(t *testing.T) {
	g := newGuest(t, Config{})
	if len(functions) != 46 || len(g.funcs) != 46 {
		t.Errorf("got %d functions with %d names, want 46", len(functions), len(g.funcs))
	}
	if !slices.IsSortedFunc(functions, func(a, b function) int { return strings.Compare(a.name, b.name) }) {
		t.Error("functions are not in the order of names")
	}
	for _, f := range functions {
		if f.results != "i" && f.name != "proc_exit" {
			t.Errorf("%s: got results %q, want an errno", f.name, f.results)
		}
	}
}

// What Module refuses, and says.
func TestFunctionsRefuse(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		cfg  Config
		word string
		why  string
	}{
		{Config{Folders: []Folder{{Name: "maps", Path: filepath.Join(dir, "none")}}}, "/maps", "a policy names a folder that is not there"},
		{Config{Folders: []Folder{{Name: "maps", Path: file}}}, "/maps", "it is a file"},
		{Config{Folders: []Folder{{Path: dir}}}, "no name", "a guest could not open it"},
		{Config{Folders: []Folder{{Name: "a\x00b", Path: dir}}}, "no name", "C guests see a shorter name"},
		{Config{Folders: []Folder{{Name: "maps", Path: dir}, {Name: "/x/../maps/", Path: dir}}}, "another one", "a guest could open one only"},
		{Config{Env: map[string]string{"A=B": "c"}}, "A=B", "the guest would see variable A"},
		{Config{Env: map[string]string{"": "c"}}, "empty", "no name"},
		{Config{Env: map[string]string{"A": "b\x00"}}, "zero byte", "entries end at a zero byte"},
		{Config{Args: []string{"a", "\xff"}}, "UTF-8", "the standard has UTF-8"},
	}
	for _, tt := range tests {
		_, err := Functions(tt.cfg)
		if err == nil || !strings.Contains(err.Error(), tt.word) {
			t.Errorf("%+v: got %v, want an error with %q: %s", tt.cfg, err, tt.word, tt.why)
		}
	}
}

// Arguments and the environment lie in memory as C has them.
func TestArgsAndEnv(t *testing.T) {
	g := newGuest(t, Config{Args: []string{"prog", "", "x y"}, Env: map[string]string{"B": "2", "A": "1=1"}})
	tests := []struct {
		what, text string
		starts     []uint32
	}{
		{"args", "prog\x00\x00x y\x00", []uint32{0, 5, 6}},
		{"environ", "A=1=1\x00B=2\x00", []uint32{0, 6}},
	}
	for _, tt := range tests {
		g.must(tt.what+"_sizes_get", at0, at1)
		if n, size := g.u32(at0), g.u32(at1); int(n) != len(tt.starts) || int(size) != len(tt.text) {
			t.Errorf("%s: got %d of %d bytes, want %d of %d", tt.what, n, size, len(tt.starts), len(tt.text))
		}
		g.must(tt.what+"_get", at0, buf)
		if got := string(g.memory[buf : buf+len(tt.text)]); got != tt.text {
			t.Errorf("%s: got %q, want %q", tt.what, got, tt.text)
		}
		for i, start := range tt.starts {
			if got := g.u32(at0 + 4*uint64(i)); got != buf+start {
				t.Errorf("%s: entry %d is at %d, want %d", tt.what, i, got, buf+start)
			}
		}
	}
}

// proc_exit is an error that tells the status.
func TestExit(t *testing.T) {
	g := newGuest(t, Config{})
	_, err := g.try("proc_exit", 3)
	var exit *ExitError
	if !errors.As(err, &exit) || exit.Code != 3 {
		t.Errorf("got %v, want an ExitError of status 3", err)
	}
}
