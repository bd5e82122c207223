//go:build !linux

package wasi

import (
	"io/fs"
	"time"
)

// timesOf returns when a file was last written, for all three.
func timesOf(info fs.FileInfo) (accessed, modified, changed time.Time) {
	return info.ModTime(), info.ModTime(), info.ModTime()
}

// setLinkTimes refuses: Go's way to set times follows links.
func (p place) setLinkTimes(_, _ time.Time) error { return eNotSup }
