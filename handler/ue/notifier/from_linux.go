package notifier

// What readings name as their source.
const (
	systemTimeFrom = "/proc/stat"
	memoryFrom     = "/proc/meminfo"
	residentFrom   = "/proc/self/statm"
	bytesFrom      = "/proc/net/dev"
)
