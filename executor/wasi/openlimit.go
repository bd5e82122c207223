package wasi

import (
	"sync"
	"sync/atomic"
)

// guestFiles counts the files and folders that guests of this process have opened. Those
// that they were given are the operator's choice.
var guestFiles atomic.Int64

// mostGuestFiles is how many there may be: half of what the system lets the process open, so that
// guests do not take the host's sockets from it. The Go runtime has raised the soft limit to
// the hard one before.
var mostGuestFiles = sync.OnceValue(func() int64 { return openLimit() / 2 })

// reserveFile counts one more file, and says whether there may be one.
func reserveFile() bool {
	if guestFiles.Add(1) <= mostGuestFiles() {
		return true
	}
	guestFiles.Add(-1)
	return false
}
