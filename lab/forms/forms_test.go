// Package forms holds that offloadgen takes what its manual says it takes: a function of each
// form is generated for, compiled, and run natively, on wazero and on wasmtime.
package forms

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/wasi"
	"github.com/bungee-xr/bungee/executor/wazero"
)

// leastRows is how many forms the table has at least.
const leastRows = 120

// A row is a form: declarations with a mark, and calls of what is marked.
type row struct{ name, code, calls string }

// readRows reads testdata/forms.txt: a line "# NAME" begins a row, "< FUNC INPUT" is a call,
// "@ ENDPOINT MESSAGE, ..." a conversation and "! STATEMENT" what the program does before.
func readRows(t *testing.T) (rows []row) {
	t.Helper()
	text, err := os.ReadFile("testdata/forms.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if name, ok := strings.CutPrefix(line, "# "); ok {
			rows = append(rows, row{name: strings.TrimSpace(name)})
			continue
		}
		r := &rows[len(rows)-1]
		function, input, _ := strings.Cut(strings.TrimSpace(line[min(2, len(line)):]), " ")
		switch {
		case strings.HasPrefix(line, "< "):
			r.calls += fmt.Sprintf("\tcall(%q, &%s, %s)\n", r.name, function, input)
		case strings.HasPrefix(line, "@ "):
			r.calls += fmt.Sprintf("\tconverse(%q, &%s, %s)\n", r.name, function, input)
		case strings.HasPrefix(line, "! "):
			r.calls += line[1:]
		default:
			r.code += line
		}
	}
	return rows
}

// kinds are the basic types that cross, with two values of each.
var kinds = [][3]string{
	{"bool", "true", "false"}, {"string", `"a"`, `"ä\x00"`},
	{"int", "-1", "1<<40"}, {"int8", "-128", "127"}, {"int16", "-300", "32767"}, {"int32", "-70000", "5"}, {"int64", "-1<<63", "1<<62"},
	{"uint", "0", "1<<40"}, {"uint8", "255", "1"}, {"uint16", "65535", "2"}, {"uint32", "1<<31", "3"}, {"uint64", "1<<63", "4"},
	{"float32", "0.1", "-1e30"}, {"float64", "0.1", "5e-324"},
}

// basicForms are what each of them is used in: $K stands for the type, $A and $B for its values,
// $T for a type's name and $F for a function's.
var basicForms = []row{
	{"%s", "func $F(v $K) $K { return v }", "$A, $B"},
	{"named %s", "func $F(v $T) ($K, $T) { return $K(v), v }\n\ntype $T $K", "$A, $B"},
	{"slice of %s", "func $F(v []$K) []$K { return append(v, v...) }", "[]$K{$A, $B}, []$K{$A, $B, $A, $B, $A, $B, $A, $B, $A, $B, $A, $B, $A, $B, $A, $B, $A}"},
	{"array of %s", "func $F(v [3]$K) [3]$K { return [3]$K{v[2], v[1], v[0]} }", "[3]$K{$A, $B, $B}"},
	{"pointer to %s", "func $F(v *$K) (*$K, bool) { return v, v == nil }", "new($K)"},
	{"map to %s", "func $F(v map[string]$K) ($K, int) { return v[\"a\"], len(v) }", "map[string]$K{\"a\": $A, \"b\": $B}"},
	{"map from %s", "func $F(v map[$K]bool) map[$K][]$K {\n\tout := map[$K][]$K{}\n\tfor k := range v {\n\t\tout[k] = []$K{k}\n\t}\n\treturn out\n}", "map[$K]bool{$A: true, $B: false}"},
	{"variadic %s", "func $F(n int, v ...$K) (int, []$K) { return n + len(v), v }", "$FIn{1, []$K{$A, $B}}"},
	{"fields of %s", "func $F(v $T, w $K) ($T, error) { return $T{w, &v.A, v.C}, nil }\n\ntype $T struct {\n\tA $K\n\tb *$K\n\tC []$K\n}", "$FIn{$T{A: $A, C: []$K{$B}}, $B}"},
	{"inout of %s", "func $F(p *$K, list []$K, v $K) {\n\tif p != nil {\n\t\t*p = v\n\t}\n\tfor i := range list {\n\t\tlist[i] = v\n\t}\n}", "$FIn{new($K), []$K{$A, $A}, $B}"},
}

func basicRows() (rows []row) {
	for _, k := range kinds {
		for i, f := range basicForms {
			name, mark := fmt.Sprintf(f.name, k[0]), "//offload:func\n"
			if strings.HasPrefix(name, "inout") {
				mark = "//offload:func inout=p,list\n"
			}
			with := strings.NewReplacer("$K", k[0], "$A", k[1], "$B", k[2], "$F", fmt.Sprintf("%sForm%d", k[0], i), "$T", fmt.Sprintf("%sType%d", k[0], i))
			rows = append(rows, row{name, mark + with.Replace(f.code) + "\n", with.Replace(fmt.Sprintf("\tcall(%q, &$FFunc, %s)\n", name, f.calls))})
		}
	}
	return rows
}

