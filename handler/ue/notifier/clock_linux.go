package notifier

import (
	"time"

	"golang.org/x/sys/unix"
)

// slept returns how long the device has slept since it started: the clock that samples use stands still meanwhile, and another
// one does not.
func slept() time.Duration {
	var awake, all unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &awake) != nil || unix.ClockGettime(unix.CLOCK_BOOTTIME, &all) != nil {
		return 0
	}
	return time.Duration(all.Nano() - awake.Nano())
}
