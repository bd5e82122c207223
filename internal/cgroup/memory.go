package cgroup

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Memory returns how much memory, in bytes, this process may use, and what says so: the least
// of the limits of its control group and of the groups above, as far as they can be seen,
// and of the machine's memory. root is the folder that holds proc and the mounted trees;
// empty means "/". The error says that not even the machine's memory is known.
func Memory(root string) (bytes int64, from string, err error) {
	if root == "" {
		root = "/"
	}
	info := filepath.Join(root, "proc", "meminfo")
	text, err := os.ReadFile(info)
	if err != nil {
		return 0, "", fmt.Errorf("find out how much memory there is: %w", err)
	}
	bytes, ok := parseMeminfo(string(text))
	if !ok {
		return 0, "", fmt.Errorf("find out how much memory there is: no MemTotal in %s", info)
	}
	from = "the machine"
	if l := FindLimits(root); l.Memory > 0 && l.Memory < bytes {
		bytes, from = l.Memory, l.MemoryFrom
	}
	return bytes, from, nil
}

// leastLimit returns the least number in the file of that name in the folders from dir up to mount, and
// its folder; 0 if there is none.
func leastLimit(mount, dir, file string) (least int64, where string) {
	for ; strings.HasPrefix(dir, mount); dir = filepath.Dir(dir) {
		text, err := os.ReadFile(filepath.Join(dir, file))
		if err == nil {
			n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
			if err == nil && n > 0 && (least == 0 || n < least) { // "max" is no limit
				least, where = n, dir
			}
		}
		if dir == mount {
			break
		}
	}
	return least, where
}

// parseMeminfo returns the machine's memory in bytes, from /proc/meminfo.
func parseMeminfo(text string) (bytes int64, ok bool) {
	for line := range strings.Lines(text) {
		rest, found := strings.CutPrefix(line, "MemTotal:")
		fields := strings.Fields(rest)
		if !found || len(fields) != 2 || fields[1] != "kB" {
			continue
		}
		n, err := strconv.ParseInt(fields[0], 10, 64)
		return n << 10, err == nil && n > 0 && n < 1<<50
	}
	return 0, false
}
