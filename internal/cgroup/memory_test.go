package cgroup

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

const gib = 1 << 30

// memoryTree is a machine of 16 GiB with files below it.
func memoryTree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	all := map[string]string{"proc/meminfo": "MemTotal:       16777216 kB\nMemFree: 1 kB\n"}
	for name, text := range files {
		all[name] = text
	}
	for name, text := range all {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestMemory(t *testing.T) {
	const (
		v2 = "41 31 0:38 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw\n"
		v1 = "42 31 0:39 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n" +
			"43 31 0:40 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
		inContainer = "41 31 0:38 /docker/1 /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
	)
	tests := []struct {
		why, mounts, group string
		limits             map[string]string
		want               int64
		from               string
	}{
		{"no groups at all", "", "", nil, 16 * gib, "the machine"},
		{"no limit", v2, "0::/a/b\n", map[string]string{"a/b/memory.max": "max\n"}, 16 * gib, "the machine"},
		{"its own limit", v2, "0::/a/b\n", map[string]string{"a/b/memory.max": "1073741824\n", "a/memory.max": "max\n"}, gib, "cgroup v2"},
		{"that of the group above", v2, "0::/a/b\n", map[string]string{"a/b/memory.max": "4294967296\n", "a/memory.max": "2147483648\n"}, 2 * gib, "/a"},
		{"more than the machine has", v2, "0::/a\n", map[string]string{"a/memory.max": "99999999999999\n"}, 16 * gib, "the machine"},
		{"version 1", v1, "3:memory:/a\n2:cpu:/c\n", map[string]string{"memory/a/memory.limit_in_bytes": "1073741824\n"}, gib, "cgroup v1"},
		{"version 1 without a limit", v1, "3:memory:/a\n", map[string]string{"memory/a/memory.limit_in_bytes": "9223372036854771712\n"}, 16 * gib, "the machine"},
		{"a container sees its own group", inContainer, "0::/docker/1\n", map[string]string{"memory.max": "1073741824\n"}, gib, "cgroup v2"},
		{"not a number", v2, "0::/a\n", map[string]string{"a/memory.max": "lots\n"}, 16 * gib, "the machine"},
	}
	for _, tt := range tests {
		files := map[string]string{"proc/self/mountinfo": tt.mounts, "proc/self/cgroup": tt.group}
		for name, text := range tt.limits {
			files["sys/fs/cgroup/"+name] = text
		}
		got, from, err := Memory(memoryTree(t, files))
		if got != tt.want || !strings.Contains(from, tt.from) || err != nil {
			t.Errorf("%s: %d by %q, %v; want %d by %q", tt.why, got, from, err, tt.want, tt.from)
		}
	}
}

func TestMemoryThatIsUnknown(t *testing.T) {
	for _, text := range []string{"", "MemTotal: 5 MB\n", "MemTotal: x kB\n", "MemTotal: -1 kB\n", "MemTotal:\n"} {
		if got, _, err := Memory(memoryTree(t, map[string]string{"proc/meminfo": text})); err == nil {
			t.Errorf("%q: %d bytes, and no error", text, got)
		}
	}
	if _, _, err := Memory(t.TempDir()); !os.IsNotExist(err) && err == nil {
		t.Error("without /proc there is no error")
	}
}

func TestMemoryOfThisMachine(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("no /proc/meminfo here; on Linux: go test ./internal/cgroup -run TestMemoryOfThisMachine")
	}
	if got, from, err := Memory(""); err != nil || got < 64<<20 {
		t.Errorf("%d bytes by %q, %v", got, from, err)
	}
}

func FuzzMeminfo(f *testing.F) {
	f.Add("MemTotal:       16777216 kB\n")
	f.Fuzz(func(t *testing.T, text string) {
		if n, ok := parseMeminfo(text); ok && n <= 0 {
			t.Errorf("%q: %d bytes", text, n)
		}
	})
}
