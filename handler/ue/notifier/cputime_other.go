//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly || windows)

package notifier

import "time"

const processTimeFrom = ""

// processTime is not known on this system.
func processTime() (time.Duration, bool) { return 0, false }