// TestForms is the table. It generates once for all forms, in a module of its own.
func TestForms(t *testing.T) {
	if os.Getenv("BUNGEE_LONG") == "" {
		t.Skip("generates and builds a program of some hundred functions; BUNGEE_LONG=1 go test -count=1 ./lab/forms")
	}
	rows := append(readRows(t), basicRows()...)
	if len(rows) < leastRows {
		t.Errorf("%d forms; want %d at least", len(rows), leastRows)
	}
	dir := t.TempDir()
	write(t, dir, rows)
	generate(t, dir)
	calls := readCalls(t, goDo(t, dir, "run", "."))
	wasm := module(t, dir)
	t.Run("wazero", func(t *testing.T) {
		e, err := wazero.New(wazero.Config{})
		if err != nil {
			t.Fatal(err)
		}
		compare(t, e, wasm, calls)
	})
	t.Run("wasmtime", func(t *testing.T) { compare(t, newWasmtime(t), wasm, calls) })
	if !t.Failed() {
		t.Logf("%d forms, %d calls alike, %d of them panics", len(rows), len(calls), panics(calls))
	}
}

func repository(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// write writes a program with the rows' code, and a main that makes the rows' calls.
func write(t *testing.T, dir string, rows []row) {
	t.Helper()
	sum, err := os.ReadFile("../../go.sum")
	if err != nil {
		t.Fatal(err)
	}
	around, err := txtar.ParseFile("testdata/around.txtar")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{
		"go.sum": string(sum),
		"go.mod": "module example.com/app\n\ngo 1.26.0\n\nrequire github.com/bungee-xr/bungee v0.0.0\n\nreplace github.com/bungee-xr/bungee => " + repository(t) + "\n",
	}
	for _, f := range around.Files {
		files[f.Name] = string(f.Data)
	}
	calls := "\nfunc main() {\n"
	for _, r := range rows {
		files["app.go"] += "\n" + r.code
		calls += r.calls
	}
	files["app.go"] += calls + "}\n"
	for name, text := range files {
		put(t, dir, name, text)
	}
}

func put(t *testing.T, dir, name, text string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// aroundFile returns a file of testdata/around.txtar.
func aroundFile(t *testing.T, name string) string {
	t.Helper()
	around, err := txtar.ParseFile("testdata/around.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range around.Files {
		if f.Name == name {
			return string(f.Data)
		}
	}
	t.Fatalf("testdata/around.txtar has no %s", name)
	return ""
}

// goDo runs the go command and returns its standard output.
func goDo(t *testing.T, dir string, args ...string) string {
	t.Helper()
	return do(t, dir, exec.Command("go", args...))
}

// generate runs offloadgen on the package in dir.
func generate(t *testing.T, dir string) {
	t.Helper()
	do(t, dir, exec.Command(offloadgen(t)))
}

// offloadgen builds the command and returns its path.
func offloadgen(t *testing.T) string {
	t.Helper()
	tool := filepath.Join(t.TempDir(), "offloadgen")
	if out, err := exec.Command("go", "build", "-o", tool, "../../tools/offloadgen").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return tool
}

// do runs a command in a module of a test's own.
func do(t *testing.T, dir string, cmd *exec.Cmd) string {
	t.Helper()
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off", "GOTOOLCHAIN=local", "BUNGEE_CHECK=1")
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, clip(said.String()))
	}
	return out.String()
}

func clip(s string) string { return s[:min(len(s), 8<<10)] }

// A made call is one that the program made natively.
type madeCall struct {
	row     string
	fn      uint32
	request []byte
	want    []byte // nil: it panicked
}

func readCalls(t *testing.T, out string) (calls []madeCall) {
	t.Helper()
	for line := range strings.Lines(out) {
		var c madeCall
		var request, want string
		line = strings.ReplaceAll(line, "  ", " - ") // an empty request
		if _, err := fmt.Sscanf(line, "%q %d %s %s", &c.row, &c.fn, &request, &want); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		c.request, _ = hex.DecodeString(request)
		if want != "panic" {
			c.want, _ = hex.DecodeString(want)
		}
		calls = append(calls, c)
	}
	return calls
}

func panics(calls []madeCall) (n int) {
	for _, c := range calls {
		if c.want == nil {
			n++
		}
	}
	return n
}

// module returns the module that was generated in dir.
func module(t *testing.T, dir string) []byte {
	t.Helper()
	text, err := os.Open(filepath.Join(dir, "bungee_offload.wasm.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer text.Close()
	z, err := gzip.NewReader(text)
	if err != nil {
		t.Fatal(err)
	}
	wasm, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return wasm
}

// compare makes the calls in an instance, in their order, since endpoints have a state. It
// makes a new instance after a panic.
func compare(t *testing.T, e executor.Engine, wasm []byte, calls []madeCall) {
	t.Helper()
	ctx := context.Background()
	m, err := e.Load(ctx, executor.Bytes(wasm))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	asks := m.Manifest()
	w, err := wasi.Functions(wasi.Config{Clock: asks.Clock, Random: asks.Random})
	if err != nil {
		t.Fatal(err)
	}
	var in executor.Instance
	for _, c := range calls {
		if in == nil {
			if in, err = m.Instantiate(ctx, executor.InstanceConfig{Host: []executor.HostFuncs{w}}); err != nil {
				t.Fatal(err)
			}
		}
		reply, err := in.Call(ctx, c.fn, c.request)
		switch {
		case err != nil:
			t.Errorf("%s: request %x: %v; natively %x", c.row, c.request, err, c.want)
		case c.want == nil && reply.Status == executor.StatusPanic:
		case reply.Status == executor.StatusPanic, !bytes.Equal(append([]byte{byte(reply.Status)}, reply.Payload...), c.want):
			t.Errorf("%s: request %x\nthe module replies %d %x\nnatively it is   %x", c.row, c.request, reply.Status, clip(string(reply.Payload)), clip(string(c.want)))
		}
		if err != nil || reply.Status == executor.StatusPanic {
			in.Close()
			in = nil
		}
	}
	if in != nil {
		in.Close()
	}
}
