package main

import (
	"go/parser"
	"go/token"
	"go/types"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// names gives out package-level names and import names for the generated code that the
// package does not use.
type names struct {
	taken    map[string]token.Pos // at package level, tests and files for other platforms included
	imported map[string]bool      // what the package's files call their imports: hidden by no package-level name
	imports  map[string]string    // local name by import path
	used     map[string]bool      // if not nil, takes note of the paths of packages that code refers to
}

// newNames knows all names that the package's files declare.
func newNames(s *source, own *types.Package) *names {
	n := &names{map[string]token.Pos{}, map[string]bool{}, map[string]string{}, nil}
	paths := map[string]*types.Package{}
	for _, p := range own.Imports() {
		paths[p.Path()] = p
	}
	for _, f := range append(testFiles(s), s.files...) {
		if f.ast.Name.Name == own.Name() {
			n.learn(f, paths)
		}
	}
	return n
}

// testFiles returns the package's own tests, as far as they parse.
func testFiles(s *source) (files []*file) {
	paths, _ := filepath.Glob(filepath.Join(s.dir, "*_test.go"))
	for _, path := range paths {
		if filepath.Base(path) == testFile {
			continue
		}
		if a, err := parser.ParseFile(s.fset, path, nil, parser.SkipObjectResolution); err == nil {
			files = append(files, &file{name: path, ast: a})
		}
	}
	return files
}

// learn takes note of what f declares and imports.
func (n *names) learn(f *file, paths map[string]*types.Package) {
	for _, d := range declarations(f) {
		for _, id := range d.names {
			if d.recv == "" {
				n.taken[id.Name] = id.Pos()
			}
		}
	}
	for _, i := range f.ast.Imports {
		path := importPath(i)
		p := paths[path]
		switch {
		case i.Name == nil && p != nil:
			n.imported[p.Name()] = true
		case i.Name == nil: // of a file that is not in the guest: a good guess
			n.imported[path[strings.LastIndex(path, "/")+1:]] = true
		case i.Name.Name == "." && p != nil:
			for _, name := range p.Scope().Names() {
				n.imported[name] = true
			}
		default:
			n.imported[i.Name.Name] = true
		}
	}
}

// fresh returns name, or name with a number behind it when it is taken. The name is one of
// package level.
func (n *names) fresh(name string) string {
	return n.unlike(name, func(s string) bool { return n.imported[s] })
}

// unlike is fresh without names that bad refuses.
func (n *names) unlike(name string, bad func(string) bool) string {
	got := name
	for i := 2; ; i++ {
		if _, taken := n.taken[got]; !taken && !bad(got) {
			n.taken[got] = token.NoPos
			return got
		}
		got = name + strconv.Itoa(i)
	}
}

// claim reserves name for what offloadgen makes from m. A name that is in use is a
// complaint.
func (n *names) claim(name string, m *mark, bad *complaints) {
	if pos, taken := n.taken[name]; taken {
		bad.add(m.pos, "%s: offloadgen would declare %s for it, and that name is taken at %s; rename one, or give the elastic version another by name=", m.name, name, bad.show(bad.fset.Position(pos)))
	}
	n.taken[name] = m.pos
}

// pkg returns what the generated code calls the package at path, and imports it.
func (n *names) pkg(path, name string) string {
	local, ok := n.imports[path]
	if !ok {
		local = n.unlike(name, isLocal)
		n.imports[path] = local
	}
	if n.used != nil {
		n.used[path] = true
	}
	return local
}

// std is pkg for a package whose name is the last element of its path.
func (n *names) std(path string) string { return n.pkg(path, path[strings.LastIndex(path, "/")+1:]) }

// specs returns the import specifications of paths: Go's own first.
func (n *names) specs(paths []string) string {
	var b strings.Builder
	for _, std := range []bool{true, false} {
		for _, path := range slices.Sorted(slices.Values(paths)) {
			if std != strings.Contains(strings.Split(path, "/")[0], ".") {
				b.WriteString(n.spec(path) + "\n")
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}

// spec returns the import specification of path.
func (n *names) spec(path string) string {
	if local := n.imports[path]; local != path[strings.LastIndex(path, "/")+1:] {
		return local + " " + strconv.Quote(path)
	}
	return strconv.Quote(path)
}

// hidden complains of package-level names that hide what the generated code in text uses of
// Go's own.
func (n *names) hidden(text []byte, bad *complaints) {
	f, err := parser.ParseFile(token.NewFileSet(), "", text, 0)
	if err != nil {
		return // a fault of ours, which the compiler tells
	}
	for _, id := range f.Unresolved {
		pos, taken := n.taken[id.Name]
		if taken && pos.IsValid() && types.Universe.Lookup(id.Name) != nil {
			bad.add(pos, "%s is declared at package level, and generated code uses Go's own %[1]s; rename it", id.Name)
		}
	}
}

// A scope gives out names within one function.
type scope map[string]bool

// fresh returns name, or name with a number behind it when the scope has it.
func (s scope) fresh(name string) string {
	got := name
	for i := 2; s[got]; i++ {
		got = name + strconv.Itoa(i)
	}
	s[got] = true
	return got
}
