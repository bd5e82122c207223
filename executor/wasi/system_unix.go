//go:build unix

package wasi

import (
	"io/fs"
	"math"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
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

// setAppend has what is written to f go to its end, or to where f is.
func setAppend(f *os.File, on bool) error {
	flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0)
	if err != nil {
		return err
	}
	flags &^= unix.O_APPEND
	if on {
		flags |= unix.O_APPEND
	}
	_, err = unix.FcntlInt(f.Fd(), unix.F_SETFL, flags)
	return err
}

// parentOf returns the number of the folder that dir is in.
func parentOf(dir *os.File) uint64 {
	var st unix.Stat_t
	if err := unix.Fstatat(int(dir.Fd()), "..", &st, 0); err != nil {
		return 0
	}
	return st.Ino
}

// openLimit returns how many files the process may open.
func openLimit() int64 {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return 1024
	}
	return int64(min(uint64(l.Cur), math.MaxInt64))
}
