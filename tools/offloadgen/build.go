package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// guestMain is the folder of the guest's main package when the marks are in another
// package. It exists in the overlay only.
const guestMain = "bungee_guest"

// An overlay is what the go command sees instead of the package's directory.
type overlay struct {
	tmp     string
	Replace map[string]string // "" hides a file
}

func (o *overlay) put(path string, text []byte) error {
	name := filepath.Join(o.tmp, fmt.Sprintf("%d.go", len(o.Replace)))
	o.Replace[path] = name
	return os.WriteFile(name, text, 0o600)
}

// write writes the list of what is replaced, and returns its name.
func (o *overlay) write() (string, error) {
	text, err := json.Marshal(o)
	if err != nil {
		return "", err
	}
	list := filepath.Join(o.tmp, "overlay.json")
	return list, os.WriteFile(list, text, 0o600)
}

// buildGuest compiles the slice, with what is in extra beside it, to Wasm, with more flags for
// the linker.
func buildGuest(g goCmd, s *slice, extra map[string][]byte, flags ...string) ([]byte, error) {
	tmp, err := os.MkdirTemp("", "offloadgen")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(tmp)
	o := &overlay{tmp, map[string]string{}}
	target, err := o.fill(s, extra)
	if err != nil {
		return nil, err
	}
	list, err := o.write()
	if err != nil {
		return nil, err
	}
	out := filepath.Join(tmp, "guest.wasm")
	_, err = g.run("build", "-overlay="+list, "-o", out, "-buildmode=c-shared", "-trimpath", "-buildvcs=false", "-pgo=off", strings.Join(append([]string{"-ldflags=-s -w -buildid="}, flags...), " "), target)
	if err != nil {
		return nil, o.buildError(err, s)
	}
	return os.ReadFile(out)
}

// fill makes the overlay of the guest and returns the package to build.
func (o *overlay) fill(s *slice, extra map[string][]byte) (target string, err error) {
	if err := o.hide(s.dir); err != nil {
		return "", err
	}
	for _, f := range s.files {
		if text := s.text(f); !f.guest || text == nil {
			o.Replace[f.name] = ""
		} else if err := o.put(f.name, text); err != nil {
			return "", err
		}
	}
	for name, text := range extra {
		if err := o.put(filepath.Join(s.dir, name), text); err != nil {
			return "", err
		}
	}
	if text := s.guestImports(); text != "" {
		if err := o.put(filepath.Join(s.dir, "bungee_guest_imports.go"), []byte(text)); err != nil {
			return "", err
		}
	}
	if s.types.Name() == "main" {
		return ".", o.put(filepath.Join(s.dir, guestMain+".go"), []byte("package main\n\nfunc main() {}\n"))
	}
	main := fmt.Sprintf("package main\n\nimport _ %q\n\nfunc main() {}\n", s.path)
	return "./" + guestMain, o.put(filepath.Join(s.dir, guestMain, "main.go"), []byte(main))
}

// hide hides the sources in dir that are not Go: they are for cgo or for
// another processor.
func (o *overlay) hide(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		switch filepath.Ext(e.Name()) {
		case ".c", ".cc", ".cpp", ".cxx", ".m", ".h", ".hh", ".hpp", ".hxx", ".f", ".F", ".for", ".f90", ".s", ".S", ".sx", ".swig", ".swigcxx", ".syso":
			o.Replace[filepath.Join(dir, e.Name())] = ""
		}
	}
	return nil
}

// buildError turns what the compiler said into lines that begin with the
// user's file, line and column.
func (o *overlay) buildError(err error, s *slice) error {
	var failed *goError
	if !errors.As(err, &failed) {
		return err
	}
	text := failed.stderr
	for user, tmp := range o.Replace {
		if rel, err := filepath.Rel(s.dir, user); err == nil && tmp != "" {
			text = strings.ReplaceAll(text, tmp, rel)
		}
	}
	var lines []string
	for line := range strings.Lines(text) {
		line = strings.TrimRight(strings.TrimPrefix(line, "./"), "\n")
		if line != "" && !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	lines = append(lines, "the guest, which is what the marks reach, does not compile for GOOS=wasip1; the manual of offloadgen says what is in it")
	return errors.New(strings.Join(append(lines, s.told...), "\n"))
}

// compress returns wasm in gzip form, without a name or a date.
func compress(wasm []byte) ([]byte, error) {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := z.Write(wasm); err != nil {
		return nil, err
	}
	err = z.Close()
	return b.Bytes(), err
}
