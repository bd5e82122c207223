//go:build unix

package main

import "syscall"

// descriptors returns how many descriptors the process may have open, 0 if that is unknown.
func descriptors() uint64 {
	var l syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l) != nil {
		return 0
	}
	return uint64(l.Cur)
}
