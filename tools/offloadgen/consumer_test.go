package main

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/tools/txtar"
)

// A version is one of our module in the proxy: the same tree, with more or less of it.
type version string

const (
	// light has what a guest and the code around it link.
	light version = "v0.1.0"
	// whole has what generated tests link, too.
	whole version = "v0.2.0"
	// tooled has the command, too.
	tooled version = "v0.3.0"
)

// published are the folders of a version.
var published = map[version][]string{
	light:  {"offload/codegen", "offload/guest", "offload/pack", "internal/abi", "internal/route"},
	whole:  {"offload", "elastic", "executor", "capability", "internal"},
	tooled: {"offload", "elastic", "executor", "capability", "internal", "tools"},
}

// A consumer is a module outside of ours that gets ours as a release, through a proxy
// of files, as strangers do. Nothing of it can change without go.mod or go.sum changing.
type consumer struct{ dir string }

// newConsumer writes the files of a txtar archive into a new module. The go command works
// for it, in this process and in those that it starts, until the test ends.
func newConsumer(t *testing.T, v version, archive string) consumer {
	t.Helper()
	proxy := releases(t)
	cached := filepath.ToSlash(filepath.Join(goEnv(t, "GOMODCACHE"), "cache", "download"))
	for name, value := range map[string]string{
		"GOFLAGS": "-mod=mod -modcacherw", "GOSUMDB": "off", "GOMODCACHE": filepath.Join(proxy, "mod"),
		"GOPROXY": "file://" + filepath.ToSlash(proxy) + ",file://" + cached,
	} {
		t.Setenv(name, value)
	}
	c := consumer{t.TempDir()}
	put(t, filepath.Join(c.dir, "go.mod"), "module example.com/app\n\ngo 1.26.0\n\nrequire "+ourPath+" "+string(v)+"\n")
	for _, f := range txtar.Parse([]byte(archive)).Files {
		put(t, filepath.Join(c.dir, f.Name), string(f.Data))
	}
	return c
}

// long skips a test that builds programs for a minute or two, unless BUNGEE_LONG is set.
func long(t *testing.T) {
	t.Helper()
	if os.Getenv("BUNGEE_LONG") == "" {
		t.Skipf("builds programs for a minute or two; BUNGEE_LONG=1 go test ./tools/offloadgen -run '^%s$'", t.Name())
	}
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.Command("go", "env", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

var proxyFolder struct {
	once sync.Once
	dir  string
	err  error
}

// releases returns a folder that serves our module's release (go.dev/ref/mod#goproxy-protocol),
// and that the consumers of all tests have their module cache in.
func releases(t *testing.T) string {
	t.Helper()
	proxyFolder.once.Do(func() { proxyFolder.dir, proxyFolder.err = publish() })
	if proxyFolder.err != nil {
		t.Fatal(proxyFolder.err)
	}
	return proxyFolder.dir
}

func publish() (dir string, err error) {
	if dir, err = os.MkdirTemp("", "offloadgen-proxy"); err != nil {
		return "", err
	}
	at := filepath.Join(dir, filepath.FromSlash(ourPath), "@v")
	if err := os.MkdirAll(at, 0o755); err != nil {
		return "", err
	}
	gomod, err := os.ReadFile("../../go.mod")
	if err != nil {
		return "", err
	}
	files := map[string][]byte{"list": []byte(light + "\n" + whole + "\n" + tooled + "\n")}
	for v := range published {
		files[string(v)+".info"] = []byte(`{"Version":"` + v + `"}`)
		files[string(v)+".mod"] = gomod
		if files[string(v)+".zip"], err = release(v, gomod); err != nil {
			return "", err
		}
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(at, name), content, 0o644); err != nil {
			return "", err
		}
	}
	return dir, nil
}

// release returns the zip file of our module with what is published of it.
func release(v version, gomod []byte) ([]byte, error) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	add := func(name string, content []byte) error {
		w, err := z.Create(fmt.Sprintf("%s@%s/%s", ourPath, v, name))
		if err == nil {
			_, err = w.Write(content)
		}
		return err
	}
	if err := add("go.mod", gomod); err != nil {
		return nil, err
	}
	root := os.DirFS("../..")
	if v == light {
		own, err := fs.Glob(root, "offload/*.go")
		if err != nil {
			return nil, err
		}
		for _, name := range own {
			if err := addFile(root, name, add); err != nil {
				return nil, err
			}
		}
	}
	for _, folder := range published[v] {
		err := fs.WalkDir(root, folder, func(name string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.IsDir() && d.Name() == "testdata":
				return fs.SkipDir
			case d.IsDir():
				return nil
			}
			return addFile(root, name, add)
		})
		if err != nil {
			return nil, err
		}
	}
	err := z.Close()
	return b.Bytes(), err
}

// addFile adds a file of root that is no test.
func addFile(root fs.FS, name string, add func(string, []byte) error) error {
	if strings.HasSuffix(name, "_test.go") {
		return nil
	}
	content, err := fs.ReadFile(root, name)
	if err != nil {
		return err
	}
	return add(name, content)
}

// goRun runs the go command in the consumer's folder, and returns what it printed and
// whether it succeeded.
func (c consumer) goRun(t *testing.T, args ...string) (string, bool) {
	t.Helper()
	cmd := exec.Command("go", args...)
	cmd.Dir = c.dir
	out, err := cmd.CombinedOutput()
	return string(out), err == nil
}

// offloadgen runs the command in the consumer's folder, and returns what it printed and
// its exit status.
func (c consumer) offloadgen(args ...string) (string, int) {
	var out bytes.Buffer
	status := run(append(args, c.dir), &out, &out)
	return out.String(), status
}

// alike generates, runs the program, which prints what its marked functions give natively
// as lines "FUNCTION REQUEST REPLY" in hexadecimal, and compares with the module.
func (c consumer) alike(t *testing.T) {
	t.Helper()
	if said, status := c.offloadgen(); status != 0 {
		t.Fatalf("offloadgen: exit status %d\n%s", status, said)
	}
	out, ok := c.goRun(t, "run", ".")
	if !ok {
		t.Fatalf("the program: %s", out)
	}
	m := instantiate(t, unzip(t, filepath.Join(c.dir, wasmFile)))
	lines := 0
	for line := range strings.Lines(out) {
		var fn uint64
		var request, want string
		if _, err := fmt.Sscan(line, &fn, &request, &want); err != nil {
			t.Fatal(line, err)
		}
		if got := m.call(t, fn, request); got != want {
			t.Errorf("function %d on %s: the module answers %s, natively it is %s", fn, request, got, want)
		}
		lines++
	}
	if lines == 0 {
		t.Error("the program printed no call")
	}
}

// change replaces text in a file of the consumer.
func (c consumer) change(t *testing.T, name, from, to string) {
	t.Helper()
	path := filepath.Join(c.dir, name)
	text := get(t, path)
	if !strings.Contains(text, from) {
		t.Fatalf("%s has no %q", name, from)
	}
	put(t, path, strings.ReplaceAll(text, from, to))
}
