package main

import (
	"fmt"
	"go/ast"
	"go/format"
	"go/token"
	"go/types"
	"maps"
	"slices"
	"strings"
)

// An emitter writes bungee_offload.go.
type emitter struct {
	*codecs
	pkgName string
	path    string // import path
	funcs   []*function
	ends    []*endpoint
	errs    errorPlan
	kept    []string // variables that others can assign, and the module reads
}

// offloadGo returns the text of bungee_offload.go.
func (e *emitter) offloadGo() ([]byte, error) {
	var body strings.Builder
	fmt.Fprintf(&body, `
// If this does not compile, this file was made for another version of the
// module github.com/bungee-xr/bungee. Run "go generate" again.
const _ = %s.GeneratedV3

// If this does not compile, what is marked or a type that crosses has changed.
// Run "go generate" again. The native and the Wasm version have these signatures.
var (
`, e.std(codegenPath))
	for _, f := range e.funcs {
		fmt.Fprintf(&body, "_ func%s = %s\n", e.wholeSignature(f), e.callee(f))
	}
	for _, n := range e.ends {
		fmt.Fprintf(&body, "_ func(*%s, %s = (*%[1]s).Handle\n", n.name, strings.TrimPrefix(e.signature(n.sig, nil, nil), "("))
	}
	body.WriteString(")\n")
	if len(e.guards) > 0 {
		fmt.Fprintf(&body, "\nvar (\n%s\n)\n", strings.Join(e.guards, "\n"))
	}
	for i, f := range e.funcs {
		e.function(&body, f, i)
	}
	for i, n := range e.ends {
		e.endpoint(&body, n, len(e.funcs)+3*i)
	}
	e.errs.write(&body, e)
	body.WriteString(e.text.String() + e.extra.String())
	imports := "import (\n" + e.specs(slices.Collect(maps.Keys(e.imports))) + ")\n"
	var reads strings.Builder
	for _, v := range e.kept {
		reads.WriteString("\n" + readsMark + v)
	}
	if e.kept != nil {
		reads.WriteString("\n")
	}
	return format.Source([]byte(header + "\n\npackage " + e.pkgName + "\n" + reads.String() + "\n" + imports + body.String()))
}

// callee returns the marked function as a value: a method is one of its receiver, too.
func (e *emitter) callee(f *function) string {
	if f.recv == nil {
		return f.name + e.brackets(f.args.list)
	}
	return "(" + e.spell(f.recv.Type()) + ")." + f.name
}

// wholeSignature returns the type of callee without the word func.
func (e *emitter) wholeSignature(f *function) string {
	text := e.signature(f.sig, nil, nil)
	if f.recv == nil {
		return text
	}
	return "(" + e.spell(f.recv.Type()) + ", " + strings.TrimPrefix(text, "(")
}

func (e *emitter) function(b *strings.Builder, f *function, index int) {
	sig, params, results := f.signature(e.codecs)
	receiver := ""
	if f.recv != nil {
		receiver = fmt.Sprintf("(%s %s) ", f.params[0].name, e.spell(f.recv.Type()))
	}
	fmt.Fprintf(b, "\n%sfunc %s%s%s {\n%s}\n", f.comment(), receiver, f.made(), e.signature(sig, params, results), e.body(f))
	for _, t := range []tuple{f.in, f.out} {
		if t.made {
			fmt.Fprintf(b, "\n// %s is what crosses for a call of %s.\ntype %[1]s struct {\n", e.spell(t.typ), f.name)
			for v := range t.typ.Underlying().(*types.Struct).Fields() {
				fmt.Fprintf(b, "%s %s\n", v.Name(), e.spell(v.Type()))
			}
			b.WriteString("}\n")
		}
	}
	e.variable(b, f, index)
}

func (e *emitter) variable(b *strings.Builder, f *function, index int) {
	fmt.Fprintf(b, "\nvar %s = %s.Func[%s, %s]{\n", f.variable(), e.std(codegenPath), e.spell(f.in.typ), e.spell(f.out.typ))
	e.desc(b, f.mark, index)
	fmt.Fprintf(b, "Native: %s,\n", e.native(f))
	e.codecPair(b, "In", f.in.typ, f.inCodec)
	e.codecPair(b, "Out", f.out.typ, f.outCodec)
	e.checks(b, f)
	e.carry(b, f)
	b.WriteString("}\n")
}

func (e *emitter) desc(b *strings.Builder, m *mark, index int) {
	fmt.Fprintf(b, "Desc: %s.Desc{\nName: %q,\nIndex: %d,\nModule: bungeeModule,\n", e.std(offloadPath), e.path+"."+m.label(), index)
	if m.deadline != 0 {
		fmt.Fprintf(b, "Deadline: %s,\n", duration(m.deadline, e.std("time")))
	}
	if m.idempotent {
		b.WriteString("Idempotent: true,\n")
	}
	if m.redundancy != 0 {
		fmt.Fprintf(b, "Redundancy: %d,\n", m.redundancy)
	}
	b.WriteString("},\n")
}

