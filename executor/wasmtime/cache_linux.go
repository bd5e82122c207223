//go:build cgo

package wasmtime

import (
	"io/fs"
	"syscall"
)

// changed returns when the file of info, or what is known of it, was last changed.
// Nobody can set that time.
func changed(info fs.FileInfo) syscall.Timespec {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return syscall.Timespec{}
	}
	return st.Ctim
}
