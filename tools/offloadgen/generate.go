package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A generator makes what is marked in one package elastic.
type generator struct {
	dir   string
	tags  []string
	force bool
	log   io.Writer // gets what -v says
	told  io.Writer // gets what the developer is to know at every generate
}

// run generates, unless nothing has changed. On error it has written nothing.
func (g generator) run() error {
	begin := time.Now()
	dir, err := filepath.Abs(g.dir)
	if err != nil {
		return err
	}
	cmd := goCmd{dir: dir, tags: g.tags}
	if !g.force && current(cmd, dir) {
		fmt.Fprintf(g.log, "%s: nothing has changed (%d ms)\n", g.dir, time.Since(begin).Milliseconds())
		return nil
	}
	if err := g.generateFirst(cmd, dir); err != nil {
		return err
	}
	s, bad, err := slicePackage(cmd, dir)
	if err != nil {
		return err
	}
	e := plan(s, bad)
	for _, line := range s.told {
		fmt.Fprintln(g.told, line)
	}
	if err := bad.err(); err != nil {
		return err
	}
	files, err := g.files(cmd, s, e)
	if err != nil {
		return err
	}
	err = write(dir, files)
	fmt.Fprintf(g.log, "%s: generated %s (%d ms)\n", g.dir, made(s.marks), time.Since(begin).Milliseconds())
	return err
}

// check says whether the generated files are those of the sources.
func (g generator) check() error {
	dir, err := filepath.Abs(g.dir)
	if err != nil {
		return err
	}
	if !current(goCmd{dir: dir, tags: g.tags}, dir) {
		return fmt.Errorf("%s: the generated files are not those of the sources, the tool, its -tags, the version of Go and go.mod that are here; run: go generate", g.dir)
	}
	return nil
}

// slicePackage finds the marks of the package in dir and what they reach.
// Complaints of what it finds are added to bad; those that leave nothing to go
// on with are its error.
func slicePackage(cmd goCmd, dir string) (*slice, *complaints, error) {
	src, bad, err := readSource(dir, cmd.tags...)
	if err != nil {
		return nil, nil, err
	}
	if err := bad.err(); err != nil {
		return nil, nil, err // what the files say is not known
	}
	marks := findMarks(src, bad)
	if len(marks) == 0 && bad.err() != nil {
		return nil, nil, bad
	}
	if len(marks) == 0 {
		return nil, nil, fmt.Errorf("%s: nothing is marked; write //%s into the doc comment of a function, or //%s into that of a type", dir, funcMark, endpointMark)
	}
	lines := findDirectives(src, bad)
	c, err := check(cmd, src, marks, lines)
	if err != nil {
		return nil, nil, err
	}
	sl := cut(c, marks, bad)
	sl.ask = findAsk(src, bad)
	for _, rule := range rules {
		if !switchedOff[rule.name] {
			rule.apply(sl, bad)
		}
	}
	for _, m := range marks {
		if m.redundancy > 1 && !sl.ask.Deterministic {
			bad.add(m.pos, "%s: redundancy compares answers to the byte; write //%s deterministic, so that hosts which are sound agree", m.name, moduleMark)
		}
	}
	return sl, bad, nil
}

// rules are what holds that the guest does what the native code does, beside its initialisation.
var rules = []struct {
	name  string
	apply func(*slice, *complaints)
}{
	{"rivals", (*slice).rivals},
	{"params", (*slice).changedParams},
	{"vars", (*slice).changingVars},
	{"surroundings", (*slice).tellSurroundings},
	{"assembly", (*slice).tellAssembly},
}

// switchedOff are rules that tests do without, to see that it is noticed.
var switchedOff = map[string]bool{}

