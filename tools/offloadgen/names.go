package main

import (
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strconv"
	"strings"
)

// names gives out package-level names and import names for the generated code that the
// package does not use.
type names struct {
	taken   map[string]token.Pos
	imports map[string]string // local name by import path
}

// newNames knows all names that the package's files declare, those of files for
// other platforms included.
func newNames(s *source, pkgName string) *names {
	n := &names{map[string]token.Pos{}, map[string]string{}}
	for _, local := range []string{"b", "cfg", "ctx", "emit", "err", "i", "in", "k", "n", "ok", "out", "p", "r", "v"} {
		n.taken[local] = token.NoPos // variables of generated functions, which would hide an import
	}
	for _, f := range s.files {
		if f.ast.Name.Name != pkgName {
			continue
		}
		for _, d := range declarations(f) {
			for _, id := range d.names {
				if d.recv == "" {
					n.taken[id.Name] = id.Pos()
				}
			}
		}
	}
	return n
}

// fresh returns name, or name with a number behind it when it is taken.
func (n *names) fresh(name string) string {
	got := name
	for i := 2; ; i++ {
		if _, taken := n.taken[got]; !taken {
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
		bad.add(m.pos, "%s: offloadgen would declare %s for it, and that name is taken at %s; rename one", m.name, name, bad.show(bad.fset.Position(pos)))
	}
	n.taken[name] = m.pos
}

// pkg returns what the generated code calls the package at path, and imports it.
func (n *names) pkg(path, name string) string {
	local, ok := n.imports[path]
	if !ok {
		local = n.fresh(name)
		n.imports[path] = local
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

// qualifier returns how types of p are named in code of package own.
func (n *names) qualifier(own *types.Package) types.Qualifier {
	return func(p *types.Package) string {
		if p == own {
			return ""
		}
		return n.pkg(p.Path(), p.Name())
	}
}

// shadowed complains of package-level names that hide what generated code uses.
func (n *names) shadowed(bad *complaints) {
	for _, id := range []string{"append", "bool", "byte", "copy", "error", "false", "float32", "float64", "int", "int16", "int32", "int64", "int8", "len", "make", "new", "nil", "string", "true", "uint", "uint16", "uint32", "uint64", "uint8"} {
		if pos, ok := n.taken[id]; ok {
			bad.add(pos, "%s is declared at package level, and generated code uses Go's own %s; rename it", id, id)
		}
	}
}

// fieldNames returns a name for each parameter or result: its own, or one made
// up where it has none. Names in avoid are not given.
func fieldNames(list *ast.FieldList, prefix string, avoid ...string) (got []string) {
	if list == nil {
		return nil
	}
	for _, f := range list.List {
		ids := f.Names
		if len(ids) == 0 {
			ids = []*ast.Ident{{Name: "_"}}
		}
		for _, id := range ids {
			name := id.Name
			if name == "_" || slices.Contains(avoid, name) || slices.Contains(got, name) {
				name = prefix + strconv.Itoa(len(got))
			}
			got = append(got, name)
		}
	}
	return got
}
