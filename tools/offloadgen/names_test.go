package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// compiles generates for each package of a module, without building guests, and holds that
// what comes out compiles natively and for Wasm.
func compiles(t *testing.T, archive string, packages ...string) {
	t.Helper()
	dir := t.TempDir()
	makeModule(t, dir, archive)
	for _, p := range packages {
		generateGo(t, filepath.Join(dir, p))
	}
	goBuild(t, dir, append(os.Environ(), "CGO_ENABLED=0"))
	goBuild(t, dir, append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm"))
}

// generateGo writes the generated Go files into dir, with an empty module.
func generateGo(t *testing.T, dir string) {
	t.Helper()
	s, bad, err := slicePackage(goCmd{dir: dir}, dir)
	if err != nil {
		t.Fatal(err)
	}
	e := plan(s, bad)
	if err := bad.err(); err != nil {
		t.Fatalf("%s: refused:\n%v", dir, err)
	}
	for name, text := range generatedFiles(t, s, e) {
		if base := filepath.Base(name); generated(base) {
			put(t, filepath.Join(dir, base), text)
		}
	}
	put(t, filepath.Join(dir, wasmFile), "")
}

func goBuild(t *testing.T, dir string, env []string) {
	t.Helper()
	cmd := exec.Command("go", "vet", "-unusedresult", "./...")
	cmd.Dir, cmd.Env = dir, env
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("what was generated does not compile:\n%s", clipped(out))
	}
}

func clipped(b []byte) []byte { return b[:min(len(b), 8<<10)] }

// Names that generated code uses itself, and that packages may use, too.
var nasty = []string{
	"b", "back", "v", "r", "i", "k", "n", "p", "ok", "ctx", "in", "out", "err", "emit", "cfg", "pack", "codegen", "offload", "guest", "elastic", "context", "time",
	"slices", "maps", "p0", "p1", "p2", "r0", "r1", "err2", "out2", "ctx2", "bungeeModule2", "bungeeAppendB", "bungeeReadV", "bungeeB", "x", "_",
}

// TestNamesThatClash has the forms that were seen to break generated code.
func TestNamesThatClash(t *testing.T) {
	compiles(t, get(t, "testdata/names/clash.txtar"), ".", "user", "tests")
}

// TestForms has a function of each form.
func TestForms(t *testing.T) { compiles(t, get(t, "testdata/names/forms.txtar"), ".") }

// TestNamesAtRandom makes packages in which everything is called as generated code calls
// its own things.
func TestNamesAtRandom(t *testing.T) {
	archive, packages := strings.Builder{}, []string{}
	for seed := range uint64(2) {
		name := fmt.Sprintf("p%d", seed)
		packages = append(packages, name)
		archive.WriteString(nastyPackage(rand.New(rand.NewPCG(seed, 17)), name))
	}
	compiles(t, archive.String(), packages...)
}

// nastyPackage returns the files of a package: types, then functions of them.
func nastyPackage(rnd *rand.Rand, name string) string {
	var b bytes.Buffer
	names := slices.Clone(nasty[:len(nasty)-1])
	rnd.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	kinds := []string{"int8", "[]string", "struct{ V, B int; r string }", "map[string]bool", "*float32", "[3]uint16", "[]byte", "struct{ E %s; F []%[1]s }"}
	typs := []string{"int", "string", "[]float64"}
	refers := map[string]bool{"[]float64": true}
	fmt.Fprintf(&b, "-- %s/types.go --\npackage %s\n\n", name, name)
	for _, n := range names[:12] {
		kind := kinds[rnd.IntN(len(kinds))]
		if strings.Contains(kind, "%s") {
			kind = fmt.Sprintf(kind, typs[rnd.IntN(len(typs))])
		}
		fmt.Fprintf(&b, "type %s %s\n\n", n, kind)
		typs = append(typs, n)
		refers[n] = strings.HasPrefix(kind, "[]") || strings.HasPrefix(kind, "map") || strings.HasPrefix(kind, "*")
	}
	fmt.Fprintf(&b, "-- %s/funcs.go --\npackage %s\n\nimport std \"context\"\n\n", name, name)
	for _, n := range names[12:22] {
		fmt.Fprintf(&b, "//offload:func%s\n\n", nastyFunc(rnd, n, typs, refers))
	}
	return b.String()
}

// nastyFunc returns a function called name whose parameters and results have nasty names or none,
// with the options of its mark in front.
func nastyFunc(rnd *rand.Rand, name string, typs []string, refers map[string]bool) string {
	taken := map[string]bool{}
	variable := func() string {
		for {
			n := nasty[rnd.IntN(len(nasty))]
			if n == "_" || !taken[n] {
				taken[n] = true
				return n
			}
		}
	}
	one := func() string { return typs[rnd.IntN(len(typs))] }
	params := []string{variable() + " std.Context"}
	var inout []string
	for range rnd.IntN(4) {
		p, typ := variable(), one()
		params = append(params, p+" "+typ)
		if p != "_" && refers[typ] && rnd.IntN(2) == 0 {
			inout = append(inout, p)
		}
	}
	options := ""
	if len(inout) > 0 {
		options = " inout=" + strings.Join(inout, ",")
	}
	var results []string
	named := rnd.IntN(2) == 0
	for range rnd.IntN(3) {
		results = append(results, one())
	}
	results = append(results, "error")
	if named {
		for i := range results {
			results[i] = variable() + " " + results[i]
		}
	}
	return fmt.Sprintf("%s\nfunc %s(%s) (%s) { panic(1) }", options, name, strings.Join(params, ", "), strings.Join(results, ", "))
}
