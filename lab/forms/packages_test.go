package forms

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/wazero"
)

// TestPackages has programs that call open-source packages in marked functions, testdata/packages/*.txtar, whose modules answer
// as they do. A line "require MODULE VERSION" says what they need, and "told WORDS" what offloadgen tells of them.
// Rows that begin with "asm" may differ, where offloadgen tells of assembly.
func TestPackages(t *testing.T) {
	if os.Getenv("BUNGEE_LONG") == "" {
		t.Skip("gets ten open-source packages from the module proxy, and builds a program and a module of each; BUNGEE_LONG=1 go test -count=1 -run TestPackages -v ./lab/forms")
	}
	programs, err := filepath.Glob("testdata/packages/*.txtar")
	if err != nil || len(programs) < 10 {
		t.Fatalf("%d programs, %v; want ten", len(programs), err)
	}
	tool := offloadgen(t)
	for _, path := range programs {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) { checkPackage(t, tool, path) })
	}
}

// A package's program says what it needs, and what offloadgen is to say of it.
type needs struct{ require, told []string }

func readNeeds(t *testing.T, comment string) (n needs) {
	t.Helper()
	for line := range strings.Lines(comment) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch key {
		case "require":
			n.require = append(n.require, value)
		case "told":
			n.told = append(n.told, value)
		case "":
		default:
			t.Fatalf("%q says nothing of a program", line)
		}
	}
	return n
}

func checkPackage(t *testing.T, tool, path string) {
	a, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	n, dir := readNeeds(t, string(a.Comment)), t.TempDir()
	gomod := "module example.com/app\n\ngo 1.26.0\n\nrequire github.com/bungee-xr/bungee v0.0.0\n\nreplace github.com/bungee-xr/bungee => " + repository(t) + "\n"
	for _, r := range n.require {
		gomod += "\nrequire " + r + "\n"
	}
	sum, err := os.ReadFile("../../go.sum")
	if err != nil {
		t.Fatal(err)
	}
	put(t, dir, "go.mod", gomod)
	put(t, dir, "go.sum", string(sum))
	put(t, dir, "call.go", aroundFile(t, "call.go"))
	for _, f := range a.Files {
		put(t, dir, f.Name, string(f.Data))
	}
	said, err := online(dir, exec.Command(tool))
	if err != nil {
		t.Fatalf("offloadgen: %v\n%s", err, clip(said))
	}
	contains(t, said, n.told)
	if said, err := online(dir, exec.Command("go", "build", "-o", "app", ".")); err != nil {
		t.Fatalf("%v\n%s", err, clip(said))
	}
	exact, near := apart(readCalls(t, do(t, dir, exec.Command("./app"))))
	if len(near) > 0 && len(n.told) == 0 {
		t.Error("calls may differ, and offloadgen does not tell why")
	}
	wasm := module(t, dir)
	e, err := wazero.New(wazero.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range []executor.Engine{e, newWasmtime(t)} {
		compare(t, e, wasm, exact)
	}
	t.Logf("%d calls alike on both engines, %d may differ as offloadgen tells; the module has %d KiB; %q", len(exact), len(near), len(wasm)>>10, n.require)
}

// apart returns the calls whose results are the same to the bit, and the others.
func apart(calls []madeCall) (exact, near []madeCall) {
	for _, c := range calls {
		if strings.HasPrefix(c.row, "asm") {
			near = append(near, c)
		} else {
			exact = append(exact, c)
		}
	}
	return exact, near
}

func contains(t *testing.T, said string, words []string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(said, w) {
			t.Errorf("offloadgen says:\n%swant %q in it", clip(said), w)
		}
	}
}

// online runs a command in dir that may get modules, and returns what it says.
func online(dir string, cmd *exec.Cmd) (said string, err error) {
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off", "GOTOOLCHAIN=local")
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s: %w", strings.Join(cmd.Args, " "), err)
	}
	return string(out), err
}
