package main

import (
	"go/ast"
	"go/token"
	"strings"
)

// Lines in which the developer answers for what offloadgen cannot know.
const (
	// nativeMark keeps an init function, a variable or an import out of the guest.
	nativeMark = "offload:native"
	// constantMark says that a variable does not change once main has begun.
	constantMark = "offload:constant"
)

// A directives knows the lines of nativeMark and constantMark that stand where they mean
// something.
type directives struct {
	used   map[*ast.Comment]bool
	native map[ast.Node]bool
	fixed  map[ast.Node]bool // constantMark
}

// findDirectives reads them in all files. What stands at a wrong place, or gives no reason,
// is a complaint.
func findDirectives(s *source, bad *complaints) *directives {
	d := &directives{map[*ast.Comment]bool{}, map[ast.Node]bool{}, map[ast.Node]bool{}}
	for _, f := range s.files {
		for _, decl := range f.ast.Decls {
			d.decl(decl, bad)
		}
		for _, g := range f.ast.Comments {
			for _, c := range g.List {
				if word := directiveOf(c); word != "" && !d.used[c] {
					bad.add(c.Pos(), "//%s stands where it says nothing; %s", word, directivePlaces[word])
				}
			}
		}
	}
	return d
}

var directivePlaces = map[string]string{
	nativeMark:   "put it directly above an init function, a variable or an import that is to stay out of the guest",
	constantMark: "put it directly above a variable that does not change once main has begun",
}

func directiveOf(c *ast.Comment) string {
	word, _, _ := strings.Cut(strings.TrimPrefix(c.Text, "//"), " ")
	if word == nativeMark || word == constantMark {
		return word
	}
	return ""
}

func (d *directives) decl(decl ast.Decl, bad *complaints) {
	switch n := decl.(type) {
	case *ast.FuncDecl:
		if n.Recv == nil && n.Name.Name == "init" {
			d.read(n, false, bad, n.Doc)
		}
	case *ast.GenDecl:
		if n.Tok != token.VAR && n.Tok != token.IMPORT {
			return
		}
		for _, spec := range n.Specs {
			switch s := spec.(type) {
			case *ast.ValueSpec:
				d.read(s, true, bad, n.Doc, s.Doc, s.Comment)
			case *ast.ImportSpec:
				d.read(s, false, bad, n.Doc, s.Doc, s.Comment)
			}
		}
	}
}

// read takes the directives in the comments of n.
func (d *directives) read(n ast.Node, variable bool, bad *complaints, comments ...*ast.CommentGroup) {
	for _, g := range comments {
		if g == nil {
			continue
		}
		for _, c := range g.List {
			switch word := directiveOf(c); {
			case word == nativeMark:
				if strings.TrimSpace(strings.TrimPrefix(c.Text, "//"+nativeMark)) == "" && !d.used[c] {
					bad.add(c.Pos(), "say why what the marks read does not need it: //%s REASON", nativeMark)
				}
				d.used[c], d.native[n] = true, true
			case word == constantMark && variable:
				d.used[c], d.fixed[n] = true, true
			}
		}
	}
}
