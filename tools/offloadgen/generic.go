package main

import (
	"go/ast"
	"go/parser"
	"go/types"
	"strings"
)

// A typeArgs is what for= in a mark names: one type for each type parameter.
type typeArgs struct {
	exprs []ast.Expr
	list  []types.Type // empty until the package is known
}

// parseTypes returns the types in text, nil if it is no list of them.
func parseTypes(text string) []ast.Expr {
	x, err := parser.ParseExpr("_[" + text + "]")
	if err != nil {
		return nil
	}
	switch x := x.(type) {
	case *ast.IndexExpr:
		return []ast.Expr{x.Index}
	case *ast.IndexListExpr:
		return x.Indices
	}
	return nil
}

// of returns the types' texts by the names of the type parameters of fn.
func (a typeArgs) of(fn *ast.FuncDecl) map[string]string {
	texts := map[string]string{}
	if fn.Type.TypeParams == nil {
		return texts
	}
	n := 0
	for _, f := range fn.Type.TypeParams.List {
		for _, id := range f.Names {
			if n < len(a.exprs) {
				texts[id.Name] = types.ExprString(a.exprs[n])
			}
			n++
		}
	}
	return texts
}

// typeNames returns the identifiers in list that may be type parameters, in their order.
func typeNames(list *ast.FieldList) (names []*ast.Ident) {
	var look func(n ast.Node) bool
	look = func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Field:
			ast.Inspect(n.Type, look)
			return false
		case *ast.SelectorExpr:
			return false // of a package
		case *ast.Ident:
			names = append(names, n)
		}
		return true
	}
	ast.Inspect(list, look)
	return names
}

// argsOf returns the types for which d is marked.
func argsOf(marks []*mark, d *decl) (all []ast.Expr) {
	for _, m := range marks {
		if m.decl == d.node {
			all = append(all, m.args.exprs...)
		}
	}
	return all
}

// keepArguments finds the types for which generic functions are marked, and keeps their
// declarations.
func (s *slice) keepArguments(bad *complaints) {
	for _, m := range s.marks {
		if m.instance == "" {
			continue
		}
		for _, x := range m.args.exprs {
			info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}}
			err := types.CheckExpr(s.fset, s.types, m.file.ast.Package, x, info)
			tv := info.Types[x]
			if err != nil || !tv.IsType() {
				bad.add(m.pos, "%s: %s in for= is no type that is known here%s", m.label(), types.ExprString(x), because(err))
				continue
			}
			m.args.list = append(m.args.list, tv.Type)
			for _, o := range info.Uses {
				if d := s.byObj[o]; d != nil {
					s.keep(d, s.byObj[s.types.Scope().Lookup(m.name)])
				}
			}
		}
	}
}

// signature returns that of the instance of obj which m marks, nil with a complaint if there is none.
func (m *mark) signature(obj *types.Func, bad *complaints) *types.Signature {
	if m.instance == "" {
		return obj.Signature()
	}
	if len(m.args.list) == 0 || len(m.args.list) != len(m.args.exprs) {
		return nil // it is said why
	}
	t, err := types.Instantiate(nil, obj.Signature(), m.args.list, true)
	if err != nil {
		bad.add(m.pos, "%s: it cannot be made for these types: %s", m.label(), strings.ReplaceAll(err.Error(), obj.Pkg().Path()+".", ""))
		return nil
	}
	return t.(*types.Signature)
}

func because(err error) string {
	if e, ok := err.(types.Error); ok {
		return " (" + e.Msg + ")"
	}
	return ""
}
