package authority

import (
	"fmt"
	"syscall"
)

// mountSmall mounts a file system of a size at dir.
func mountSmall(dir string, size int) error {
	return syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size))
}

func unmount(dir string) { syscall.Unmount(dir, 0) }
