//go:build unix && !linux

package cachedir

import "golang.org/x/sys/unix"

// onPath opens a folder to go through it.
const onPath = unix.O_RDONLY | unix.O_CLOEXEC
