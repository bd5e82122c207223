package cgroup

import (
	"math"
	"testing"
	"time"
)

func TestQuota(t *testing.T) {
	tests := []struct {
		why   string
		share float64
		want  int64
		ok    bool
	}{
		{"a quarter of 100 ms", 0.25, 25000, true},
		{"two cores", 2, 200000, true},
		{"the kernel's least, 1 ms", 0.01, 1000, true},
		{"less than that", 0.009, 0, false},
		{"nothing", 0, 0, false},
		{"negative means no limit to version 1", -1, 0, false},
		{"not a number", math.NaN(), 0, false},
		{"not a machine", math.Inf(1), 0, false},
	}
	for _, tt := range tests {
		got, err := quota(tt.share, Period)
		if got != tt.want || (err == nil) != tt.ok {
			t.Errorf("quota(%v) = %d, %v; want %d, ok %v: %s", tt.share, got, err, tt.want, tt.ok, tt.why)
		}
	}
}

func TestBelow(t *testing.T) {
	tests := []struct{ why, root, group, want string }{
		{"the whole tree is mounted", "/", "/a/b", "/a/b"},
		{"a container mounts its own group", "/docker/1", "/docker/1/x", "/x"},
		{"and is in it", "/docker/1", "/docker/1", ""},
		{"a like-named group is another", "/docker/1", "/docker/12", "/"},
		{"a cgroup namespace shows groups outside with dots", "/docker/1", "/../2", "/"},
	}
	for _, tt := range tests {
		if got := below(tt.root, tt.group); got != tt.want {
			t.Errorf("below(%q, %q) = %q; want %q: %s", tt.root, tt.group, got, tt.want, tt.why)
		}
	}
}

func TestFindMount(t *testing.T) {
	const hybrid = `31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw
32 31 0:29 / /sys/fs/cgroup/cpu\040x rw - cgroup cgroup rw,cpu,cpuacct
33 31 0:30 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset
41 31 0:38 /a /sys/fs/cgroup/unified rw shared:1 master:2 - cgroup2 cgroup2 rw
`
	tests := []struct {
		why     string
		version int
		want    mount
	}{
		{"cpu, not cpuset; a space is escaped", 1, mount{"/", "/sys/fs/cgroup/cpu x"}},
		{"tags before the dash vary in number", 2, mount{"/a", "/sys/fs/cgroup/unified"}},
	}
	for _, tt := range tests {
		if got, ok := findMount(hybrid, tt.version, "cpu"); got != tt.want || !ok {
			t.Errorf("findMount(v%d) = %+v, %v; want %+v: %s", tt.version, got, ok, tt.want, tt.why)
		}
	}
}

func TestFindGroup(t *testing.T) {
	const hybrid = "9:name=systemd:/s\n3:cpuset:/c\n1:cpuacct,cpu:/user:1\n0::/u\n"
	for version, want := range map[int]string{1: "/user:1", 2: "/u"} {
		if got, ok := findGroup(hybrid, version, "cpu"); got != want || !ok {
			t.Errorf("findGroup(%q, %d) = %q, %v; want %q", hybrid, version, got, ok, want)
		}
	}
}

func TestParseStat(t *testing.T) {
	tests := []struct {
		why, text string
		n         uint64
		t         time.Duration
		ok        bool
	}{
		{"version 1 counts ns", "nr_periods 9\nnr_throttled 3\nthrottled_time 2000000\n", 3, 2 * time.Millisecond, true},
		{"version 2 counts us", "usage_usec 1\nnr_throttled 4\nthrottled_usec 2000\n", 4, 2 * time.Millisecond, true},
		{"without the cpu controller", "usage_usec 1\n", 0, 0, false},
		{"not a number", "nr_throttled x\nthrottled_time 1\n", 0, 0, false},
		{"empty", "", 0, 0, false},
	}
	for _, tt := range tests {
		n, d, err := parseStat(tt.text)
		if n != tt.n || d != tt.t || (err == nil) != tt.ok {
			t.Errorf("parseStat(%q) = %d, %v, %v; want %d, %v, ok %v: %s", tt.text, n, d, err, tt.n, tt.t, tt.ok, tt.why)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n")
	f.Add("0::/a\n1:cpu:/b\n")
	f.Add("nr_throttled 4\nthrottled_usec 2000\n")
	f.Add(`1 2 3 \0 \040\ rw - cgroup2 x y`)
	f.Fuzz(func(t *testing.T, text string) {
		for version := 1; version <= 2; version++ {
			m, _ := findMount(text, version, "cpu")
			group, _ := findGroup(text, version, "cpu")
			if got := below(m.root, group); got != "" && got[0] != '/' {
				t.Errorf("below(%q, %q) = %q; want it to begin with a slash", m.root, group, got)
			}
		}
		if n, d, err := parseStat(text); err != nil && (n != 0 || d != 0) {
			t.Errorf("parseStat(%q) = %d, %v beside %v", text, n, d, err)
		}
	})
}
