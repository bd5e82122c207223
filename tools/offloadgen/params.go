package main

import (
	"go/ast"
	"go/parser"
	"go/types"
	"path/filepath"
	"slices"

	"github.com/bungee-xr/bungee/tools/offloadgen/internal/writes"
)

// changedParams complains of marked functions that change what their parameters refer to.
// Of an endpoint the receiver is the state, and a message belongs to Handle.
func (s *slice) changedParams(bad *complaints) {
	pkg, found, err := s.compiled()
	if err != nil {
		if bad.err() == nil { // else that may be why
			bad.add(s.marks[0].pos, "%s: whether what is marked changes its parameters is not known, since what the guest is made of does not compile: %v", s.marks[0].label(), err)
		}
		return
	}
	for _, m := range s.marks {
		if obj := m.funcIn(pkg); obj != nil {
			s.changedBy(m, obj, found.Of(obj), bad)
		}
	}
}

// funcIn returns the marked function as it is declared in pkg, nil for an endpoint.
func (m *mark) funcIn(pkg *types.Package) *types.Func {
	if m.kind != funcMark {
		return nil
	}
	if m.recv == "" {
		f, _ := pkg.Scope().Lookup(m.name).(*types.Func)
		return f
	}
	t, ok := pkg.Scope().Lookup(m.recv).(*types.TypeName)
	if !ok {
		return nil
	}
	o, _, _ := types.LookupFieldOrMethod(types.NewPointer(t.Type()), false, pkg, m.name)
	f, _ := o.(*types.Func)
	return f
}

func (s *slice) changedBy(m *mark, obj *types.Func, list []writes.Write, bad *complaints) {
	claimed := slices.Clone(m.unchanged)
	for _, w := range list {
		what := "its receiver refers to"
		name := "receiver"
		if w.Param >= 0 {
			name = obj.Signature().Params().At(w.Param).Name()
			what = "its parameter " + name + " refers to"
		}
		if i := slices.Index(claimed, name); i >= 0 {
			claimed = slices.Delete(claimed, i, i+1)
			continue
		}
		bad.add(w.Pos, "%s: it changes what %s here, which its caller sees natively and not from an edge host; change a copy and return that, or write unchanged=%s in the mark if the caller sees no change", m.label(), what, name)
	}
	for _, name := range claimed {
		if !hasParam(obj, name) {
			bad.add(m.pos, "%s: unchanged=%s names no parameter of it", m.label(), name)
		}
	}
}

func hasParam(obj *types.Func, name string) bool {
	for v := range obj.Signature().Params().Variables() {
		if v.Name() == name {
			return true
		}
	}
	return name == "receiver" && obj.Signature().Recv() != nil
}

// compiled type-checks what the guest is built from.
func (s *slice) compiled() (*types.Package, *writes.Package, error) {
	var files []*ast.File
	for _, f := range s.files {
		if !f.guest {
			continue
		}
		if text := s.text(f); text != nil {
			a, err := parser.ParseFile(s.fset, f.name, text, parser.SkipObjectResolution)
			if err != nil {
				return nil, nil, err
			}
			files = append(files, a)
		}
	}
	files = append(files, elasticStubs(s.source, s.marks)...)
	info := &types.Info{
		Types: map[ast.Expr]types.TypeAndValue{}, Instances: map[*ast.Ident]types.Instance{},
		Defs: map[*ast.Ident]types.Object{}, Uses: map[*ast.Ident]types.Object{}, Implicits: map[ast.Node]types.Object{},
		Selections: map[*ast.SelectorExpr]*types.Selection{}, Scopes: map[ast.Node]*types.Scope{}, FileVersions: map[*ast.File]string{},
	}
	var broken error
	conf := types.Config{Sizes: types.SizesFor("gc", "wasm"), Importer: s.imp, Error: func(err error) {
		e := err.(types.Error)
		stub := filepath.Ext(s.fset.Position(e.Pos).Filename) != ".go" // it imports more than it needs
		if broken == nil && !stub && !e.Soft {
			broken = err
		}
	}}
	pkg, _ := conf.Check(s.path, s.fset, files, info)
	if broken != nil {
		return nil, nil, broken
	}
	return pkg, writes.New(s.fset, pkg, info, files), nil
}