func (e *emitter) endpoint(b *strings.Builder, n *endpoint, index int) {
	codegen, pack, context := e.std(codegenPath), e.std(packPath), e.std("context")
	in, out := e.spell(n.in), e.spell(n.out)
	handle := "return v.Handle(ctx, in, emit)"
	if n.plain {
		handle = "out, err := v.Handle(ctx, in)\nif err != nil {\nreturn err\n}\nreturn emit(out)"
	}
	fmt.Fprintf(b, "\nvar %s = %s.Endpoint[%s, %s]{\n", n.variable(), codegen, in, out)
	e.desc(b, n.mark, index)
	fmt.Fprintf(b, `New: func() *%[1]s.Live[%[2]s, %[3]s] {
	v := new(%[4]s)
	return &%[1]s.Live[%[2]s, %[3]s]{
		Handle: func(ctx %[5]s.Context, in %[2]s, emit func(%[3]s) error) error {
			%[6]s
		},
		AppendState: func(b []byte) []byte { return %[7]s(b, v) },
		ReadState: func(r *%[8]s.Reader) { %[9]s(r, v) },
	}
},
`, codegen, in, out, e.spell(n.typ), context, handle, n.appendState, pack, n.readState)
	e.codecPair(b, "In", n.in, n.inCodec)
	e.codecPair(b, "Out", n.out, n.outCodec)
	b.WriteString("}\n")
}

// body returns the body of the elastic function.
func (e *emitter) body(f *function) string {
	var in string
	if f.in.made {
		in = e.spell(f.in.typ) + "{" + strings.Join(append(valueNames(f.params), f.variables()...), ", ") + "}"
	} else {
		in = f.params[0].name
	}
	call := fmt.Sprintf("%s.Call(%s, %s)", f.variable(), f.ctxVar, in)
	if !f.out.made {
		return "return " + call + "\n"
	}
	if len(f.out.fields) == 0 {
		assign := ":="
		if namedResults(f.fn) {
			assign = "="
		}
		return fmt.Sprintf("_, %s %s %s\nreturn %[1]s\n", f.errVar, assign, call)
	}
	return fmt.Sprintf("%s, %s := %s\nreturn %s, %[2]s\n", f.outVar, f.errVar, call, prefixed(f.outVar+".", f.out.fields))
}

// native returns the Native function of a Func: the marked function, or a
// literal around it where it has another form.
func (e *emitter) native(f *function) string {
	if !f.in.made && !f.out.made && f.ctx && f.fails && f.recv == nil && !f.sig.Variadic() {
		return e.callee(f)
	}
	used := scope{f.name: true}
	ctx, in, out, err := used.fresh("ctx"), used.fresh("in"), used.fresh("out"), used.fresh("err")
	args := []string{in}
	if f.in.made {
		args = nil
		for _, name := range valueNames(f.params) {
			args = append(args, in+"."+name)
		}
	}
	callee := f.name + e.brackets(f.args.list)
	if f.recv != nil {
		callee, args = args[0]+"."+f.name, args[1:]
	}
	if f.sig.Variadic() {
		args[len(args)-1] += "..."
	}
	if f.ctx {
		args = append([]string{ctx}, args...)
	}
	got := []string{out}
	if f.out.made {
		got = strings.Split(prefixed(out+".", f.out.fields), ", ")
	}
	if len(f.outs) == 0 {
		got = nil
	}
	if f.fails {
		got = append(got, err)
	}
	assign := ""
	if len(got) > 0 {
		assign = strings.Join(got, ", ") + " = "
	}
	return fmt.Sprintf("func(%s %s.Context, %s %s) (%s %s, %s error) {\n%s%s(%s)\nreturn %[5]s, %[7]s\n}",
		ctx, e.std("context"), in, e.spell(f.in.typ), out, e.spell(f.out.typ), err, assign, callee, strings.Join(args, ", "))
}

// codecPair writes the codec of t, In or Out, as two functions.
func (e *emitter) codecPair(b *strings.Builder, name string, t types.Type, k *codec) {
	write, read := e.pair(t, k)
	fmt.Fprintf(b, "Append%s: %s,\nRead%[1]s: %[3]s,\n", name, write, read)
}

// pair returns the codec of t as two functions.
func (e *emitter) pair(t types.Type, k *codec) (write, read string) {
	write, read = k.appendFunc, k.readFunc
	if write == "" {
		write = fmt.Sprintf("func(b []byte, v %s) []byte { return %s }", e.spell(t), strings.TrimPrefix(strings.ReplaceAll(k.write("v"), deeper, "0"), "b = "))
		read = fmt.Sprintf("func(r *%s.Reader) %s { return %s }", e.std(packPath), e.spell(t), k.read)
	}
	return write, read
}

// prefixed joins the names, each behind prefix.
func prefixed(prefix string, names []string) string {
	var parts []string
	for _, n := range names {
		parts = append(parts, prefix+n)
	}
	return strings.Join(parts, ", ")
}

func namedResults(d *ast.FuncDecl) bool {
	return d.Type.Results.NumFields() > 0 && len(d.Type.Results.List[0].Names) > 0
}

// fieldType returns where the type of the value at index stands in list.
func fieldType(list *ast.FieldList, index int) token.Pos {
	for _, f := range list.List {
		if index -= max(len(f.Names), 1); index < 0 {
			return f.Type.Pos()
		}
	}
	return list.Pos()
}
