package cachedir

import "golang.org/x/sys/unix"

// onPath opens a folder to go through it, which needs no right to list it.
const onPath = unix.O_PATH | unix.O_CLOEXEC
