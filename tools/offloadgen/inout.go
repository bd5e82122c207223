package main

import (
	"fmt"
	"go/ast"
	"go/types"
	"slices"
	"strings"

	"github.com/bungee-xr/bungee/tools/offloadgen/internal/writes"
)

// carries finds the parameters whose values are carried back. Those that cannot be are
// complaints.
func (f *function) carries(obj *types.Func, s *slice, c *codecs, bad *complaints) {
	f.inout = make([]bool, len(f.params))
	for _, name := range f.mark.inout {
		at, v := f.valueNamed(obj, name)
		switch {
		case v == nil:
			bad.add(f.pos, "%s: inout=%s names no parameter of it that crosses", f.label(), name)
		case f.inout[at]:
			bad.add(f.pos, "%s: inout= names %s twice", f.label(), name)
		case f.claims(obj, v):
			bad.add(f.pos, "%s: inout=%s carries back what unchanged= says its caller does not see; keep one", f.label(), name)
		case behind(v.Type()) == nil:
			bad.add(v.pos, "%s: inout=%s: %s is no pointer, slice or map, and what it has in it cannot be written back; pass a pointer to it", f.label(), name, c.show(v.Type()))
		default:
			f.inout[at] = true
			if refers(behind(v.Type())) {
				s.told = append(s.told, fmt.Sprintf("%s: %s: inout=%s writes back what %[3]s refers to; what that refers to in turn comes from an edge host as new memory, so who else has a pointer, slice or map into it does not see its change", bad.show(s.fset.Position(v.pos)), f.label(), name))
			}
		}
	}
}

// sharedAt complains of calls in the package that give the elastic function one thing twice, and
// have it changed: such a call would never leave the UE.
func (f *function) sharedAt(s *slice, bad *complaints) {
	if !slices.Contains(f.inout, true) {
		return
	}
	for _, file := range s.files {
		if !file.guest {
			continue
		}
		ast.Inspect(file.ast, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok && f.calledBy(call, s) {
				f.shared(call, bad)
			}
			return true
		})
	}
}

// calledBy says whether call is one of the elastic function.
func (f *function) calledBy(call *ast.CallExpr, s *slice) bool {
	id, _ := call.Fun.(*ast.Ident)
	if sel, ok := call.Fun.(*ast.SelectorExpr); ok {
		id = sel.Sel
	}
	if id == nil || id.Name != f.made() {
		return false
	}
	d := s.elastic[s.info.Uses[id]]
	return d != nil && d.node == f.decl
}

// shared complains of call if two of its arguments are spelled alike, and the function changes one.
func (f *function) shared(call *ast.CallExpr, bad *complaints) {
	args := slices.Clone(call.Args[min(1, len(call.Args)):]) // behind the context
	if sel, ok := call.Fun.(*ast.SelectorExpr); ok && f.recv != nil {
		args = append([]ast.Expr{sel.X}, args...)
	}
	for i, a := range args[:min(len(args), len(f.params))] {
		for j, b := range args[:i] {
			if (f.inout[i] || f.inout[j]) && refers(f.params[i].Type()) && refers(f.params[j].Type()) && isVariable(a) && types.ExprString(a) == types.ExprString(b) {
				bad.add(call.Pos(), "%s: its parameters %s and %s are both %s here, and a module has a copy of each, so the call would never leave the UE; pass a copy", f.label(), f.params[j].Name(), f.params[i].Name(), types.ExprString(a))
			}
		}
	}
}

// isVariable says whether x is the same thing wherever it is written.
func isVariable(x ast.Expr) bool {
	switch x := x.(type) {
	case *ast.Ident:
		return x.Name != "nil"
	case *ast.SelectorExpr:
		return isVariable(x.X)
	case *ast.UnaryExpr:
		return isVariable(x.X)
	}
	return false
}

// valueNamed returns the one of params that the mark calls name, and its index.
func (f *function) valueNamed(obj *types.Func, name string) (int, *value) {
	index, ok := paramNamed(obj, name)
	if !ok {
		return 0, nil
	}
	want := f.recv
	if index >= 0 {
		want = f.sig.Params().At(index) // obj's is another one where it is generic
	}
	for i := range f.params {
		if f.params[i].Var == want {
			return i, &f.params[i]
		}
	}
	return 0, nil // the context
}

// claims says whether unchanged= names v.
func (f *function) claims(obj *types.Func, v *value) bool {
	for _, name := range f.unchanged {
		if _, other := f.valueNamed(obj, name); other == v {
			return true
		}
	}
	return false
}

// behind returns the type of what a pointer, slice or map refers to, nil for other types.
func behind(t types.Type) types.Type {
	switch u := t.Underlying().(type) {
	case *types.Pointer:
		return u.Elem()
	case *types.Slice:
		return u.Elem()
	case *types.Map:
		return u.Elem()
	}
	return nil
}

// refers says whether values of t refer to memory that a function can change. What a time.Time
// refers to nobody changes.
func refers(t types.Type) bool { return !isTime(types.Unalias(t)) && writes.Refers(t) }

// checks writes what a Func needs to know of parameters that refer to memory of the caller.
func (e *emitter) checks(b *strings.Builder, f *function) {
	any, back := false, false
	for i, v := range f.params {
		any, back = any || refers(v.Type()), back || f.inout[i]
	}
	if !any {
		return
	}
	var list []string
	for i, v := range f.params {
		inout := ""
		if f.inout[i] {
			inout = ", InOut: true"
		}
		list = append(list, fmt.Sprintf("{Name: %q%s}", v.name, inout))
	}
	fmt.Fprintf(b, "Params: []%s.Param{%s},\n", e.std(codegenPath), strings.Join(list, ", "))
	if back {
		e.carried(b, f)
	}
}

// carried writes the codec of what is carried back.
func (e *emitter) carried(b *strings.Builder, f *function) {
	codegen, pack, in := e.std(codegenPath), e.std(packPath), e.spell(f.in.typ)
	var write, read string
	var spans, others []string
	for i, v := range f.params {
		from := "in"
		if f.in.made {
			from = "in." + v.name
		}
		form := formOf(v.Type())
		if form == "" {
			continue
		}
		span := fmt.Sprintf("%s.%sSpan(%s)", codegen, form, from)
		if !f.inout[i] {
			others = append(others, span)
			continue
		}
		spans = append(spans, span)
		k := e.plan(v.Type(), place{})
		write += strings.ReplaceAll(k.write(from), deeper, "0") + "\n"
		read += fmt.Sprintf("%s.Back%s(back, %s, %s)\n", codegen, form, from, k.read)
	}
	fmt.Fprintf(b, "AppendBack: func(b []byte, in %s) []byte {\n%sreturn b\n},\n", in, write)
	fmt.Fprintf(b, "ReadBack: func(r *%s.Reader, in %s, back *%s.Back) {\n%s},\n", pack, in, codegen, read)
	if all := append(spans, others...); len(all) > 1 {
		fmt.Fprintf(b, "Aliased: func(in %s) bool {\nreturn %s.Overlap(%d, %s)\n},\n", in, codegen, len(spans), strings.Join(all, ", "))
	}
}

// formOf names the functions of package codegen for a type that refers to memory directly.
func formOf(t types.Type) string {
	switch t.Underlying().(type) {
	case *types.Pointer:
		return "Pointer"
	case *types.Slice:
		return "Slice"
	case *types.Map:
		return "Map"
	}
	return ""
}
