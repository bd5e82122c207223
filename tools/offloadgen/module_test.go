package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "write what the goldens should be")

// TestMain lets the go command work offline on modules made for the tests.
func TestMain(m *testing.M) {
	flag.Parse()
	for name, value := range map[string]string{"GOFLAGS": "-mod=mod", "GOPROXY": "off", "GOWORK": "off", "GOTOOLCHAIN": "local"} {
		if err := os.Setenv(name, value); err != nil {
			panic(err)
		}
	}
	status := m.Run()
	os.RemoveAll(proxyFolder.dir)
	os.Exit(status)
}

// makeModule writes the files of a txtar archive into dir, as a module outside
// of this one that depends on it.
func makeModule(t *testing.T, dir, archive string) {
	t.Helper()
	repo, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	sum, err := os.ReadFile(filepath.Join(repo, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(dir, "go.sum"), string(sum))
	put(t, filepath.Join(dir, "go.mod"), fmt.Sprintf("module example.com/app\n\ngo 1.26.0\n\nrequire github.com/bungee-xr/bungee v0.0.0\n\nreplace github.com/bungee-xr/bungee => %s\n", repo))
	for _, f := range txtar.Parse([]byte(archive)).Files {
		if !strings.HasPrefix(f.Name, "want/") {
			put(t, filepath.Join(dir, f.Name), string(f.Data))
		}
	}
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// sliced returns what offloadgen makes of a package in all steps but the last,
// the build.
func sliced(t *testing.T, archive string) (*slice, *emitter, error) {
	t.Helper()
	dir := t.TempDir()
	makeModule(t, dir, archive)
	s, bad, err := slicePackage(goCmd{dir: dir}, dir)
	if err != nil {
		return nil, nil, err
	}
	e := plan(s, bad)
	return s, e, bad.err()
}
