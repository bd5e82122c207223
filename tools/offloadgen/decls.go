package main

import (
	"go/ast"
	"go/token"
)

// A decl is a declaration that the slice has as a whole or not at all: a function, a type, a
// variable specification, or a group of constants, whose values depend on each other.
type decl struct {
	file  *file
	node  ast.Node // *ast.FuncDecl, *ast.TypeSpec, *ast.ValueSpec or *ast.GenDecl
	names []*ast.Ident
	recv  string            // of a method: the name of its type
	doc   *ast.CommentGroup // of a function or a type; nil: it has none
	args  []ast.Expr        // types for which a generic function is marked
}

// declarations returns those of f in their order.
func declarations(f *file) []*decl {
	var all []*decl
	for _, d := range f.ast.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			all = append(all, &decl{file: f, node: d, names: []*ast.Ident{d.Name}, recv: receiver(d), doc: d.Doc})
		case *ast.GenDecl:
			all = append(all, specs(f, d)...)
		}
	}
	return all
}

func specs(f *file, d *ast.GenDecl) (all []*decl) {
	group := &decl{file: f, node: d}
	for _, s := range d.Specs {
		switch s := s.(type) {
		case *ast.TypeSpec:
			doc := s.Doc
			if !d.Lparen.IsValid() {
				doc = d.Doc
			}
			all = append(all, &decl{file: f, node: s, names: []*ast.Ident{s.Name}, doc: doc})
		case *ast.ValueSpec:
			if d.Tok == token.VAR {
				all = append(all, &decl{file: f, node: s, names: s.Names})
			} else {
				group.names = append(group.names, s.Names...)
			}
		}
	}
	if d.Tok == token.CONST {
		all = append(all, group)
	}
	return all
}

// receiver returns the name of the type that fn is a method of, if any.
func receiver(fn *ast.FuncDecl) string {
	if fn.Recv == nil || len(fn.Recv.List) == 0 {
		return ""
	}
	t := fn.Recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.ParenExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.IndexListExpr:
			t = x.X
		case *ast.Ident:
			return x.Name
		default:
			return ""
		}
	}
}

// label returns what people call the declaration.
func (d *decl) label() string {
	switch {
	case d.recv != "":
		return d.recv + "." + d.names[0].Name
	case len(d.names) == 0:
		return "const ()"
	case d.names[0].Name == "_":
		return "var _"
	}
	return d.names[0].Name
}

// root says whether the guest has the declaration though nothing refers to it:
// all of a file that only guests have, and the init functions that register
// errors.
func (d *decl) root() bool {
	fn, ok := d.node.(*ast.FuncDecl)
	return d.file.only || ok && fn.Recv == nil && fn.Name.Name == "init" && registersError(d.file, fn)
}

func registersError(f *file, fn *ast.FuncDecl) (found bool) {
	local := localName(f, offloadPath, "offload")
	ast.Inspect(fn, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok && s.Sel.Name == "RegisterError" {
			x, ok := s.X.(*ast.Ident)
			found = found || ok && x.Name == local
		}
		return !found
	})
	return found
}

// localName returns what f calls the package at path, whose own name is name,
// or nothing when it does not import it.
func localName(f *file, path, name string) string {
	for _, i := range f.ast.Imports {
		if importPath(i) != path {
			continue
		}
		if i.Name != nil {
			return i.Name.Name
		}
		return name
	}
	return ""
}

func marked(marks []*mark, d *decl) bool {
	for _, m := range marks {
		if m.decl == d.node {
			return true
		}
	}
	return false
}

// initial says whether d runs before main begins, apart from what it declares.
func (d *decl) initial() bool {
	switch n := d.node.(type) {
	case *ast.FuncDecl:
		return n.Recv == nil && n.Name.Name == "init"
	case *ast.ValueSpec:
		return len(n.Values) > 0
	}
	return false
}

// slice returns the text of n.
func (f *file) slice(n ast.Node) string {
	base := f.ast.FileStart
	return string(f.text[n.Pos()-base : n.End()-base])
}
