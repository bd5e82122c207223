package main

import (
	"fmt"
	"go/types"
	"slices"
	"strings"
)

// locals are what generated functions call their own variables. A package-level name that is
// one of them is hidden there.
var locals = []string{"b", "back", "cfg", "ctx", "depth", "e", "emit", "err", "i", "in", "k", "n", "ok", "out", "p", "pairs", "r", "v"}

// A speller writes types down as the generated code of a package can name them.
type speller struct {
	*names
	own     *types.Package
	aliases map[*types.TypeName]*types.TypeName // by a type that cannot be named: an alias of it that can
	second  map[string]string                   // by a type of the package that locals hide: its second name
	extra   strings.Builder                     // the declarations of second names
}

func newSpeller(n *names, own *types.Package) *speller {
	s := &speller{names: n, own: own, aliases: map[*types.TypeName]*types.TypeName{}, second: map[string]string{}}
	for _, p := range append(own.Imports(), own) { // own last: its aliases are preferred
		for _, name := range p.Scope().Names() {
			s.learnAlias(p.Scope().Lookup(name))
		}
	}
	return s
}

// learnAlias takes note of an alias that generated code can name.
func (s *speller) learnAlias(o types.Object) {
	alias, ok := o.(*types.TypeName)
	if !ok || !alias.IsAlias() || !s.canName(alias) {
		return
	}
	if n, ok := types.Unalias(alias.Type()).(*types.Named); ok && n.TypeArgs().Len() == 0 && n.Obj().Pkg() != nil {
		s.aliases[n.Obj()] = alias
	}
}

// canName says whether generated code can write down the name of o.
func (s *speller) canName(o *types.TypeName) bool {
	p := o.Pkg()
	switch {
	case p == nil: // error, comparable
		return true
	case o.Parent() != nil && o.Parent() != p.Scope():
		return false // declared in a function
	case p == s.own:
		return true
	}
	return o.Exported() && p.Name() != "main" && importable(p.Path(), s.own.Path())
}

// importable says whether the package at path from may import the one at path.
func importable(path, from string) bool {
	if strings.HasPrefix(path, "vendor/") {
		return false // of Go's own
	}
	elems := strings.Split(path, "/")
	for i := len(elems) - 1; i >= 0; i-- {
		if elems[i] == "internal" {
			parent := strings.Join(elems[:i], "/")
			return parent != "" && (from == parent || strings.HasPrefix(from, parent+"/"))
		}
	}
	return true
}

// named returns the type name that stands for n in generated code, nil when there is none.
func (s *speller) named(n *types.TypeName) *types.TypeName {
	if s.canName(n) {
		return n
	}
	return s.aliases[n]
}

// spell returns t as Go source. It is a type that named has a name for, with all in it.
func (s *speller) spell(t types.Type) string {
	switch t := t.(type) {
	case *types.Alias:
		if s.canName(t.Obj()) && t.TypeParams().Len() == 0 {
			return s.name(t.Obj()) + s.arguments(t.TypeArgs())
		}
		return s.spell(types.Unalias(t))
	case *types.Named:
		if o := s.named(t.Obj()); o != nil {
			return s.name(o) + s.arguments(t.TypeArgs())
		}
	case *types.Pointer:
		return "*" + s.spell(t.Elem())
	case *types.Slice:
		return "[]" + s.spell(t.Elem())
	case *types.Array:
		return fmt.Sprintf("[%d]%s", t.Len(), s.spell(t.Elem()))
	case *types.Map:
		return "map[" + s.spell(t.Key()) + "]" + s.spell(t.Elem())
	case *types.Struct:
		return s.spellStruct(t)
	case *types.Signature:
		return "func" + s.signature(t, nil, nil)
	}
	return types.TypeString(t, func(p *types.Package) string {
		if p == s.own {
			return ""
		}
		return s.pkg(p.Path(), p.Name())
	})
}

// name returns how generated code calls o.
func (s *speller) name(o *types.TypeName) string {
	switch {
	case o.Pkg() == nil:
		return o.Name()
	case o.Pkg() != s.own:
		return s.pkg(o.Pkg().Path(), o.Pkg().Name()) + "." + o.Name()
	case !isLocal(o.Name()):
		return o.Name()
	}
	if s.second[o.Name()] == "" {
		s.second[o.Name()] = s.fresh("bungee" + upper(o.Name()))
		fmt.Fprintf(&s.extra, "\n// %s is %s by another name, since functions below have variables of that one.\ntype %[1]s = %s\n", s.second[o.Name()], o.Name())
	}
	return s.second[o.Name()]
}

func isLocal(name string) bool {
	for _, l := range locals {
		if l == name {
			return true
		}
	}
	return false
}

func (s *speller) arguments(list *types.TypeList) string {
	return s.brackets(slices.Collect(list.Types()))
}

// brackets returns type arguments with their brackets, "" for none.
func (s *speller) brackets(list []types.Type) string {
	if len(list) == 0 {
		return ""
	}
	var parts []string
	for _, t := range list {
		parts = append(parts, s.spell(t))
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

func (s *speller) spellStruct(t *types.Struct) string {
	var fields []string
	for f := range t.Fields() {
		if f.Embedded() {
			fields = append(fields, s.embedded(f.Type()))
		} else {
			fields = append(fields, f.Name()+" "+s.spell(f.Type()))
		}
	}
	if len(fields) == 0 {
		return "struct{}"
	}
	return "struct{ " + strings.Join(fields, "; ") + " }"
}

// embedded is spell for the type of an embedded field, whose name is the field's.
func (s *speller) embedded(t types.Type) string {
	if p, ok := t.(*types.Pointer); ok {
		return "*" + s.embedded(p.Elem())
	}
	var o *types.TypeName
	var list *types.TypeList
	switch t := t.(type) {
	case *types.Named:
		o, list = t.Obj(), t.TypeArgs()
	case *types.Alias:
		o, list = t.Obj(), t.TypeArgs()
	}
	if o != nil && o.Pkg() == s.own {
		return o.Name() + s.arguments(list)
	}
	return s.spell(t)
}

// signature returns what follows the name of a function, with or without the names of
// its parameters and results.
func (s *speller) signature(sig *types.Signature, params, results []string) string {
	list := func(t *types.Tuple, names []string, variadic bool) string {
		var parts []string
		for i := range t.Len() {
			part := s.spell(t.At(i).Type())
			if variadic && i == t.Len()-1 {
				part = "..." + strings.TrimPrefix(part, "[]")
			}
			if names != nil {
				part = names[i] + " " + part
			}
			parts = append(parts, part)
		}
		return strings.Join(parts, ", ")
	}
	out := list(sig.Results(), results, false)
	if sig.Results().Len() > 1 || results != nil {
		out = "(" + out + ")"
	}
	return "(" + list(sig.Params(), params, sig.Variadic()) + ") " + out
}
