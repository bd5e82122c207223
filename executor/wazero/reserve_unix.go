//go:build linux || darwin

package wazero

import "golang.org/x/sys/unix"

// reserve returns n bytes of zeros, each page of which becomes memory when it is written to,
// or nil where the system does not have so many addresses. unreserve frees them.
func reserve(n uint64) []byte {
	if n == 0 || n > 1<<32 {
		return nil
	}
	b, err := unix.Mmap(-1, 0, int(n), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		return nil
	}
	return b
}

func unreserve(b []byte) { _ = unix.Munmap(b) }
