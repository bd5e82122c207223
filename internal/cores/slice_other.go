//go:build !linux

package cores

import "time"

const slice = 100 * time.Microsecond

// shortenSlices leaves slices as they are.
func shortenSlices(time.Duration) error { return nil }
