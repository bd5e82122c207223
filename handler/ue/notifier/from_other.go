//go:build !linux

package notifier

// What readings name as their source: gopsutil knows where it is from.
const (
	systemTimeFrom = "the system's processor times"
	memoryFrom     = "the system's memory"
	residentFrom   = "the system's list of processes"
	bytesFrom      = "the system's interfaces"
)
