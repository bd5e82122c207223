package main

import (
	"go/ast"
	"go/token"
	"slices"
	"strconv"
	"strings"
)

// text returns the source text of f with all that the guest has not blanked
// out, or nil when nothing is left. What stays keeps its line and column, so
// that the compiler's messages and stack traces point into the user's file.
func (s *slice) text(f *file) []byte {
	if !s.keeps(f, false) {
		return nil
	}
	e := eraser{f: f, text: append([]byte(nil), f.text...)}
	kept := map[ast.Node]bool{}
	local := map[string]bool{}
	for _, d := range s.all {
		if d.file == f && s.kept[d] {
			if why := s.stubs[d]; why != "" {
				e.hollow(d.node.(*ast.FuncDecl), why)
			}
			kept[d.node] = true
			for _, id := range d.names {
				local[id.Name] = true
			}
		}
	}
	for i, need := range s.imports(f) {
		kept[i] = need
	}
	for _, d := range f.ast.Decls {
		e.decl(d, kept)
	}
	e.linknames(local)
	return e.inserted()
}

// An eraser overwrites parts of a file with blanks.
type eraser struct {
	f    *file
	text []byte
	put  []insertion // in the order of their places
}

// An insertion is text to put at an offset.
type insertion struct {
	at   int
	text string
}

// hollow makes the body of fn a panic. The lines behind it keep their numbers.
func (e *eraser) hollow(fn *ast.FuncDecl, why string) {
	at := e.offset(fn.Body.Lbrace) + 1
	for i := at; i < e.offset(fn.Body.Rbrace); i++ {
		if e.text[i] != '\n' && e.text[i] != '\r' {
			e.text[i] = ' '
		}
	}
	e.put = append(e.put, insertion{at, " panic(" + strconv.Quote(why) + ") "})
}

// inserted returns the text with what is put into it.
func (e *eraser) inserted() []byte {
	for _, p := range slices.Backward(e.put) {
		e.text = slices.Insert(e.text, p.at, []byte(p.text)...)
	}
	return e.text
}

func (e *eraser) decl(d ast.Decl, kept map[ast.Node]bool) {
	g, ok := d.(*ast.GenDecl)
	if fn, isFunc := d.(*ast.FuncDecl); isFunc && !kept[fn] {
		e.blank(fn.Doc, fn)
	}
	if !ok || kept[g] {
		return
	}
	some := false
	for _, spec := range g.Specs {
		some = some || kept[spec]
	}
	if !some {
		e.blank(g.Doc, g)
		return
	}
	for _, spec := range g.Specs {
		if !kept[spec] {
			e.blank(specDoc(spec), spec)
		}
	}
}

func specDoc(s ast.Spec) *ast.CommentGroup {
	switch s := s.(type) {
	case *ast.ImportSpec:
		return s.Doc
	case *ast.ValueSpec:
		return s.Doc
	case *ast.TypeSpec:
		return s.Doc
	}
	return nil
}

// blank overwrites n, its doc comment and the semicolon behind it.
func (e *eraser) blank(doc *ast.CommentGroup, n ast.Node) {
	from, to := e.offset(n.Pos()), e.offset(n.End())
	if doc != nil {
		from = e.offset(doc.Pos())
	}
	for i := to; i < len(e.text) && (e.text[i] == ' ' || e.text[i] == '\t' || e.text[i] == ';'); i++ {
		if e.text[i] == ';' {
			to = i + 1
			break
		}
	}
	for i := from; i < to; i++ {
		if e.text[i] != '\n' && e.text[i] != '\r' {
			e.text[i] = ' '
		}
	}
}

// linknames blanks the linkname directives of names that are gone.
func (e *eraser) linknames(local map[string]bool) {
	for _, g := range e.f.ast.Comments {
		for _, c := range g.List {
			rest, ok := strings.CutPrefix(c.Text, "//go:linkname ")
			name, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
			if ok && !local[name] {
				e.blank(nil, c)
			}
		}
	}
}

func (e *eraser) offset(p token.Pos) int { return int(p - e.f.ast.FileStart) }
