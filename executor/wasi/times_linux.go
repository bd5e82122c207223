package wasi

import (
	"io/fs"
	"syscall"
	"time"
)

// timesOf returns when a file was last read, written, and changed in any way.
func timesOf(info fs.FileInfo) (accessed, modified, changed time.Time) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return info.ModTime(), info.ModTime(), info.ModTime()
	}
	return time.Unix(st.Atim.Unix()), info.ModTime(), time.Unix(st.Ctim.Unix())
}
