package cgroup

import (
	"strings"
	"testing"
	"time"
)

func TestFindLimits(t *testing.T) {
	const (
		v2     = "41 31 0:38 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw\n"
		joined = "42 31 0:39 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n" +
			"43 31 0:40 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
		apart = "42 31 0:39 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
	)
	tests := []struct {
		why, mounts, group string
		files              map[string]string
		cores              float64
		from               string
		used               time.Duration // -1: not known
		memory, held       int64         // held -1: not known
	}{
		{"no groups at all", "", "", nil, 0, "", -1, 0, -1},
		{"no limit", v2, "0::/a\n", map[string]string{"a/cpu.max": "max 100000\n", "a/memory.max": "max\n"}, 0, "", -1, 0, -1},
		{"its own limits", v2, "0::/a\n", map[string]string{
			"a/cpu.max": "25000 100000\n", "a/cpu.stat": "usage_usec 1500000\nuser_usec 1\n",
			"a/memory.max": "1073741824\n", "a/memory.current": "1000\n", "a/memory.stat": "anon 5\ninactive_file 400\n",
		}, 0.25, "cgroup v2", 1500 * time.Millisecond, gib, 600},
		{"the least of those above", v2, "0::/a/b\n", map[string]string{
			"a/b/cpu.max": "400000 100000\n", "a/cpu.max": "150000 100000\n", "a/cpu.stat": "usage_usec 7\n",
		}, 1.5, "/a", 7 * time.Microsecond, 0, -1},
		{"version 1", joined, "3:memory:/m\n2:cpu,cpuacct:/c\n", map[string]string{
			"cpu/c/cpu.cfs_quota_us": "50000\n", "cpu/c/cpu.cfs_period_us": "100000\n", "cpu/c/cpuacct.usage": "2000000000\n",
			"memory/m/memory.limit_in_bytes": "1073741824\n", "memory/m/memory.usage_in_bytes": "900\n",
			"memory/m/memory.stat": "inactive_file 1\ntotal_inactive_file 300\n",
		}, 0.5, "cgroup v1", 2 * time.Second, gib, 600},
		{"version 1 without a limit", joined, "2:cpu,cpuacct:/c\n", map[string]string{
			"cpu/c/cpu.cfs_quota_us": "-1\n", "cpu/c/cpu.cfs_period_us": "100000\n",
		}, 0, "", -1, 0, -1},
		{"version 1 that counts elsewhere", apart, "2:cpu:/c\n", map[string]string{
			"cpu/c/cpu.cfs_quota_us": "50000\n", "cpu/c/cpu.cfs_period_us": "100000\n", "cpu/c/cpu.stat": "nr_periods 4\n",
		}, 0.5, "cgroup v1", -1, 0, -1},
		{"not numbers", v2, "0::/a\n", map[string]string{"a/cpu.max": "many few\n", "a/memory.max": "-5\n"}, 0, "", -1, 0, -1},
		{"a period of nothing", v2, "0::/a\n", map[string]string{"a/cpu.max": "1000 0\n"}, 0, "", -1, 0, -1},
		{"more cache than memory", v2, "0::/a\n", map[string]string{
			"a/memory.max": "1073741824\n", "a/memory.current": "5\n", "a/memory.stat": "inactive_file 99\n",
		}, 0, "", -1, gib, 0},
	}
	for _, tt := range tests {
		t.Run(tt.why, func(t *testing.T) {
			files := map[string]string{"proc/self/mountinfo": tt.mounts, "proc/self/cgroup": tt.group}
			for name, text := range tt.files {
				files["sys/fs/cgroup/"+name] = text
			}
			l := FindLimits(memoryTree(t, files))
			if l.Cores != tt.cores || !strings.Contains(l.CPUFrom, tt.from) || (l.Cores == 0) != (l.CPUFrom == "") {
				t.Errorf("%g cores by %q; want %g by %q", l.Cores, l.CPUFrom, tt.cores, tt.from)
			}
			if used, ok := l.CPUTime(); ok != (tt.used >= 0) || ok && used != tt.used {
				t.Errorf("used %v, %v; want %v", used, ok, tt.used)
			}
			held, ok := l.MemoryUsed()
			if l.Memory != tt.memory || ok != (tt.held >= 0) || ok && held != tt.held {
				t.Errorf("%d bytes of %d, %v; want %d of %d", held, l.Memory, ok, tt.held, tt.memory)
			}
		})
	}
}
