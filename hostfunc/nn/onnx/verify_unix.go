//go:build unix

package onnx

import (
	"io/fs"
	"os"
	"syscall"
)

// othersWrite says whether somebody beside the user and root may write to a file.
func othersWrite(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return !ok || st.Uid != 0 && int(st.Uid) != os.Geteuid() || info.Mode().Perm()&0o022 != 0
}
