package main

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"strconv"
	"strings"
	"time"
)

// A function is an elastic function about to be written.
type function struct {
	*mark
	fn     *ast.FuncDecl
	sig    *types.Signature
	recv   *types.Var // of a method
	ctx    bool       // its first parameter is a context
	fails  bool       // its last result is an error
	params []value    // that cross: the receiver first, no context
	inout  []bool     // of params: what they refer to is carried back
	carry  []value    // variables of the package that cross behind params
	outs   []value    // that cross: no error at the end

	in, out           tuple
	inCodec, outCodec *codec
	ctxVar            string // parameter of the elastic function
	outVar, errVar    string // variables of the elastic function, or its results
	inName            string // of the struct of several parameters
}

// A value crosses as a parameter or result.
type value struct {
	*types.Var
	name string    // in the elastic function and in structs
	pos  token.Pos // of its type
	what string    // for complaints
}

// A tuple is what crosses in one direction: one value, or a struct of several.
type tuple struct {
	typ    types.Type
	fields []string // of the struct offloadgen makes, nil where typ is the value's
	made   bool
}

// planFunction checks the signature of m and plans its codecs.
func planFunction(m *mark, s *slice, c *codecs, bad *complaints) *function {
	obj := s.function(m)
	if obj == nil {
		return nil // declared twice: the type check has said so
	}
	f := &function{mark: m, fn: m.decl.(*ast.FuncDecl), sig: m.signature(obj, bad)}
	if f.sig == nil {
		return nil
	}
	f.recv = f.sig.Recv()
	if f.recv != nil {
		c.claimMethod(m, s, bad)
	} else {
		c.claim(f.made(), m, bad)
	}
	c.claim(f.variable(), m, bad)
	if !f.takeApart(bad) {
		return nil
	}
	f.carries(obj, s, c, bad)
	f.sharedAt(s, bad)
	f.takeVariables(s, bad)
	f.nameParts(c)
	f.in = f.tuple(c, f.inName, f.ins())
	f.out = f.tuple(c, "", f.outs)
	f.inCodec, f.outCodec = f.plan(c, f.in, f.ins()), f.plan(c, f.out, f.outs)
	return f
}

// takeApart finds what crosses. It complains of a context that is not in front.
func (f *function) takeApart(bad *complaints) bool {
	before := len(bad.list)
	if f.recv != nil {
		f.params = append(f.params, value{f.recv, "", f.fn.Recv.List[0].Type.Pos(), "receiver"})
	}
	p, r := f.sig.Params(), f.sig.Results()
	f.ctx, f.fails = p.Len() > 0 && isContext(p.At(0).Type()), endsInError(r)
	for i := range p.Len() {
		v := value{p.At(i), "", fieldType(f.fn.Type.Params, i), "parameter"}
		switch {
		case i == 0 && f.ctx:
		case isContext(v.Type()):
			bad.add(v.pos, "%s: its context.Context is parameter %d; make it the first, or leave it out: the elastic function has one in any case", f.name, i+1)
		default:
			f.params = append(f.params, v)
		}
	}
	for i := range r.Len() {
		if i < r.Len()-1 || !f.fails {
			f.outs = append(f.outs, value{r.At(i), "", fieldType(f.fn.Type.Results, i), "result"})
		}
	}
	return len(bad.list) == before
}

// nameParts names parameters and results. The body of the elastic function and the
// struct of several parameters use these names.
func (f *function) nameParts(c *codecs) {
	used := scope{f.variable(): true}
	if len(f.params) != 1 || len(f.carry) > 0 {
		f.inName = c.fresh(strings.TrimSuffix(f.variable(), "Func") + "In")
		used[f.inName] = true
	}
	used.name(f.params, "p")
	used.name(f.carry, "v")
	f.ctxVar = used.fresh(ownName(f.ctx, f.sig.Params(), 0, "ctx"))
	if !namedResults(f.fn) {
		scope{}.name(f.outs, "r")
		f.outVar, f.errVar = used.fresh("out"), used.fresh("err")
		return
	}
	used.name(f.outs, "r")
	f.outVar, f.errVar = used.fresh("out"), used.fresh(ownName(f.fails, f.sig.Results(), f.sig.Results().Len()-1, "err"))
}

// ownName returns the name of variable i of t, or other if it has none.
func ownName(is bool, t *types.Tuple, i int, other string) string {
	if is && t.At(i).Name() != "" && t.At(i).Name() != "_" {
		return t.At(i).Name()
	}
	return other
}

// name names values: as they are called, or by a prefix and a number.
func (s scope) name(list []value, prefix string) {
	for i, v := range list {
		if name := v.Name(); name != "" && name != "_" && !s[name] {
			list[i].name, s[name] = name, true
		}
	}
	for i, v := range list {
		if v.name == "" {
			list[i].name = s.fresh(prefix + strconv.Itoa(i))
		}
	}
}

// tuple makes the type of values.
func (f *function) tuple(c *codecs, name string, list []value) tuple {
	if len(list) == 1 && name == "" {
		return tuple{typ: list[0].Type()}
	}
	if name == "" {
		name = c.fresh(strings.TrimSuffix(f.variable(), "Func") + "Out")
	}
	var vars []*types.Var
	for _, v := range list {
		vars = append(vars, types.NewField(v.Pos(), c.own, v.name, v.Type(), false))
	}
	obj := types.NewTypeName(f.pos, c.own, name, nil)
	return tuple{types.NewNamed(obj, types.NewStruct(vars, nil), nil), valueNames(list), true}
}

func valueNames(list []value) (all []string) {
	for _, v := range list {
		all = append(all, v.name)
	}
	return all
}

// plan plans the codec of a tuple: first of each value, for complaints at their places.
func (f *function) plan(c *codecs, t tuple, list []value) (k *codec) {
	for _, v := range list {
		path := f.label() + ": " + v.what
		if n := v.Name(); n != "" && n != "_" {
			path += " " + n
		}
		k = c.plan(v.Type(), place{pos: v.pos, path: path})
	}
	if !t.made || c.bad.err() != nil {
		return k
	}
	return c.plan(t.typ, place{pos: f.pos, path: f.label()})
}

// signature returns the elastic function's: with a context and an error in any case.
func (f *function) signature(c *codecs) (sig *types.Signature, params, results []string) {
	values := f.params
	if f.recv != nil {
		values = values[1:]
	}
	in := []*types.Var{types.NewParam(f.pos, nil, "", contextType(c.own))}
	params = append([]string{f.ctxVar}, valueNames(values)...)
	for _, v := range values {
		in = append(in, v.Var)
	}
	var out []*types.Var
	for _, v := range f.outs {
		out = append(out, v.Var)
	}
	out = append(out, types.NewParam(f.pos, nil, "", types.Universe.Lookup("error").Type()))
	if namedResults(f.fn) {
		results = append(valueNames(f.outs), f.errVar)
	}
	return types.NewSignatureType(nil, nil, nil, types.NewTuple(in...), types.NewTuple(out...), f.sig.Variadic()), params, results
}

// contextType returns a type that is spelled context.Context.
func contextType(own *types.Package) types.Type {
	p := types.NewPackage("context", "context")
	return types.NewNamed(types.NewTypeName(token.NoPos, p, "Context", nil), types.NewInterfaceType(nil, nil), nil)
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
