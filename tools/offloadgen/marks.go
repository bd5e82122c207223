package main

import (
	"cmp"
	"go/ast"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// The marks.
const (
	funcMark     = "offload:func"
	endpointMark = "offload:endpoint"
)

// A mark is a function marked with //offload:func, or a type marked with
// //offload:endpoint.
type mark struct {
	kind       string // funcMark or endpointMark
	name       string
	deadline   time.Duration
	idempotent bool
	redundancy int       // 0: not given
	ulp        int       // units in the last place by which floating-point results may differ natively
	unchanged  []string  // parameters that it writes through without its caller seeing it
	inout      []string  // parameters that it writes through, and whose values are carried back
	carry      []string  // variables of the package whose values cross with each call
	elastic    string    // what name= says, "" for the name with an upper-case letter
	instance   string    // of a generic function: what for= says
	args       typeArgs  // what that means
	recv       string    // of a method: the name of its receiver's type
	pos        token.Pos // of the name, where the mark is
	decl       ast.Node  // the *ast.FuncDecl or *ast.TypeSpec that is built for Wasm
	file       *file     // where decl is
	doc        string
}

// made returns the name of what offloadgen makes for the users of the package:
// the elastic function, or the function that opens a channel.
func (m *mark) made() string {
	if m.kind == endpointMark {
		return cmp.Or(m.elastic, "Open"+upper(m.name))
	}
	return cmp.Or(m.elastic, upper(m.name))
}

// variable returns the name of the codegen.Func or codegen.Endpoint.
func (m *mark) variable() string {
	if m.kind == endpointMark {
		return lower(m.name) + "Endpoint"
	}
	if m.recv != "" {
		return lower(m.recv) + upper(m.name) + "Func"
	}
	if m.instance != "" {
		return lower(m.made()) + "Func"
	}
	return m.name + "Func"
}

// findMarks returns what is marked in the order of the sources, without what it
// complains of.
func findMarks(s *source, bad *complaints) []*mark {
	var marks []*mark
	byName := map[string]*mark{}
	for _, f := range s.files {
		docs := map[*ast.CommentGroup]bool{}
		for _, d := range declarations(f) {
			if d.doc == nil {
				continue
			}
			docs[d.doc] = true
			for _, m := range readMarks(d, bad) {
				if f.guest {
					m.decl, m.file = d.node, f
				}
				if first := byName[m.label()]; first != nil {
					first.join(m, bad)
					continue
				}
				byName[m.label()] = m
				marks = append(marks, m)
			}
		}
		strayMarks(f, docs, bad)
	}
	return slices.DeleteFunc(marks, func(m *mark) bool { return m.decl == nil && !m.findGuest(s, bad) })
}

// readMarks returns the marks of d: one, or one for each instance of a generic function.
func readMarks(d *decl, bad *complaints) (marks []*mark) {
	for _, c := range d.doc.List {
		kind, options, ok := parseMark(c, bad)
		if !ok {
			continue
		}
		m := &mark{kind: kind, name: d.names[0].Name, recv: d.recv, pos: d.names[0].Pos(), doc: d.doc.Text()}
		m.options(c, options, bad)
		for _, other := range marks {
			switch {
			case other.kind != kind:
				bad.add(c.Pos(), "%s has both marks; keep //%s on a function, //%s on a type", m.name, funcMark, endpointMark)
				return nil
			case other.instance == m.instance:
				bad.add(c.Pos(), "%s is marked twice; keep one mark", m.label())
				return marks
			}
		}
		if !m.fits(d, bad) {
			return nil
		}
		marks = append(marks, m)
	}
	return marks
}

// parseMark returns the kind of a mark and what stands behind it. A comment that
// looks like a mark and is none is a complaint.
func parseMark(c *ast.Comment, bad *complaints) (kind, options string, ok bool) {
	text, ok := strings.CutPrefix(c.Text, "//")
	if !ok {
		return "", "", false
	}
	bare := strings.TrimLeft(text, "/ \t")
	word, options := text, ""
	if i := strings.IndexAny(text, " \t"); i >= 0 {
		word, options = text[:i], text[i:]
	}
	switch {
	case word == funcMark, word == endpointMark:
		return word, options, true
	case strings.HasPrefix(text, moduleMark), directiveOf(c) != "": // findAsk and findDirectives read them
	case strings.HasPrefix(text, "offload:"), strings.HasPrefix(bare, funcMark), strings.HasPrefix(bare, endpointMark):
		bad.add(c.Pos(), "%q is not a mark; write //%s or //%s, without a space before it and with one behind it", c.Text, funcMark, endpointMark)
	}
	return "", "", false
}

// maxRedundancy bounds on how many hosts a call may run: three outvote a fault, and
// more than a handful is a mistake.
const maxRedundancy = 9

// options reads what stands behind a mark.
func (m *mark) options(c *ast.Comment, text string, bad *complaints) {
	for opt := range strings.FieldsSeq(text) {
		key, value, _ := strings.Cut(opt, "=")
		switch {
		case opt == "idempotent":
			m.idempotent = true
		case key == "deadline":
			d, err := time.ParseDuration(value)
			if err != nil || d <= 0 {
				bad.add(c.Pos(), "%s: deadline %q is not a positive duration; write one such as deadline=100ms", m.name, value)
			}
			m.deadline = d
		case key == "redundancy" && m.kind == funcMark:
			n, err := strconv.Atoi(value)
			if err != nil || n < 2 || n > maxRedundancy {
				bad.add(c.Pos(), "%s: redundancy %q is no number of hosts; write 2 to find a fault, or 3 to outvote it; at most %d", m.name, value, maxRedundancy)
			}
			m.redundancy = n
		case key == "ulp" && m.kind == funcMark:
			n, err := strconv.Atoi(value)
			if err != nil || n < 1 {
				bad.add(c.Pos(), "%s: ulp %q is no number of units in the last place; write 1 or a few", m.name, value)
			}
			m.ulp = n
		case key == "unchanged" && m.kind == funcMark && value != "":
			m.unchanged = append(m.unchanged, strings.Split(value, ",")...)
		case key == "inout" && m.kind == funcMark && value != "":
			m.inout = append(m.inout, strings.Split(value, ",")...)
		case key == "carry" && m.kind == funcMark && value != "":
			m.carry = append(m.carry, strings.Split(value, ",")...)
		case key == "for" && m.kind == funcMark && value != "":
			m.instance, m.args.exprs = value, parseTypes(value)
			if m.args.exprs == nil {
				bad.add(c.Pos(), "%s: for %q is no list of types; write one such as for=int, or for=string,int for two type parameters", m.name, value)
			}
		case key == "name":
			if !token.IsIdentifier(value) || !token.IsExported(value) {
				bad.add(c.Pos(), "%s: name %q is no exported name; write one such as name=%s", m.name, value, upper(m.name))
			}
			m.elastic = value
		default:
			bad.add(c.Pos(), "%s: unknown option %q; there are deadline=DURATION, idempotent and name=NAME, and for functions redundancy=N, ulp=N, for=TYPE, inout=PARAMETER, unchanged=PARAMETER and carry=VARIABLE", m.name, opt)
		}
	}
}

// fits complains of what can be seen without types.
func (m *mark) fits(d *decl, bad *complaints) bool {
	before := len(bad.list)
	switch n := d.node.(type) {
	case *ast.FuncDecl:
		m.fitsFunction(n, bad)
	case *ast.TypeSpec:
		m.fitsType(n, bad)
	}
	return len(bad.list) == before
}

// fitsFunction holds that the elastic version can have the same name with an
// upper-case letter, and be a plain function too.
func (m *mark) fitsFunction(fn *ast.FuncDecl, bad *complaints) {
	switch {
	case m.kind == endpointMark && fn.Recv != nil:
		bad.add(m.pos, "%s: //%s marks a type, not its method; write it above type %s", m.name, endpointMark, receiver(fn))
	case m.kind == endpointMark:
		bad.add(m.pos, "%s: //%s marks a type that has a method Handle; a function is marked with //%s", m.name, endpointMark, funcMark)
	case m.recv == "" && fn.Recv != nil, fn.Recv != nil && isGeneric(fn.Recv.List[0].Type):
		bad.add(m.pos, "%s: a method of a generic type cannot be elastic; mark a function of one type that calls it", m.name)
	case fn.Type.TypeParams != nil && m.instance == "":
		bad.add(m.pos, "%s: a generic function is elastic for types that its marks name, one mark for each; write //%s for=int name=%sInt", m.name, funcMark, upper(m.name))
	case fn.Type.TypeParams == nil && m.instance != "":
		bad.add(m.pos, "%s: for=%s is for generic functions, and this one is none; leave it out", m.name, m.instance)
	case fn.Type.TypeParams != nil && m.args.exprs != nil && fn.Type.TypeParams.NumFields() != len(m.args.exprs):
		bad.add(m.pos, "%s: for=%s names %d types, and it has %d type parameters; name one for each", m.name, m.instance, len(m.args.exprs), fn.Type.TypeParams.NumFields())
	case m.name == "main" || m.name == "init":
		bad.add(m.pos, "%s cannot be elastic; mark a function that it calls", m.name)
	case m.name == m.made() || m.name == "_":
		bad.add(m.pos, "%s: its elastic version would have the same name; give that one another by name=, such as //%s name=%sElastic", m.name, funcMark, upper(m.name))
	}
}

func (m *mark) fitsType(t *ast.TypeSpec, bad *complaints) {
	switch {
	case m.kind == funcMark:
		bad.add(m.pos, "%s: //%s marks a function; a type that has a method Handle is marked with //%s", m.name, funcMark, endpointMark)
	case m.name == "_":
		bad.add(m.pos, "a type without a name cannot be an endpoint; name it")
	case t.Assign.IsValid():
		bad.add(m.pos, "%s: an alias cannot be an endpoint; mark the type that it stands for", m.name)
	case t.TypeParams != nil:
		bad.add(m.pos, "%s: a generic type cannot be an endpoint; mark a struct that has a %[1]s of one type, and a method Handle that calls it", m.name)
	}
}

// join takes over what a second mark of the same name has: one is on the native
// version, one on the Wasm version.
func (m *mark) join(n *mark, bad *complaints) {
	m.unchanged = append(m.unchanged, n.unchanged...)
	if m.kind != n.kind || m.deadline != n.deadline || m.idempotent != n.idempotent || m.redundancy != n.redundancy || m.elastic != n.elastic || !slices.Equal(m.inout, n.inout) || !slices.Equal(m.carry, n.carry) {
		bad.add(n.pos, "%s: the marks of its two versions differ; make them the same, or mark one", n.name)
	}
	if m.decl == nil {
		m.decl, m.file = n.decl, n.file
	}
}

// findGuest looks for the Wasm version of what is marked in a file that is not
// built for Wasm, and says whether it has found one.
func (m *mark) findGuest(s *source, bad *complaints) bool {
	for _, f := range s.files {
		for _, d := range declarations(f) {
			if f.guest && m.isOf(d) {
				m.decl, m.file = d.node, f
				return m.fits(d, bad)
			}
		}
	}
	bad.add(m.pos, "%s: the file is not built for Wasm (its build constraint, its name or import \"C\"); move the declaration to one that is, or give a version of it in a file *_wasip1.go", m.name)
	return false
}

// isOf says whether d declares what m marks, in this or another version.
func (m *mark) isOf(d *decl) bool {
	switch d.node.(type) {
	case *ast.FuncDecl:
		return m.kind == funcMark && d.recv == m.recv && d.names[0].Name == m.name
	case *ast.TypeSpec:
		return m.kind == endpointMark && d.names[0].Name == m.name
	}
	return false
}

// strayMarks complains of marks that mark nothing.
func strayMarks(f *file, docs map[*ast.CommentGroup]bool, bad *complaints) {
	for _, g := range f.ast.Comments {
		if docs[g] {
			continue
		}
		for _, c := range g.List {
			if strings.HasPrefix(c.Text, "//"+funcMark) || strings.HasPrefix(c.Text, "//"+endpointMark) {
				bad.add(c.Pos(), "this mark is not in the doc comment of a function or of one type; put it directly above one")
			}
		}
	}
}

func upper(s string) string { return withFirst(s, unicode.ToUpper) }

func lower(s string) string { return withFirst(s, unicode.ToLower) }

// withFirst returns s with its first letter changed.
func withFirst(s string, change func(rune) rune) string {
	r, n := utf8.DecodeRuneInString(s)
	return string(change(r)) + s[n:]
}
