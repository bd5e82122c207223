package main

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bungee-xr/bungee/capability"
)

// sources are the tool's own: another tool may generate other code.
//
//go:embed *.go internal
var sources embed.FS

// A stamp tells what the generated files were made from. It is kept in comments
// of bungee_offload_module.go, and depends on contents only: not on where the
// checkout is, nor on the machine.
type stamp struct {
	inputs   string   // digest of all that the files were made from
	outputs  string   // digest of the other generated files
	packages []string // import paths of packages whose sources are among the inputs
	tags     []string // those that it was made with
}

func (s stamp) comment() string {
	text := fmt.Sprintf("// inputs: sha256:%s\n// outputs: sha256:%s\n// packages: %s\n", s.inputs, s.outputs, strings.Join(s.packages, " "))
	if len(s.tags) > 0 {
		text += "// tags: " + strings.Join(s.tags, ",") + "\n"
	}
	return text
}

// readStamp returns the stamp of the generated files in dir, and whether there
// is one.
func readStamp(dir string) (s stamp, ok bool) {
	text, err := os.ReadFile(filepath.Join(dir, moduleFile))
	if err != nil {
		return s, false
	}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if v, found := strings.CutPrefix(line, "// inputs: sha256:"); found {
			s.inputs = v
		} else if v, found := strings.CutPrefix(line, "// outputs: sha256:"); found {
			s.outputs = v
		} else if v, found := strings.CutPrefix(line, "// packages:"); found {
			s.packages = strings.Fields(v)
		} else if v, found := strings.CutPrefix(line, "// tags: "); found {
			s.tags = strings.Split(v, ",")
		} else if strings.HasPrefix(line, "package ") {
			break
		}
	}
	return s, s.inputs != "" && s.outputs != ""
}

// current says whether the generated files in dir are those that would be
// written.
func current(g goCmd, dir string) bool {
	s, ok := readStamp(dir)
	if !ok {
		return false
	}
	outputs, err := readOutputs(dir)
	if err != nil || digestOutputs(outputs) != s.outputs || !slices.Equal(s.tags, g.tags) {
		return false
	}
	inputs, err := digestInputs(g, dir, s.packages)
	return err == nil && inputs == s.inputs
}

// readOutputs returns the generated files that are there, but for the one with the stamp.
func readOutputs(dir string) (map[string][]byte, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	outputs := map[string][]byte{}
	for _, e := range entries {
		if n := e.Name(); n != moduleFile && (generated(n) || n == wasmFile) {
			if outputs[n], err = os.ReadFile(filepath.Join(dir, n)); err != nil {
				return nil, err
			}
		}
	}
	return outputs, nil
}

func digestOutputs(files map[string][]byte) string {
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintf(h, "%s %d\n", name, len(files[name]))
		h.Write(files[name])
	}
	return hex.EncodeToString(h.Sum(nil))
}

// localPackages returns the import paths of the guest's packages whose sources
// can change without go.mod or go.sum changing.
func localPackages(deps []*listed) (paths []string) {
	for _, p := range deps {
		if p.local() {
			paths = append(paths, p.ImportPath)
		}
	}
	slices.Sort(paths)
	return paths
}

// digestInputs returns the digest of all that the package in dir is generated
// from. packages are those it depends on that are not pinned by go.sum.
func digestInputs(g goCmd, dir string, packages []string) (string, error) {
	env, err := g.env("GOVERSION", "GOMOD", "GOWORK")
	if err != nil {
		return "", err
	}
	list, err := g.list(append([]string{"-find", "."}, packages...)...)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	if err := digestTool(h); err != nil {
		return "", err
	}
	fmt.Fprintln(h, env[0], packages, g.tags)
	for _, mod := range env[1:] {
		if err := digestModule(h, mod); err != nil {
			return "", err
		}
	}
	if err := digestOwn(h, dir, list[0]); err != nil {
		return "", err
	}
	for _, p := range list[1:] {
		fmt.Fprintln(h, "package", p.ImportPath)
		if err := digestFiles(h, p.Dir, slices.Concat(p.GoFiles, p.SFiles, p.EmbedFiles)); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// written asks for something of each kind, so that its section changes with the way
// in which package capability writes manifests.
var written = capability.Manifest{
	Host: []string{"h"}, Models: []string{"m"}, Folders: []capability.Folder{{Name: "f", Write: true}},
	Connect: []string{"c:1"}, Env: []string{"E"}, Clock: true, Random: true, Class: capability.RealTime,
	Limits: capability.Limits{Memory: 1, Output: 1, Fuel: 1, Deadline: 1},
}

func digestTool(h io.Writer) error {
	manifest, err := capability.Append([]byte("\x00asm\x01\x00\x00\x00"), written)
	if err != nil {
		return err
	}
	digestFile(h, "manifest", manifest)
	return fs.WalkDir(sources, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(name, "_test.go") {
			return err
		}
		text, err := sources.ReadFile(name)
		digestFile(h, name, text)
		return err
	})
}

// digestModule takes in a go.mod or go.work and the sums beside it.
func digestModule(h io.Writer, path string) error {
	if path == "" || path == "off" {
		return nil
	}
	dir, name := filepath.Split(path)
	files := []string{name}
	for _, sum := range []string{strings.TrimSuffix(name, filepath.Ext(name)) + ".sum", name + ".sum"} {
		if _, err := os.Stat(filepath.Join(dir, sum)); err == nil {
			files = append(files, sum)
		}
	}
	return digestFiles(h, dir, files)
}

// digestOwn takes in the package itself: all its Go files, since a mark may be
// in a file that is not built for Wasm, and what it embeds.
func digestOwn(h io.Writer, dir string, p *listed) error {
	fmt.Fprintln(h, "own", p.ImportPath)
	var files []string
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if n := e.Name(); strings.HasSuffix(n, ".go") && !strings.HasSuffix(n, "_test.go") && !generated(n) && !e.IsDir() {
			files = append(files, n)
		}
	}
	return digestFiles(h, dir, append(files, p.EmbedFiles...))
}

func digestFiles(h io.Writer, dir string, names []string) error {
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		// A checkout may have other line ends: they change no module.
		digestFile(h, filepath.ToSlash(name), bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n")))
	}
	return nil
}

func digestFile(h io.Writer, name string, text []byte) {
	fmt.Fprintf(h, "%s %d\n", name, len(text))
	h.Write(text)
}
