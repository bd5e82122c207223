package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
)

// generateFirst generates for the packages of this module that the one in dir depends on, if
// they are marked and were never generated for: what is marked here may call their elastic
// functions, and "go generate ./..." goes by the names of folders.
func (g generator) generateFirst(cmd goCmd, dir string) error {
	env, err := cmd.env("GOMOD")
	if err != nil {
		return err
	}
	if env[0] == "" || env[0] == os.DevNull {
		return nil // there is no module: what needs one says so
	}
	root := filepath.Dir(env[0])
	deps, err := cmd.list("-deps", ".")
	if err != nil {
		return err
	}
	for _, p := range deps { // those that others depend on come first
		if p.Dir == dir || !p.local() || !within(root, p.Dir) || !marksWithout(p.Dir) {
			continue
		}
		if err := (generator{dir: p.Dir, tags: g.tags, log: g.log, told: g.told}).run(); err != nil {
			return err
		}
	}
	return nil
}

func within(root, dir string) bool {
	rel, err := filepath.Rel(root, dir)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}

// marksWithout says whether a package has marks, as far as its text tells, and no generated
// file.
func marksWithout(dir string) bool {
	if _, err := os.Stat(filepath.Join(dir, offloadFile)); err == nil {
		return false
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*.go"))
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err == nil && !strings.HasSuffix(path, "_test.go") && (bytes.Contains(text, []byte("\n//"+funcMark)) || bytes.Contains(text, []byte("\n//"+endpointMark))) {
			return true
		}
	}
	return false
}
