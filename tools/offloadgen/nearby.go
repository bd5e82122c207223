package main

import "go/ast"

// A nearby walks declarations by the spelling of names, which needs no types. It errs on
// the side of too many.
type nearby struct {
	names   map[string]string // package names by import path
	byFile  map[*file][]*decl
	byName  map[string][]*decl
	kept    map[*decl]bool
	order   []*decl // what is kept
	seen    map[string]bool
	imports []string // what is reached uses them
	blanks  []string // blank imports in the files of what is reached
}

// newNearby knows the declarations in the guest's files of s.
func newNearby(s *source, names map[string]string) *nearby {
	n := &nearby{names: names, byFile: map[*file][]*decl{}, byName: map[string][]*decl{}}
	for _, f := range s.files {
		if f.guest {
			n.byFile[f] = declarations(f)
			for _, d := range n.byFile[f] {
				n.index(d)
			}
		}
	}
	return n
}

// of returns the declarations of f in their order.
func (n *nearby) of(f *file) []*decl { return n.byFile[f] }

// from returns what is reached from the roots.
func (n *nearby) from(roots ...*decl) *nearby {
	reach := &nearby{names: n.names, byName: n.byName, kept: map[*decl]bool{}, seen: map[string]bool{}}
	for _, d := range roots {
		reach.visit(d)
	}
	return reach
}

func (n *nearby) index(d *decl) {
	if d.recv != "" {
		n.byName[d.recv] = append(n.byName[d.recv], d) // methods come with their type
		return
	}
	for _, id := range d.names {
		n.byName[id.Name] = append(n.byName[id.Name], d)
	}
}

func (n *nearby) visit(d *decl) {
	if n.kept[d] {
		return
	}
	n.kept[d] = true
	n.order = append(n.order, d)
	used := map[string]bool{".": true}
	name := func(x ast.Node) bool {
		if id, ok := x.(*ast.Ident); ok && id.Name != "init" && id.Name != "_" {
			used[id.Name] = true
			for _, next := range n.byName[id.Name] {
				n.visit(next)
			}
		}
		return true
	}
	ast.Inspect(d.node, name)
	for _, arg := range d.args {
		ast.Inspect(arg, name)
	}
	for _, i := range d.file.ast.Imports {
		p := importPath(i)
		local := localName(d.file, p, n.names[p])
		if n.seen[p] || local != "_" && !used[local] {
			continue
		}
		n.seen[p] = true
		if local == "_" {
			n.blanks = append(n.blanks, p)
		} else {
			n.imports = append(n.imports, p)
		}
	}
}
