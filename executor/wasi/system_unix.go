//go:build unix

package wasi

import (
	"io/fs"
	"syscall"
)

// noBlock opens a pipe at once, so that it can be looked at and refused.
const noBlock = syscall.O_NONBLOCK

// identity returns the numbers that tell whether two files are the same.
func identity(info fs.FileInfo) (dev, ino, links uint64) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, 1
	}
	return uint64(st.Dev), uint64(st.Ino), uint64(st.Nlink)
}
