package main

import (
	"go/ast"
	"go/token"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

const markText = "offload:func"

// A mark is a function marked with //offload:func.
type mark struct {
	name       string
	deadline   time.Duration
	idempotent bool
	pos        token.Pos     // of the name, where the mark is
	decl       *ast.FuncDecl // the one that is built for Wasm
	file       *file         // where decl is
	doc        string
}

// elastic returns the name of the elastic function.
func (m *mark) elastic() string {
	r, n := utf8.DecodeRuneInString(m.name)
	return string(unicode.ToUpper(r)) + m.name[n:]
}

// findMarks returns the marked functions in the order of the sources, without
// those that it complains of.
func findMarks(s *source, bad *complaints) []*mark {
	var marks []*mark
	byName := map[string]*mark{}
	for _, f := range s.files {
		docs := map[*ast.CommentGroup]bool{}
		for _, d := range f.ast.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Doc == nil {
				continue
			}
			docs[fn.Doc] = true
			m := readMark(fn, bad)
			if m == nil {
				continue
			}
			if f.guest {
				m.decl, m.file = fn, f
			}
			if first := byName[m.name]; first != nil {
				first.join(m, bad)
				continue
			}
			byName[m.name] = m
			marks = append(marks, m)
		}
		strayMarks(f, docs, bad)
	}
	return slices.DeleteFunc(marks, func(m *mark) bool { return m.decl == nil && !m.findGuest(s, bad) })
}

// readMark returns the mark of fn, nil when it has none.
func readMark(fn *ast.FuncDecl, bad *complaints) *mark {
	var m *mark
	for _, c := range fn.Doc.List {
		rest, ok := strings.CutPrefix(c.Text, "//"+markText)
		switch {
		case ok && (rest == "" || rest[0] == ' ' || rest[0] == '\t'):
			if m != nil {
				bad.add(c.Pos(), "%s is marked twice; keep one mark", m.name)
			}
			m = &mark{name: fn.Name.Name, pos: fn.Name.Pos(), doc: fn.Doc.Text()}
			m.options(c, rest, bad)
		case ok, strings.HasPrefix(strings.TrimLeft(c.Text, "/ \t"), markText) && strings.HasPrefix(c.Text, "//"):
			bad.add(c.Pos(), "%q is not a mark; write //%s, without a space before it and with one behind it", c.Text, markText)
		}
	}
	if m == nil || !m.fits(fn, bad) {
		return nil
	}
	return m
}

// options reads what stands behind //offload:func.
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
		default:
			bad.add(c.Pos(), "%s: unknown option %q; there are deadline=DURATION and idempotent", m.name, opt)
		}
	}
}

// fits complains of what can be seen without types: the elastic version has the
// same name with an upper-case letter and is a plain function too.
func (m *mark) fits(fn *ast.FuncDecl, bad *complaints) bool {
	switch {
	case fn.Recv != nil:
		bad.add(m.pos, "%s: a method cannot be elastic; mark a function that takes the receiver as a parameter", m.name)
	case fn.Type.TypeParams != nil:
		bad.add(m.pos, "%s: a generic function cannot be elastic; mark a function of one type that calls it", m.name)
	case m.name == "main" || m.name == "init":
		bad.add(m.pos, "%s cannot be elastic; mark a function that it calls", m.name)
	case m.name == m.elastic() || m.name == "_":
		bad.add(m.pos, "%s: a marked function has a lower-case name, and its elastic version the same with an upper-case first letter; rename it", m.name)
	default:
		return true
	}
	return false
}

// join takes over what a second mark of the same function has: one is on the
// native version, one on the Wasm version.
func (m *mark) join(n *mark, bad *complaints) {
	if m.deadline != n.deadline || m.idempotent != n.idempotent {
		bad.add(n.pos, "%s: the marks of its two versions differ; make them the same, or mark one", n.name)
	}
	if m.decl == nil {
		m.decl, m.file = n.decl, n.file
	}
}

// findGuest looks for the Wasm version of a function whose mark is on the
// native one, and says whether there is one.
func (m *mark) findGuest(s *source, bad *complaints) bool {
	for _, f := range s.files {
		for _, d := range f.ast.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if ok && f.guest && fn.Recv == nil && fn.Name.Name == m.name {
				m.decl, m.file = fn, f
				return true
			}
		}
	}
	bad.add(m.pos, "%s: the file is not built for Wasm (its build constraint, its name or import \"C\"); move the function to one that is, or give a version of it in a file *_wasip1.go", m.name)
	return false
}

// strayMarks complains of marks that mark nothing.
func strayMarks(f *file, docs map[*ast.CommentGroup]bool, bad *complaints) {
	for _, g := range f.ast.Comments {
		if docs[g] {
			continue
		}
		for _, c := range g.List {
			if strings.HasPrefix(c.Text, "//"+markText) {
				bad.add(c.Pos(), "this mark is not in the doc comment of a function; put it directly above one")
			}
		}
	}
}
