package cgroup

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Limits are what the control groups of this process let it have, each by the group that gives least. Groups above
// those that the process sees, as in a container, count as far as the container shows them.
type Limits struct {
	Cores  float64 // processor time a second; 0: no group limits it
	Memory int64   // bytes; 0: no group limits it

	CPUFrom, MemoryFrom string // the groups, "" where there is no limit

	cpu, memory string // their folders
	version     int    // of the group that limits memory
}

// FindLimits looks the limits up. root is the folder that holds proc and the mounted trees; empty means "/". A process
// that is moved to another group has other limits: look again.
func FindLimits(root string) Limits {
	if root == "" {
		root = "/"
	}
	var l Limits
	mounts, _ := os.ReadFile(filepath.Join(root, "proc", "self", "mountinfo"))
	groups, _ := os.ReadFile(filepath.Join(root, "proc", "self", "cgroup"))
	for version, file := range memoryFiles {
		mount, dir, ok := seen(root, string(mounts), string(groups), version, "memory")
		if !ok {
			continue
		}
		if limit, where := leastLimit(mount, dir, file); limit > 0 && (l.Memory == 0 || limit < l.Memory) {
			l.Memory, l.memory, l.version = limit, where, version
			l.MemoryFrom = fmt.Sprintf("cgroup v%d %s", version, where)
		}
	}
	for version, read := range map[int]func(dir string) float64{1: cores1, 2: cores2} {
		mount, dir, ok := seen(root, string(mounts), string(groups), version, "cpu")
		if !ok {
			continue
		}
		if n, where := leastCores(mount, dir, read); n > 0 && (l.Cores == 0 || n < l.Cores) {
			l.Cores, l.cpu = n, where
			l.CPUFrom = fmt.Sprintf("cgroup v%d %s", version, where)
		}
	}
	return l
}

// memoryFiles are those that hold a limit of memory, by version.
var memoryFiles = map[int]string{1: "memory.limit_in_bytes", 2: "memory.max"}

// seen returns where a controller's tree is mounted, and this process' group in it.
func seen(root, mounts, groups string, version int, controller string) (mount, dir string, ok bool) {
	m, okMount := findMount(mounts, version, controller)
	group, okGroup := findGroup(groups, version, controller)
	if !okMount || !okGroup {
		return "", "", false
	}
	mount = filepath.Join(root, m.point)
	return mount, filepath.Join(mount, below(m.root, group)), true
}

// leastCores returns the least limit in the folders from dir up to mount, and its folder; 0 if there is none.
func leastCores(mount, dir string, read func(dir string) float64) (least float64, where string) {
	for ; strings.HasPrefix(dir, mount); dir = filepath.Dir(dir) {
		if n := read(dir); n > 0 && (least == 0 || n < least) {
			least, where = n, dir
		}
		if dir == mount {
			break
		}
	}
	return least, where
}

// cores2 reads "quota period" from cpu.max; a quota of "max" is no limit.
func cores2(dir string) float64 {
	text, _ := os.ReadFile(filepath.Join(dir, "cpu.max"))
	quota, period, _ := strings.Cut(strings.TrimSpace(string(text)), " ")
	return ratio(quota, period)
}

// cores1 reads two files; a quota of -1 is no limit.
func cores1(dir string) float64 {
	quota, _ := os.ReadFile(filepath.Join(dir, "cpu.cfs_quota_us"))
	period, _ := os.ReadFile(filepath.Join(dir, "cpu.cfs_period_us"))
	return ratio(strings.TrimSpace(string(quota)), strings.TrimSpace(string(period)))
}

func ratio(quota, period string) float64 {
	q, errQ := strconv.ParseInt(quota, 10, 64)
	p, errP := strconv.ParseInt(period, 10, 64)
	if errQ != nil || errP != nil || q <= 0 || p <= 0 {
		return 0
	}
	return float64(q) / float64(p)
}

// CPUTime returns the processor time that all processes of the group which limits Cores have used since it was made.
// It is not known without such a group, nor in version 1 where cpuacct is mounted apart from cpu.
func (l *Limits) CPUTime() (time.Duration, bool) {
	if l.cpu == "" {
		return 0, false
	}
	if text, err := os.ReadFile(filepath.Join(l.cpu, "cpuacct.usage")); err == nil {
		n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
		return time.Duration(n), err == nil && n >= 0
	}
	n, ok := statOf(filepath.Join(l.cpu, "cpu.stat"), "usage_usec")
	return time.Duration(n) * time.Microsecond, ok
}

// MemoryUsed returns how many bytes of Memory are in use, without file pages that the kernel would drop first.
func (l *Limits) MemoryUsed() (int64, bool) {
	file, inactive := "memory.current", "inactive_file"
	if l.version == 1 {
		file, inactive = "memory.usage_in_bytes", "total_inactive_file"
	}
	if l.memory == "" {
		return 0, false
	}
	text, err := os.ReadFile(filepath.Join(l.memory, file))
	if err != nil {
		return 0, false
	}
	used, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil || used < 0 {
		return 0, false
	}
	cache, _ := statOf(filepath.Join(l.memory, "memory.stat"), inactive)
	return max(0, used-cache), true
}

// statOf returns the number beside a key, in a file of lines "key number".
func statOf(file, key string) (int64, bool) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(text)) {
		if name, value, _ := strings.Cut(strings.TrimSpace(line), " "); name == key {
			n, err := strconv.ParseInt(value, 10, 53) // microseconds of 285 years, and more bytes than there are
			return n, err == nil && n >= 0
		}
	}
	return 0, false
}
