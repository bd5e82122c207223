//go:build !linux

package wazero

import "time"

var start = time.Now()

// threadTime returns the time that has passed: a thread's own is not to be had here.
func threadTime() time.Duration { return time.Since(start) }