// plan plans the code of all that is marked.
func plan(s *slice, bad *complaints) *emitter {
	n := newNames(s.source, s.types)
	for _, name := range []string{"bungeeModule", "bungeeWasm"} {
		if pos, taken := n.taken[name]; taken {
			bad.add(pos, "%s is a name that offloadgen needs; rename it", name)
		}
		n.fresh(name)
	}
	c := &codecs{speller: newSpeller(n, s.types), bad: bad, done: map[string]*codec{}, open: map[string]*codec{}}
	e := &emitter{codecs: c, pkgName: s.types.Name(), path: s.path}
	for _, m := range s.marks {
		if m.kind == endpointMark {
			if n := planEndpoint(m, s, c, bad); n != nil {
				e.ends = append(e.ends, n)
			}
		} else if f := planFunction(m, s, c, bad); f != nil {
			e.funcs = append(e.funcs, f)
		}
	}
	if bad.err() != nil {
		return e
	}
	e.errs, e.kept = planErrors(s, c), s.keptVariables()
	if text, err := e.offloadGo(); err == nil {
		n.hidden(text, bad)
	}
	return e
}

// files returns the generated files by name.
func (g generator) files(cmd goCmd, s *slice, e *emitter) (map[string][]byte, error) {
	offload, err := e.offloadGo() // first: it imports all that is named so far
	if err != nil {
		return nil, err
	}
	guest, err := e.guestGo()
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{offloadFile: offload, guestFile: guest}
	begin := time.Now()
	wasm, err := buildGuest(cmd, s, files)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(g.log, "%s: built the guest, %d bytes (%d ms)\n", g.dir, len(wasm), time.Since(begin).Milliseconds())
	wasm, manifest, err := s.ask.sign(wasm, s.marks)
	if err != nil {
		return nil, err
	}
	if files[wasmFile], err = compress(wasm); err != nil {
		return nil, err
	}
	fmt.Fprintf(g.log, "%s: the module asks for %v\n", g.dir, manifest)
	for name, text := range s.guards() {
		files[name] = text
	}
	if err := g.test(cmd, s, e, files); err != nil {
		return nil, err
	}
	st := stamp{outputs: digestOutputs(files), packages: localPackages(s.deps), tags: g.tags}
	if st.inputs, err = digestInputs(cmd, s.dir, st.packages); err != nil {
		return nil, err
	}
	files[moduleFile], err = e.moduleGo(st, manifest, sha256.Sum256(wasm))
	return files, err
}

// test adds the test of what is generated to files, where the module has what it imports.
func (g generator) test(cmd goCmd, s *slice, e *emitter, files map[string][]byte) (err error) {
	why := testable(cmd)
	if why != nil && andVendor(why.Error()) != "" && testable(goCmd{dir: cmd.dir, tags: cmd.tags, mod: "readonly"}) == nil {
		fmt.Fprintf(g.told, "%s: the generated test imports packages that vendor/ lacks; run: go mod vendor\n", g.dir)
		why = nil
	}
	if why != nil {
		fmt.Fprintf(g.told, "%s: no test compares the native functions with the module, since it could not be compiled (%v); for one, run: go get %s, and generate again\n", g.dir, why, offloadtestPath)
		return nil
	}
	files[testFile], err = e.testGo(s)
	return err
}

// write writes the files that are not there as they should be, and removes generated ones
// that should not. The one with the stamp comes last, so that a run that was cut off is run
// again.
func write(dir string, files map[string][]byte) error {
	old, err := readOutputs(dir)
	if err != nil {
		return err
	}
	for name, text := range old {
		if name != wasmFile && !bytes.HasPrefix(text, []byte(header)) {
			return foreign(filepath.Join(dir, name))
		}
	}
	for name := range old {
		if files[name] == nil {
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				return err
			}
		}
	}
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(files)), func(n string) bool { return n == moduleFile })
	for _, name := range append(names, moduleFile) {
		path := filepath.Join(dir, name)
		if had, err := os.ReadFile(path); err == nil && bytes.Equal(had, files[name]) {
			continue
		}
		if err := os.WriteFile(path+".tmp", files[name], 0o644); err != nil {
			return err
		}
		if err := os.Rename(path+".tmp", path); err != nil {
			return err
		}
	}
	return nil
}

// foreign is the error of a file that is in the way.
func foreign(path string) error {
	return fmt.Errorf("%s: offloadgen writes a file of this name, and this one is not its; rename it", path)
}

// made returns the names of what the marks made.
func made(marks []*mark) string {
	var names []string
	for _, m := range marks {
		names = append(names, m.made())
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}
