package main

import (
	"fmt"
	"go/ast"
	"go/types"
	"strings"
	"time"
)

// A function is an elastic function about to be written.
type function struct {
	*mark
	fn              *ast.FuncDecl
	sig             *types.Signature
	params, results []string
	inName          string // of the struct of several parameters
	outVar, errVar  string // variables of the elastic function
	in, out         tuple
	inCodec         *codec
	outCodec        *codec
}

// A tuple is what crosses in one direction: one value, or a struct of several.
type tuple struct {
	typ    types.Type
	fields []string // of the struct offloadgen makes, nil where typ is the value's
	made   bool
}

// planFunction checks the signature of m and plans its codecs.
func planFunction(m *mark, s *slice, c *codecs, bad *complaints) *function {
	obj, ok := s.types.Scope().Lookup(m.name).(*types.Func)
	if !ok {
		return nil // declared twice: the type check has said so
	}
	f := &function{mark: m, fn: m.decl.(*ast.FuncDecl), sig: obj.Signature()}
	c.claim(f.made(), m, bad)
	c.claim(f.variable(), m, bad)
	if !f.fitsTypes(bad) {
		return nil
	}
	f.nameParts(c)
	f.in = f.tuple(c, f.inName, f.sig.Params(), f.params, 1, f.sig.Params().Len())
	f.out = f.tuple(c, "", f.sig.Results(), f.results, 0, f.sig.Results().Len()-1)
	f.planTuples(c)
	return f
}

// nameParts names parameters and results. The body of the elastic function and the
// struct of several parameters use these names.
func (f *function) nameParts(c *codecs) {
	used := scope{f.variable(): true}
	if f.sig.Params().Len() != 2 {
		f.inName = c.fresh(f.name + "In")
		used[f.inName] = true
	}
	f.params = used.fieldNames(f.sig.Params(), "p")
	if f.params[0] == "p0" && !used["ctx"] {
		f.params[0] = used.fresh("ctx")
	}
	if !namedResults(f.fn) {
		f.results = scope{}.fieldNames(f.sig.Results(), "r")
		f.outVar, f.errVar = used.fresh("out"), used.fresh("err")
		return
	}
	f.results = used.fieldNames(f.sig.Results(), "r")
	f.outVar, f.errVar = used.fresh("out"), f.results[len(f.results)-1]
}

// fitsTypes complains of a signature that no elastic function can have.
func (f *function) fitsTypes(bad *complaints) bool {
	p, r := f.sig.Params(), f.sig.Results()
	before := len(bad.list)
	if p.Len() == 0 || !isContext(p.At(0).Type()) {
		bad.add(f.pos, "%s: its first parameter must be a context.Context, which carries the deadline to the edge host; add one", f.name)
	}
	if !endsInError(r) {
		bad.add(f.pos, "%s: its last result must be an error, since a call may fail on the way; add one", f.name)
	}
	if f.sig.Variadic() {
		bad.add(f.fn.Type.Params.List[len(f.fn.Type.Params.List)-1].Pos(), "%s: a variadic function cannot be elastic; take a slice", f.name)
	}
	return len(bad.list) == before
}

// tuple makes the type of the values from index from up to, not including, to.
func (f *function) tuple(c *codecs, name string, all *types.Tuple, fields []string, from, to int) tuple {
	if to-from == 1 {
		return tuple{typ: all.At(from).Type()}
	}
	var vars []*types.Var
	for i := from; i < to; i++ {
		vars = append(vars, types.NewField(all.At(i).Pos(), c.own, fields[i], all.At(i).Type(), false))
	}
	if name == "" {
		name = c.fresh(f.name + "Out")
	}
	obj := types.NewTypeName(f.pos, c.own, name, nil)
	return tuple{types.NewNamed(obj, types.NewStruct(vars, nil), nil), fields[from:to], true}
}

func (f *function) planTuples(c *codecs) {
	plan := func(t tuple, what string, list *ast.FieldList, all *types.Tuple, from int) *codec {
		if !t.made {
			name := all.At(from).Name()
			if name == "" || name == "_" {
				name = what
			} else {
				name = what + " " + name
			}
			return c.plan(t.typ, place{pos: fieldType(list, from), path: f.name + ": " + name})
		}
		for i, field := range t.fields { // first, for complaints at their places
			c.plan(all.At(from+i).Type(), place{pos: fieldType(list, from+i), path: f.name + ": " + what + " " + field})
		}
		if c.bad.err() != nil {
			return nil
		}
		return c.plan(t.typ, place{pos: f.pos, path: f.name})
	}
	f.inCodec = plan(f.in, "parameter", f.fn.Type.Params, f.sig.Params(), 1)
	f.outCodec = plan(f.out, "result", f.fn.Type.Results, f.sig.Results(), 0)
}

// comment returns the doc comment of the elastic function.
func (f *function) comment() string {
	head := f.made() + " is the elastic version of " + f.name
	first, rest, _ := strings.Cut(strings.TrimSpace(f.doc), "\n\n")
	first = strings.Join(strings.Fields(first), " ")
	if said, ok := strings.CutPrefix(first, f.name+" "); ok {
		return comment(head+": it "+said, rest)
	} else if first != "" {
		return comment(head+". "+first, rest)
	}
	return comment(head+": it runs natively or on an edge host.", rest)
}

// comment returns a doc comment that begins with the paragraph first.
func comment(first, rest string) string {
	text := wrap(first, 76)
	if rest != "" {
		text += "\n\n" + rest
	}
	var b strings.Builder
	for line := range strings.SplitSeq(text, "\n") {
		b.WriteString(strings.TrimRight("// "+line, " ") + "\n")
	}
	return b.String()
}

// wrap breaks text at blanks into lines of at most width letters.
func wrap(text string, width int) string {
	var b strings.Builder
	col := 0
	for i, word := range strings.Fields(text) {
		n := len([]rune(word))
		switch {
		case i == 0:
		case col+1+n > width:
			b.WriteByte('\n')
			col = 0
		default:
			b.WriteByte(' ')
			col++
		}
		b.WriteString(word)
		col += n
	}
	return b.String()
}

// duration returns d as Go source.
func duration(d time.Duration, timePkg string) string {
	for _, u := range []struct {
		d    time.Duration
		name string
	}{{time.Hour, "Hour"}, {time.Minute, "Minute"}, {time.Second, "Second"}, {time.Millisecond, "Millisecond"}, {time.Microsecond, "Microsecond"}} {
		if d%u.d == 0 {
			return fmt.Sprintf("%d * %s.%s", d/u.d, timePkg, u.name)
		}
	}
	return fmt.Sprintf("%d * %s.Nanosecond", d, timePkg)
}
