package main

import (
	"fmt"
	"go/ast"
	"go/format"
	"go/token"
	"go/types"
	"strings"
)

// An emitter writes bungee_offload.go.
type emitter struct {
	*codecs
	pkgName string
	path    string // import path
	funcs   []*function
}

// offloadGo returns the text of bungee_offload.go.
func (e *emitter) offloadGo() ([]byte, error) {
	var body strings.Builder
	offload := e.std(offloadPath)
	fmt.Fprintf(&body, `
// If this does not compile, this file was made for another version of the
// module github.com/bungee-xr/bungee. Run "go generate" again.
const _ = %s.GeneratedV1

// If this does not compile, the marked functions or their types have changed.
// Run "go generate" again. The native and the Wasm version have these signatures.
var (
`, offload)
	for _, f := range e.funcs {
		fmt.Fprintf(&body, "_ func%s = %s\n", e.signature(f.sig, nil, nil), f.name)
	}
	body.WriteString(")\n")
	if len(e.guards) > 0 {
		fmt.Fprintf(&body, "\nvar (\n%s\n)\n", strings.Join(e.guards, "\n"))
	}
	for i, f := range e.funcs {
		e.function(&body, f, i)
	}
	body.WriteString(e.text.String())
	return format.Source([]byte(header + "\n\npackage " + e.pkgName + "\n\n" + e.declaration() + body.String()))
}

// signature returns s as source, with or without names.
func (e *emitter) signature(s *types.Signature, params, results []string) string {
	list := func(t *types.Tuple, names []string) string {
		var parts []string
		for i := range t.Len() {
			part := types.TypeString(t.At(i).Type(), e.qualifier(e.own))
			if names != nil {
				part = names[i] + " " + part
			}
			parts = append(parts, part)
		}
		return strings.Join(parts, ", ")
	}
	out := list(s.Results(), results)
	if s.Results().Len() > 1 || results != nil {
		out = "(" + out + ")"
	}
	return "(" + list(s.Params(), params) + ") " + out
}

func (e *emitter) function(b *strings.Builder, f *function, index int) {
	var results []string
	if namedResults(f.decl) {
		results = f.results
	}
	fmt.Fprintf(b, "\n%sfunc %s%s {\n%s}\n", f.comment(), f.elastic(), e.signature(f.sig, f.params, results), e.body(f))
	for _, t := range []tuple{f.in, f.out} {
		if t.made {
			fmt.Fprintf(b, "\n// %s is what crosses for a call of %s.\ntype %[1]s struct {\n", e.typeText(t.typ), f.name)
			for v := range t.typ.Underlying().(*types.Struct).Fields() {
				fmt.Fprintf(b, "%s %s\n", v.Name(), e.typeText(v.Type()))
			}
			b.WriteString("}\n")
		}
	}
	e.variable(b, f, index)
}

func (e *emitter) variable(b *strings.Builder, f *function, index int) {
	offload := e.std(offloadPath)
	fmt.Fprintf(b, "\nvar %s = %s.Func[%s, %s]{\n", f.variable, offload, e.typeText(f.in.typ), e.typeText(f.out.typ))
	fmt.Fprintf(b, "Desc: %s.Desc{\nName: %q,\nIndex: %d,\nModule: bungeeModule,\n", offload, e.path+"."+f.name, index)
	if f.deadline != 0 {
		fmt.Fprintf(b, "Deadline: %s,\n", duration(f.deadline, e.std("time")))
	}
	if f.idempotent {
		b.WriteString("Idempotent: true,\n")
	}
	fmt.Fprintf(b, "},\nNative: %s,\n", e.native(f))
	fmt.Fprintf(b, "AppendIn: %s,\nReadIn: %s,\n", e.appender(f.in, f.inCodec), e.reader(f.in, f.inCodec))
	fmt.Fprintf(b, "AppendOut: %s,\nReadOut: %s,\n}\n", e.appender(f.out, f.outCodec), e.reader(f.out, f.outCodec))
}

func (e *emitter) typeText(t types.Type) string { return types.TypeString(t, e.qualifier(e.own)) }

// body returns the body of the elastic function.
func (e *emitter) body(f *function) string {
	in := f.params[len(f.params)-1]
	if f.in.made {
		in = e.typeText(f.in.typ) + "{" + strings.Join(f.in.fields, ", ") + "}"
	}
	call := fmt.Sprintf("%s.Call(%s, %s)", f.variable, f.params[0], in)
	if !f.out.made {
		return "return " + call + "\n"
	}
	out, err, assign := unlike("out", f), unlike("err", f), ":="
	if namedResults(f.decl) {
		err, assign = f.results[len(f.results)-1], "="
	}
	if len(f.out.fields) == 0 {
		return fmt.Sprintf("_, %s %s %s\nreturn %[1]s\n", err, assign, call)
	}
	return fmt.Sprintf("%s, %s := %s\nreturn %s, %[2]s\n", out, err, call, prefixed(out+".", f.out.fields))
}

// native returns the Native function of a Func: the marked function, or a
// literal around it where several values are one.
func (e *emitter) native(f *function) string {
	if !f.in.made && !f.out.made {
		return f.name
	}
	args, assign := "ctx, in", "out, err = "
	if f.in.made {
		args = strings.TrimSuffix("ctx, "+prefixed("in.", f.in.fields), ", ")
	}
	if f.out.made {
		assign = strings.TrimPrefix(prefixed("out.", f.out.fields)+", err = ", ", ")
	}
	return fmt.Sprintf("func(ctx %s.Context, in %s) (out %s, err error) {\n%s%s(%s)\nreturn out, err\n}",
		e.std("context"), e.typeText(f.in.typ), e.typeText(f.out.typ), assign, f.name, args)
}

func (e *emitter) appender(t tuple, k *codec) string {
	if k.appendFunc != "" {
		return k.appendFunc
	}
	return fmt.Sprintf("func(b []byte, v %s) []byte { return %s }", e.typeText(t.typ), strings.TrimPrefix(k.write("v"), "b = "))
}

func (e *emitter) reader(t tuple, k *codec) string {
	if k.readFunc != "" {
		return k.readFunc
	}
	return fmt.Sprintf("func(r *%s.Reader) %s { return %s }", e.std(packPath), e.typeText(t.typ), k.read)
}

// prefixed joins the names, each behind prefix.
func prefixed(prefix string, names []string) string {
	var parts []string
	for _, n := range names {
		parts = append(parts, prefix+n)
	}
	return strings.Join(parts, ", ")
}

// unlike returns name, changed until no parameter or result of f is called so.
func unlike(name string, f *function) string {
	used := map[string]bool{}
	for _, n := range append(append([]string(nil), f.params...), f.results...) {
		used[n] = true
	}
	for used[name] {
		name += "_"
	}
	return name
}

func namedResults(d *ast.FuncDecl) bool { return len(d.Type.Results.List[0].Names) > 0 }

// fieldType returns where the type of the value at index stands in list.
func fieldType(list *ast.FieldList, index int) token.Pos {
	for _, f := range list.List {
		if index -= max(len(f.Names), 1); index < 0 {
			return f.Type.Pos()
		}
	}
	return list.Pos()
}
