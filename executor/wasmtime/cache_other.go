//go:build cgo && !linux

package wasmtime

import (
	"io/fs"
	"time"
)

// changed returns nothing: what was edited is known by its time of modification alone.
func changed(fs.FileInfo) time.Time { return time.Time{} }
