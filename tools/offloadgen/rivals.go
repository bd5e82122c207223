package main

import (
	"go/ast"
	"go/build/constraint"
	"path/filepath"
	"slices"
	"strings"
)

// rivals complains of declarations that natively are others than in the guest, where
// nothing says that somebody thought of Wasm: those in files of other platforms.
func (s *slice) rivals(bad *complaints) {
	kept, types, vars := map[string]*decl{}, map[string]*decl{}, map[string]bool{}
	for _, d := range s.all {
		if !s.kept[d] {
			continue
		}
		kept[d.key()] = d
		switch spec := d.node.(type) {
		case *ast.TypeSpec:
			types[spec.Name.Name] = d
		case *ast.ValueSpec:
			for _, id := range spec.Names {
				vars[id.Name] = true
			}
		}
	}
	for _, n := range s.native {
		if !n.file.implicit {
			continue
		}
		name := filepath.Base(n.file.name)
		if n.initial() && maySet(n, vars) && !s.lines.native[n.node] {
			bad.add(n.names[0].Pos(), "%s may change natively what the guest has, and %s is not built for Wasm; move it to a file that is, or, if no mark needs what it sets, write //%s REASON above it", n.label(), name, nativeMark)
		}
		if n.key() == "init" || n.key() == "_" {
			continue
		}
		d, t := kept[n.key()], types[n.recv]
		switch {
		case d != nil && !namesWasm(filepath.Base(d.file.name), d.file.ast):
			bad.add(n.names[0].Pos(), "%s is this one natively, and in the guest the one in %s; if that is meant, say so there: //go:build %s", s.chain(d), filepath.Base(d.file.name), withWasm(d.file))
		case d == nil && t != nil && !s.has(n.key()):
			bad.add(n.names[0].Pos(), "%s: %s has the method %s natively only, since %s is not built for Wasm, and an interface may call it; move it to a file that is, or give a version of it in a file *_wasip1.go", s.chain(t), n.recv, n.names[0].Name, name)
		}
	}
}

// key names a declaration among all of a package. Several init functions have the same.
func (d *decl) key() string {
	if len(d.names) == 0 {
		return ""
	}
	return strings.TrimPrefix(d.recv+"."+d.names[0].Name, ".")
}

// has says whether a file of the guest has a declaration of that key.
func (s *slice) has(key string) bool {
	return slices.ContainsFunc(s.all, func(d *decl) bool { return d.key() == key })
}

// withWasm returns the build constraint of f, with Wasm named in it.
func withWasm(f *file) string {
	if x := buildConstraint(f.ast); x != nil {
		return (&constraint.OrExpr{X: x, Y: &constraint.TagExpr{Tag: "wasip1"}}).String()
	}
	return "wasip1 || " + strings.TrimSuffix(f.name[strings.LastIndex(f.name, "_")+1:], ".go")
}
