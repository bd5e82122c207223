package main

import (
	"fmt"
	"go/ast"
	"go/types"
	"slices"
	"strings"
)

// An errorPlan is what generated code registers, so that errors are the same on both sides.
type errorPlan struct {
	sentinels []*types.Var
	kinds     []errorKind
}

// An errorKind is a type of errors, and its codec.
type errorKind struct {
	typ   types.Type
	codec *codec
}

// planErrors finds the errors that marked functions may return: the variables and types of
// their package that the guest has, and those of the packages that it uses there. It leaves
// out types that cannot cross, whose errors keep their text and what they wrap.
func planErrors(s *slice, c *codecs) (p errorPlan) {
	for _, d := range s.all {
		if s.kept[d] && everywhere(s.source, d.file) {
			for _, id := range d.names {
				p.add(s.info.Defs[id], c)
			}
		}
	}
	for _, pkg := range usedPackages(s) {
		for _, name := range pkg.Scope().Names() {
			if o := pkg.Scope().Lookup(name); o.Exported() {
				p.add(o, c)
			}
		}
	}
	return p
}

// everywhere says whether f is built for each system, not for guests or some UEs only.
func everywhere(s *source, f *file) bool {
	name := f.name[strings.LastIndexAny(f.name, `/\`)+1:]
	for _, n := range platformsWith(s.given).natives {
		if ok, err := n.MatchFile(s.dir, name); err != nil || !ok {
			return false
		}
	}
	return f.guest && !usesCgo(f.ast)
}

// usedPackages returns the packages that the guest's own declarations name, without those
// whose errors each guest knows.
func usedPackages(s *slice) (list []*types.Package) {
	for _, d := range s.all {
		if !s.kept[d] {
			continue
		}
		s.uses(d, func(_ *ast.Ident, o types.Object) {
			if n, ok := o.(*types.PkgName); ok && !slices.Contains(list, n.Imported()) && !known(n.Imported().Path()) && importable(n.Imported().Path(), s.path) {
				list = append(list, n.Imported())
			}
		})
	}
	slices.SortFunc(list, func(a, b *types.Package) int { return strings.Compare(a.Path(), b.Path()) })
	return list
}

func known(path string) bool {
	switch path {
	case "io", "strconv", "errors", "context", "unsafe", offloadPath, codegenPath, packPath, guestPath:
		return true
	}
	return false
}

func (p *errorPlan) add(o types.Object, c *codecs) {
	face := types.Universe.Lookup("error").Type().Underlying().(*types.Interface)
	switch o := o.(type) {
	case *types.Var:
		_, pointer := o.Type().Underlying().(*types.Pointer)
		if o.Name() != "_" && (isError(o.Type()) || pointer && types.Implements(o.Type(), face)) {
			p.sentinels = append(p.sentinels, o)
		}
	case *types.TypeName:
		n, ok := types.Unalias(o.Type()).(*types.Named)
		if !ok || types.IsInterface(n) || n.TypeParams().Len() > 0 || o.IsAlias() && n.Obj().Pkg() == c.own {
			return
		}
		if types.Implements(n, face) {
			p.kind(n, c)
		}
		if types.Implements(types.NewPointer(n), face) {
			p.kind(types.NewPointer(n), c)
		}
	}
}

func (p *errorPlan) kind(t types.Type, c *codecs) {
	for _, k := range p.kinds {
		if types.Identical(k.typ, t) {
			return
		}
	}
	if c.crosses(t, map[types.Type]bool{}) && c.named(elementOf(t).Obj()) != nil {
		p.kinds = append(p.kinds, errorKind{t, c.plan(t, place{})})
	}
}

// elementOf returns the named type that t is or points to.
func elementOf(t types.Type) *types.Named {
	if p, ok := t.(*types.Pointer); ok {
		t = p.Elem()
	}
	return t.(*types.Named)
}

// write writes the function that registers the errors, if there are any.
func (p errorPlan) write(b *strings.Builder, e *emitter) {
	if len(p.sentinels)+len(p.kinds) == 0 {
		return
	}
	codegen := e.std(codegenPath)
	b.WriteString("\n// These errors are the same on the UE and on edge hosts.\nfunc init() {\n")
	for _, v := range p.sentinels {
		name := v.Name()
		if v.Pkg() != e.own {
			name = e.pkg(v.Pkg().Path(), v.Pkg().Name()) + "." + name
		}
		fmt.Fprintf(b, "%s.Sentinel(%q, %s)\n", codegen, e.pathOf(v.Pkg())+"."+v.Name(), name)
	}
	for _, k := range p.kinds {
		name := types.TypeString(k.typ, func(p *types.Package) string { return e.pathOf(p) })
		write, read := e.pair(k.typ, k.codec)
		fmt.Fprintf(b, "%s.ErrorType(%q, %s, %s)\n", codegen, name, write, read)
	}
	b.WriteString("}\n")
}

// pathOf returns the import path of p. That of a program is its own, since all are main.
func (e *emitter) pathOf(p *types.Package) string {
	if p == e.own {
		return e.path
	}
	return p.Path()
}
