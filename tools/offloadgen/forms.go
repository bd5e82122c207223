package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/types"
	"strings"
)

// label returns what people call what is marked.
func (m *mark) label() string {
	if m.recv != "" {
		return m.recv + "." + m.name
	}
	return m.name
}

// isGeneric says whether t, the type of a receiver, has type parameters.
func isGeneric(t ast.Expr) bool {
	generic := false
	ast.Inspect(t, func(n ast.Node) bool {
		switch n.(type) {
		case *ast.IndexExpr, *ast.IndexListExpr:
			generic = true
		}
		return true
	})
	return generic
}

// function returns what m marks, nil when it is declared in another way, too.
func (s *slice) function(m *mark) *types.Func {
	if m.recv == "" {
		f, _ := s.types.Scope().Lookup(m.name).(*types.Func)
		return f
	}
	f, _ := s.info.Defs[m.decl.(*ast.FuncDecl).Name].(*types.Func)
	return f
}

// claimMethod complains when the type of m has a field or a method that is called as the
// elastic version would be.
func (n *names) claimMethod(m *mark, s *slice, bad *complaints) {
	pos := m.pos
	for _, d := range s.methods[m.recv] {
		if d.names[0].Name == m.made() {
			pos = d.names[0].Pos()
		}
	}
	if t, ok := s.types.Scope().Lookup(m.recv).(*types.TypeName); ok {
		if u, ok := t.Type().Underlying().(*types.Struct); ok {
			for f := range u.Fields() {
				if f.Name() == m.made() {
					pos = f.Pos()
				}
			}
		}
	}
	for _, other := range s.marks {
		if other != m && other.kind == funcMark && other.recv == m.recv && other.made() == m.made() && other.pos < m.pos {
			pos = other.pos
		}
	}
	if pos != m.pos {
		bad.add(m.pos, "%s: offloadgen would declare %s for it, and that name is taken at %s; give it another by name=", m.label(), m.made(), bad.show(bad.fset.Position(pos)))
	}
}

// elasticStubs returns files that declare the elastic functions, so that what is
// marked may call them.
func elasticStubs(s *source, marks []*mark) []*ast.File {
	var files []*ast.File
	for _, m := range marks {
		fn, ok := m.decl.(*ast.FuncDecl)
		if !ok {
			continue
		}
		var b strings.Builder
		fmt.Fprintf(&b, "package %s\nimport bungeeContext \"context\"\n", m.file.ast.Name.Name)
		for _, i := range m.file.ast.Imports {
			b.WriteString("import " + m.file.slice(i) + "\n")
		}
		receiver := ""
		if fn.Recv != nil {
			receiver = m.file.slice(fn.Recv)
		}
		fmt.Fprintf(&b, "func %s %s(%s) (%s) { panic(0) }\n", receiver, m.made(), stubParams(m.file, fn), stubResults(m.file, fn))
		if f, err := parser.ParseFile(s.fset, m.made(), b.String(), parser.SkipObjectResolution); err == nil {
			files = append(files, f)
		}
	}
	return files
}

// stubParams returns the parameters of the elastic version of fn: with a context.
func stubParams(f *file, fn *ast.FuncDecl) string {
	list := fn.Type.Params.List
	if len(list) > 0 {
		switch t := list[0].Type.(type) {
		case *ast.SelectorExpr:
			if t.Sel.Name == "Context" {
				return inside(f, fn.Type.Params)
			}
		case *ast.Ident:
			if aliasOfContext(f, t.Name) {
				return inside(f, fn.Type.Params)
			}
		}
	}
	if len(list) > 0 && len(list[0].Names) > 0 {
		return "_ bungeeContext.Context, " + inside(f, fn.Type.Params)
	}
	return "bungeeContext.Context, " + inside(f, fn.Type.Params)
}

// aliasOfContext says whether a declaration in f makes name another name of context.Context.
// Only a stub depends on it.
func aliasOfContext(f *file, name string) bool {
	for _, d := range declarations(f) {
		if t, ok := d.node.(*ast.TypeSpec); ok && t.Name.Name == name && t.Assign.IsValid() {
			s, ok := t.Type.(*ast.SelectorExpr)
			return ok && s.Sel.Name == "Context"
		}
	}
	return false
}

// stubResults returns the results of the elastic version of fn: with an error.
func stubResults(f *file, fn *ast.FuncDecl) string {
	if fn.Type.Results.NumFields() == 0 {
		return "error"
	}
	list := fn.Type.Results.List
	text := inside(f, fn.Type.Results)
	if id, ok := list[len(list)-1].Type.(*ast.Ident); ok && id.Name == "error" {
		return text
	}
	if len(list[0].Names) > 0 {
		return text + ", _ error"
	}
	return text + ", error"
}

// inside returns the text of a list without its parentheses.
func inside(f *file, list *ast.FieldList) string {
	if len(list.List) == 0 {
		return ""
	}
	base := f.ast.FileStart
	return string(f.text[list.List[0].Pos()-base : list.List[len(list.List)-1].End()-base])
}
