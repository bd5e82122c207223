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
	pkg, found := s.compiled()
	if found == nil {
		return // what the guest is made of does not compile: the compiler says so
	}
	for _, m := range s.marks {
		if obj, ok := pkg.Scope().Lookup(m.name).(*types.Func); ok && m.kind == funcMark {
			s.changedBy(m, obj, found.Of(obj), bad)
		}
	}
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
		bad.add(w.Pos, "%s: it changes what %s here, which its caller sees natively and not from an edge host; change a copy and return that, or write unchanged=%s in the mark if the caller sees no change", m.name, what, name)
	}
	for _, name := range claimed {
		if !hasParam(obj, name) {
			bad.add(m.pos, "%s: unchanged=%s names no parameter of it", m.name, name)
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

// compiled type-checks what the guest is built from, and returns nil where it does not
// compile.
func (s *slice) compiled() (*types.Package, *writes.Package) {
	var files []*ast.File
	for _, f := range s.files {
		if !f.guest {
			continue
		}
		if text := s.text(f); text != nil {
			a, err := parser.ParseFile(s.fset, f.name, text, parser.SkipObjectResolution)
			if err != nil {
				return nil, nil
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
	broken := false
	conf := types.Config{Sizes: types.SizesFor("gc", "wasm"), Importer: s.imp, Error: func(err error) {
		e := err.(types.Error)
		stub := filepath.Ext(s.fset.Position(e.Pos).Filename) != ".go" // it imports more than it needs
		broken = broken || !stub && !e.Soft
	}}
	pkg, _ := conf.Check(s.path, s.fset, files, info)
	if broken {
		return nil, nil
	}
	return pkg, writes.New(s.fset, pkg, info, files)
}
