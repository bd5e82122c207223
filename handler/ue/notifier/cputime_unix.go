//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package notifier

import (
	"syscall"
	"time"
)

const processTimeFrom = "getrusage"

// processTime returns the processor time that this process has used.
func processTime() (time.Duration, bool) {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0, false
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), true
}
