package main

import (
	"cmp"
	"fmt"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
)

// A complaint says what is wrong where, and the way out.
type complaint struct {
	pos  token.Position
	text string
}

// complaints are collected, so that one run shows all of them. If they are not empty,
// they are an error.
type complaints struct {
	fset *token.FileSet
	dir  string // positions are shown relative to it
	list []complaint
}

func (c *complaints) add(pos token.Pos, format string, args ...any) {
	c.list = append(c.list, complaint{c.fset.Position(pos), fmt.Sprintf(format, args...)})
}

// err returns the complaints as one error, nil if they are empty.
func (c *complaints) err() error {
	if len(c.list) == 0 {
		return nil
	}
	return c
}

// Error returns a line a complaint, in the order of the sources.
func (c *complaints) Error() string {
	slices.SortStableFunc(c.list, func(a, b complaint) int {
		return cmp.Or(cmp.Compare(a.pos.Filename, b.pos.Filename), cmp.Compare(a.pos.Offset, b.pos.Offset))
	})
	var lines []string
	for _, e := range c.list {
		lines = append(lines, c.show(e.pos)+": "+e.text)
	}
	return strings.Join(slices.Compact(lines), "\n")
}

// show returns p as complaints have it: file:line:col.
func (c *complaints) show(p token.Position) string { return showIn(c.dir, p) }

func showIn(dir string, p token.Position) string {
	if rel, err := filepath.Rel(dir, p.Filename); err == nil {
		p.Filename = rel
	}
	return p.String()
}
