package wasi_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/internal/wasmbin"
	"github.com/bungee-xr/bungee/executor/wasi"
)

// A program is a test of the public WASI suite, as the file beside it describes it.
type program struct {
	Args     []string          `json:"args"`
	Env      map[string]string `json:"env"`
	Dirs     []string          `json:"dirs"`
	ExitCode uint32            `json:"exit_code"`
	Stdout   string            `json:"stdout"`
}

// otherwise are the programs of the suite whose expectations are not ours, and why.
var otherwise = map[string]string{
	"path_open_preopen": "a folder can be opened with rights to write files, as it carries those of what is opened below it",
	"truncation_rights": "rights cannot be given up: fd_fdstat_set_rights is refused",
}

// TestPublicSuite runs the programs of the public WASI test suite, which is not part of this repository, on each engine.
func TestPublicSuite(t *testing.T) {
	dir := os.Getenv("BUNGEE_WASI_SUITE")
	if dir == "" {
		t.Skip("no public suite: git clone --branch prod/testsuite-all https://github.com/WebAssembly/wasi-testsuite, then BUNGEE_WASI_SUITE=$PWD/wasi-testsuite go test -run TestPublicSuite -v ./executor/wasi")
	}
	files, err := filepath.Glob(filepath.Join(dir, "tests/*/testsuite/wasm32-wasip1/*.wasm"))
	if err != nil || len(files) < 70 {
		t.Fatalf("found %d programs in %s, %v; want the more than 70 of preview 1", len(files), dir, err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".wasm")
		t.Run(name, func(t *testing.T) { runProgram(t, file, otherwise[name]) })
	}
}

// runProgram runs one program. why says why it is expected to fail; "": it is not.
func runProgram(t *testing.T, file, why string) {
	wasm, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var p program
	if text, err := os.ReadFile(strings.TrimSuffix(file, ".wasm") + ".json"); err == nil {
		if err := json.Unmarshal(text, &p); err != nil {
			t.Fatal(err)
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	onEach(t, asGuest(t, wasm), func(t *testing.T, m executor.Module) {
		said, err := p.run(t, m, file)
		switch {
		case why != "" && err == nil:
			t.Errorf("it passes, and is listed as one that does not, since %s", why)
		case why != "":
			t.Logf("as expected, since %s: %v, %q", why, err, said)
		case err != nil:
			t.Errorf("%v\n%s", err, said)
		}
	})
}

// run runs the program in an instance of its own, with copies of its folders. It returns what the program has said.
func (p program) run(t *testing.T, m executor.Module, file string) (said string, err error) {
	cfg := wasi.Config{
		Args: []string{filepath.Base(file)}, Env: p.Env, Clock: true, Random: true,
		Log: func(line string) { said += line + "\n" },
	}
	for _, d := range p.Dirs {
		copied := t.TempDir()
		if err := os.CopyFS(copied, os.DirFS(filepath.Join(filepath.Dir(file), d))); err != nil {
			return "", err
		}
		cfg.Folders = append(cfg.Folders, wasi.Folder{Name: d, Path: copied, Write: true})
	}
	for _, a := range p.Args { // folders have absolute names here
		if slices.Contains(p.Dirs, a) {
			a = "/" + a
		}
		cfg.Args = append(cfg.Args, a)
	}
	w, err := wasi.Functions(cfg)
	if err != nil {
		return "", err
	}
	in, err := m.Instantiate(t.Context(), executor.InstanceConfig{Host: []executor.HostFuncs{w}})
	if err != nil {
		return "", err
	}
	_, err = in.Call(t.Context(), 0, nil)
	in.Close() // it logs an unfinished line
	var exit *wasi.ExitError
	if errors.As(err, &exit) && exit.Code == p.ExitCode || err == nil && p.ExitCode == 0 {
		err = nil
	}
	if err == nil && p.Stdout != "" && strings.TrimSpace(said) != strings.TrimSpace(p.Stdout) {
		err = errors.New("it says something else")
	}
	return said, err
}

// asGuest returns a command, which has _start, as a guest whose function runs that.
func asGuest(t *testing.T, wasm []byte) []byte {
	t.Helper()
	sections, err := wasmbin.Sections(wasm)
	if err != nil {
		t.Fatal(err)
	}
	types, funcs, start := counts(t, sections)
	add := func(id byte, entry ...byte) {
		if err == nil {
			sections, err = wasmbin.Append(sections, id, entry)
		}
	}
	export := func(name string, f uint32) {
		add(7, append(append([]byte{byte(len(name))}, name...), append([]byte{0}, leb(f)...)...)...)
	}
	body := func(code ...byte) { add(10, append([]byte{byte(len(code) + 2), 0}, append(code, 0x0b)...)...) }
	const i32, i64 = 0x7f, 0x7e
	for i, signature := range [][]byte{{0x60, 0, 1, i32}, {0x60, 1, i32, 1, i32}, {0x60, 4, i32, i32, i32, i64, 1, i64}} {
		add(1, signature...)
		add(3, leb(types+uint32(i))...)
	}
	export("bungee_abi", funcs)
	export("bungee_buf", funcs+1)
	export("bungee_call", funcs+2)
	body(0x41, 1)                                    // i32.const 1
	body(0x41, 0)                                    // i32.const 0
	body(append(append([]byte{0x10}, leb(start)...), // call _start
		0x41, 16, 0x41, 0, 0x3a, 0, 0, // a status of 0 at address 16
		0x42, 0x81, 0x80, 0x80, 0x80, 0x80, 0x02)...) // i64.const 16<<32 | 1
	if err != nil {
		t.Fatal(err)
	}
	return wasmbin.Join(sections)
}

// counts returns how many types and functions there are, and which of these is exported as _start.
func counts(t *testing.T, sections []wasmbin.Section) (types, funcs, start uint32) {
	t.Helper()
	found := false
	for _, s := range sections {
		r := wasmbin.NewReader(s.Body)
		switch s.ID {
		case 1:
			types = r.U32()
		case 2:
			r.Each(func() {
				if r.Import().Kind == 0 {
					funcs++
				}
			})
		case 3:
			funcs += r.U32()
		case 7:
			r.Each(func() {
				name := string(r.Bytes())
				kind, index := r.Byte(), r.U32()
				if name == "_start" && kind == 0 {
					start, found = index, true
				}
			})
		}
	}
	if !found {
		t.Fatal("no _start")
	}
	return types, funcs, start
}

// leb is n as WebAssembly has it.
func leb(n uint32) (b []byte) {
	for n >= 0x80 {
		b = append(b, byte(n)|0x80)
		n >>= 7
	}
	return append(b, byte(n))
}
