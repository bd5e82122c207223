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
	if m.instance != "" {
		return m.name + "[" + m.instance + "]"
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
	declared := map[string]bool{} // those names are complained of where code is planned
	for _, f := range s.files {
		for _, d := range declarations(f) {
			for _, id := range d.names {
				declared[d.recv+"."+id.Name] = true
			}
		}
	}
	for _, m := range marks {
		fn, ok := m.decl.(*ast.FuncDecl)
		if !ok || declared[m.recv+"."+m.made()] {
			continue
		}
		declared[m.recv+"."+m.made()] = true
		var b strings.Builder
		fmt.Fprintf(&b, "package %s\nimport bungeeContext \"context\"\n", m.file.ast.Name.Name)
		for _, i := range m.file.ast.Imports {
			b.WriteString("import " + m.file.slice(i) + "\n")
		}
		receiver := ""
		if fn.Recv != nil {
			receiver = m.file.slice(fn.Recv)
		}
		fmt.Fprintf(&b, "func %s %s(%s) (%s) { panic(0) }\n", receiver, m.made(), stubParams(m, fn), stubResults(m, fn))
		if f, err := parser.ParseFile(s.fset, m.made(), b.String(), parser.SkipObjectResolution); err == nil {
			files = append(files, f)
		}
	}
	return files
}

// stubParams returns the parameters of the elastic version of fn: with a context.
func stubParams(m *mark, fn *ast.FuncDecl) string {
	list := fn.Type.Params.List
	if len(list) > 0 {
		switch t := list[0].Type.(type) {
		case *ast.SelectorExpr:
			if t.Sel.Name == "Context" {
				return m.inside(fn, fn.Type.Params)
			}
		case *ast.Ident:
			if aliasOfContext(m.file, t.Name) {
				return m.inside(fn, fn.Type.Params)
			}
		}
	}
	if len(list) > 0 && len(list[0].Names) > 0 {
		return "_ bungeeContext.Context, " + m.inside(fn, fn.Type.Params)
	}
	return "bungeeContext.Context, " + m.inside(fn, fn.Type.Params)
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
func stubResults(m *mark, fn *ast.FuncDecl) string {
	if fn.Type.Results.NumFields() == 0 {
		return "error"
	}
	list := fn.Type.Results.List
	text := m.inside(fn, fn.Type.Results)
	if id, ok := list[len(list)-1].Type.(*ast.Ident); ok && id.Name == "error" {
		return text
	}
	if len(list[0].Names) > 0 {
		return text + ", _ error"
	}
	return text + ", error"
}

// inside returns the text of a list of fn without its parentheses, and with the types that for=
// names in place of type parameters.
func (m *mark) inside(fn *ast.FuncDecl, list *ast.FieldList) string {
	if len(list.List) == 0 {
		return ""
	}
	args := m.args.of(fn)
	base, at := m.file.ast.FileStart, list.List[0].Pos()
	var b strings.Builder
	for _, id := range typeNames(list) {
		if arg := args[id.Name]; arg != "" {
			b.Write(m.file.text[at-base : id.Pos()-base])
			b.WriteString("(" + arg + ")")
			at = id.End()
		}
	}
	b.Write(m.file.text[at-base : list.List[len(list.List)-1].End()-base])
	return b.String()
}
