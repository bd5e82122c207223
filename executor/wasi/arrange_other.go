//go:build !unix

package wasi

import (
	"context"
	"path/filepath"
)

// symlink makes a link at p, one without "..": it can be anywhere and leads to what is below.
func (p place) symlink(target string) error {
	if !stays(target, 0) {
		return eNotCapable
	}
	return p.root.Symlink(filepath.FromSlash(target), p.name)
}

// rename moves what is at p to another place of the same open folder.
func (p place) rename(_ context.Context, to place) error {
	if p.root != to.root {
		return eCross
	}
	return p.root.Rename(p.name, to.name)
}

// link gives the file at p another name, of the same open folder.
func (p place) link(to place) error {
	if p.root != to.root {
		return eCross
	}
	return p.root.Link(p.name, to.name)
}
