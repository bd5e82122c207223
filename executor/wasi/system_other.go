//go:build !unix

package wasi

import (
	"errors"
	"io/fs"
	"os"
)

const noBlock = 0

// identity returns nothing: there are no such numbers here.
func identity(fs.FileInfo) (dev, ino, links uint64) { return 0, 0, 1 }

// setAppend says that a file cannot be appended to: the flag is set when a file is opened here.
func setAppend(*os.File, bool) error { return errors.ErrUnsupported }

// parentOf returns nothing, as identity does.
func parentOf(*os.File) uint64 { return 0 }

// openLimit returns as many as Windows lets a process open.
func openLimit() int64 { return 16 << 20 }
