//go:build !linux

package cgroup

import (
	"errors"
	"fmt"
	"runtime"
)

// Limit limits a process to a share of a core. On this system it cannot: the
// error is errors.ErrUnsupported.
func Limit(share float64, _ Options) (*Group, error) {
	return nil, fmt.Errorf("limit to %g of a core: %s has no cgroups: %w", share, runtime.GOOS, errors.ErrUnsupported)
}
