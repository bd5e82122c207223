package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"go/format"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const offloadtestPath = ourPath + "/offload/offloadtest"

// testGo returns the text of bungee_offload_test.go: what compares the native versions with
// the module, and finds out whether the module is that of the sources.
func (e *emitter) testGo(s *slice) ([]byte, error) {
	sources, err := s.sources()
	if err != nil {
		return nil, err
	}
	var b, fuzz strings.Builder
	fmt.Fprintf(&b, `%s

//go:build !wasip1

package %s

import (
	"testing"

	%q
)

// TestBungeeOffload holds that the native versions of what is marked and the Wasm module
// give the same.
func TestBungeeOffload(t *testing.T) {
	m := offloadtest.Open(t, bungeeModule, offloadtest.Sources{
%s	})
`, header, e.pkgName, offloadtestPath, sources)
	for _, f := range e.funcs {
		fmt.Fprintf(&b, "t.Run(%q, func(t *testing.T) { offloadtest.Func(t, m, &%s, %d) })\n", f.label(), f.variable(), f.ulp)
		fmt.Fprintf(&fuzz, "\nfunc FuzzBungee%s(f *testing.F) { offloadtest.Fuzz(f, bungeeModule, &%s, %d) }\n", f.tested(), f.variable(), f.ulp)
	}
	for _, n := range e.ends {
		fmt.Fprintf(&b, "t.Run(%q, func(t *testing.T) { offloadtest.Endpoint(t, m, &%s) })\n", n.name, n.variable())
	}
	b.WriteString("}\n")
	return format.Source([]byte(b.String() + fuzz.String()))
}

// tested returns what names the fuzz test of f.
func (f *function) tested() string {
	if f.recv == nil {
		return f.made()
	}
	return upper(f.mark.recv) + "_" + f.made()
}

// sources returns the digests of the files that the module is made from, as far as they are
// in this module and not ours, as lines of a composite literal.
func (s *slice) sources() (string, error) {
	var paths []string
	for _, f := range s.files {
		paths = append(paths, f.name)
	}
	for _, p := range s.deps {
		if p.Module == nil || !p.Module.Main || ourPackages.MatchString(p.ImportPath) {
			continue
		}
		for _, name := range slices.Concat(p.GoFiles, p.EmbedFiles) {
			paths = append(paths, filepath.Join(p.Dir, name))
		}
	}
	var lines strings.Builder
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		rel, err := filepath.Rel(s.dir, path)
		if err != nil {
			return "", err
		}
		sum := sha256.Sum256(bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n")))
		fmt.Fprintf(&lines, "%q: \"%x\",\n", filepath.ToSlash(rel), sum[:8])
	}
	return lines.String(), nil
}

// testable says why the package's module cannot import what generated tests call, nil when
// it can.
func testable(g goCmd) error {
	g.on = onUE
	all, err := g.list("-deps", offloadtestPath)
	if err != nil {
		return err
	}
	for _, p := range all {
		if p.Error != nil {
			return fmt.Errorf("%s", p.trouble())
		}
	}
	return nil
}
