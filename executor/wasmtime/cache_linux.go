//go:build cgo

package wasmtime

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// pathOf returns a path of the file that f has open, whatever its name stands for by now.
// Without /proc it is the name.
func pathOf(f *os.File) string {
	path := fmt.Sprintf("/proc/self/fd/%d", f.Fd())
	if _, err := os.Stat(path); err != nil {
		return f.Name()
	}
	return path
}

// changed returns when the file of info, or what is known of it, was last changed.
// Nobody can set that time.
func changed(info fs.FileInfo) syscall.Timespec {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return syscall.Timespec{}
	}
	return st.Ctim
}
