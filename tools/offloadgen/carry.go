package main

import (
	"fmt"
	"go/types"
	"slices"
	"strings"
)

// ins returns the values that cross to an edge host.
func (f *function) ins() []value { return slices.Concat(f.params, f.carry) }

// variables returns the names of the package's variables that cross.
func (f *function) variables() (names []string) {
	for _, v := range f.carry {
		names = append(names, v.Name())
	}
	return names
}

// takeVariables finds the variables that carry= names.
func (f *function) takeVariables(s *slice, bad *complaints) {
	for i, name := range f.mark.carry {
		v, ok := s.types.Scope().Lookup(name).(*types.Var)
		hides := func(p value) bool { return p.Name() == name }
		switch {
		case !ok || s.byObj[v] == nil || !s.reaches(f.mark, s.byObj[v]):
			bad.add(f.pos, "%s: carry=%s names no variable of the package that it reads", f.label(), name)
		case slices.Contains(f.mark.carry[:i], name):
			bad.add(f.pos, "%s: carry= names %s twice", f.label(), name)
		case slices.ContainsFunc(f.params, hides), f.ctx && f.sig.Params().At(0).Name() == name:
			bad.add(f.pos, "%s: carry=%s: its parameter has the name of the variable; rename one", f.label(), name)
		default:
			f.carry = append(f.carry, value{v, "", f.pos, "variable " + name + " of carry="})
		}
	}
}

// carried says whether the variable of d crosses with each call that reads it. If an endpoint
// reads it, too, it does not: what comes with a message is the message.
func (s *slice) carried(d *decl, name string) bool {
	found := false
	for _, m := range s.marks {
		if !s.reaches(m, d) {
			continue
		}
		if !slices.Contains(m.carry, name) {
			return false
		}
		found = true
	}
	return found
}

// crosses says whether the symbol of the linker is a variable of the package that crosses with
// each call.
func (s *slice) crosses(symbol string) bool {
	for _, m := range s.marks {
		for _, name := range m.carry {
			if d := s.byObj[s.types.Scope().Lookup(name)]; symbol == symbolOf(s.path, name) && d != nil {
				return s.carried(d, name)
			}
		}
	}
	return false
}

// fixes says whether the symbol of the linker is a variable of the package that is set before the first call, to the same everywhere.
func (s *slice) fixes(symbol string) bool {
	for _, d := range s.all {
		for _, id := range d.names {
			if s.lines.fixed[d.node] && symbol == symbolOf(s.path, id.Name) {
				return true
			}
		}
	}
	return false
}

// carry writes what sets the variables in a guest.
func (e *emitter) carry(b *strings.Builder, f *function) {
	if len(f.carry) == 0 {
		return
	}
	used := scope{}
	for _, name := range f.variables() {
		used[name] = true
	}
	in := used.fresh("in")
	fmt.Fprintf(b, "Carry: func(%s %s) {\n", in, e.spell(f.in.typ))
	for _, v := range f.carry {
		fmt.Fprintf(b, "%s = %s.%s\n", v.Name(), in, v.name)
	}
	b.WriteString("},\n")
}
