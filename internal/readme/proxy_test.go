package readme

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

const (
	root    = "../.."
	module  = "github.com/bungee-xr/bungee"
	version = "v0.1.0" // of the tree, in the proxy
)

// proxy makes a folder that serves the tree's files, committed or not, as a
// release of our module: a module proxy of files (go.dev/ref/mod#goproxy-protocol).
func proxy(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	at := filepath.Join(dir, filepath.FromSlash(module), "@v")
	if err := os.MkdirAll(at, 0o755); err != nil {
		t.Fatal(err)
	}
	gomod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{
		"list":            []byte(version + "\n"),
		version + ".info": []byte(`{"Version":"` + version + `"}`),
		version + ".mod":  gomod,
		version + ".zip":  pack(t, files(t)),
	} {
		if err := os.WriteFile(filepath.Join(at, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// files returns the files of our module in the tree, which git knows or would.
func files(t *testing.T) []string {
	t.Helper()
	cmd := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Skipf("git ls-files: %v; in a clone with git installed: go test ./internal/readme", err)
	}
	var names []string
	nested := map[string]bool{} // folders of other modules
	for name := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		info, err := os.Lstat(filepath.Join(root, filepath.FromSlash(name)))
		if err != nil || !info.Mode().IsRegular() {
			continue // deleted, or a link, which a module does not have
		}
		if dir, file := path.Split(name); file == "go.mod" && dir != "" {
			nested[dir] = true
		}
		names = append(names, name)
	}
	ours := names[:0]
	for _, name := range names {
		inNested := false
		for dir := range nested {
			inNested = inNested || strings.HasPrefix(name, dir)
		}
		if !inNested {
			ours = append(ours, name)
		}
	}
	return ours
}

// pack returns the zip file of a module (go.dev/ref/mod#zip-files).
func pack(t *testing.T, names []string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, name := range names {
		content, err := fs.ReadFile(os.DirFS(root), name)
		if err != nil {
			t.Fatal(err)
		}
		w, err := z.Create(fmt.Sprintf("%s@%s/%s", module, version, name))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
