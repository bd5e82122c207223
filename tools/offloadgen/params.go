package main

import (
	"go/ast"
	"go/parser"
	"go/types"
	"path/filepath"

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
	claimed, carried := map[int]bool{}, map[int]bool{}
	for _, name := range m.unchanged {
		if i, ok := paramNamed(obj, name); ok {
			claimed[i] = true
		} else {
			bad.add(m.pos, "%s: unchanged=%s names no parameter of it", m.label(), name)
		}
	}
	for _, name := range m.inout { // that it names a parameter planFunction has seen to
		if i, ok := paramNamed(obj, name); ok {
			carried[i] = true
		}
	}
	for _, w := range list {
		if claimed[w.Param] || carried[w.Param] {
			continue
		}
		name, what := receiverName(obj), "its receiver refers to"
		if w.Param >= 0 {
			name = obj.Signature().Params().At(w.Param).Name()
			what = "its parameter " + name + " refers to"
		}
		bad.add(w.Pos, "%s: it changes what %s here, which its caller sees natively and not from an edge host; change a copy and return that, or write inout=%s in the mark to have the change carried back, or unchanged=%[3]s if the caller sees no change", m.label(), what, name)
	}
}

// paramNamed returns the index of the parameter that an option of the mark calls name, -1 for
// the receiver, which may be called by its name or as such.
func paramNamed(obj *types.Func, name string) (index int, ok bool) {
	p := obj.Signature().Params()
	for i := range p.Len() {
		if p.At(i).Name() == name {
			return i, true
		}
	}
	recv := obj.Signature().Recv()
	return -1, recv != nil && (name == "receiver" || name == recv.Name())
}

// receiverName returns what a mark calls the receiver.
func receiverName(obj *types.Func) string {
	if r := obj.Signature().Recv(); r != nil && r.Name() != "" && r.Name() != "_" {
		return r.Name()
	}
	return "receiver"
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
