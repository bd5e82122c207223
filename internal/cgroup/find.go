package cgroup

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A place is a process' group in a hierarchy that may have the cpu controller.
type place struct {
	version int
	mount   string // where the hierarchy is mounted, with Options.Root before it
	dir     string // the group
}

// find returns the group of a process below which a cpu quota can be set: in version 1's
// cpu hierarchy if it is mounted, else in version 2's only one.
func find(root string, pid int) (place, error) {
	proc := "self"
	if pid != os.Getpid() {
		proc = strconv.Itoa(pid)
	}
	mounts, err := os.ReadFile(filepath.Join(root, "proc", "self", "mountinfo"))
	if err != nil {
		return place{}, fmt.Errorf("find cgroups: %w", err)
	}
	groups, err := os.ReadFile(filepath.Join(root, "proc", proc, "cgroup"))
	if err != nil {
		return place{}, fmt.Errorf("find the cgroup of process %d: %w", pid, err)
	}
	for _, version := range []int{1, 2} {
		m, okMount := findMount(string(mounts), version, "cpu")
		group, okGroup := findGroup(string(groups), version, "cpu")
		if okMount && okGroup {
			mount := filepath.Join(root, m.point)
			return place{version: version, mount: mount, dir: filepath.Join(mount, below(m.root, group))}, nil
		}
	}
	return place{}, fmt.Errorf("no cgroup tree with the cpu controller is mounted: %w; "+
		"as root, mount one: mount -t cgroup2 none /sys/fs/cgroup", errNoController)
}

// A mount is where a cgroup tree is seen. root is the group that shows at
// point, "/" unless in a container.
type mount struct{ root, point string }

// findMount finds a controller's tree in /proc/self/mountinfo, whose lines read
//
//	id parent major:minor root point options [tags] - type source superoptions
func findMount(mountinfo string, version int, controller string) (mount, bool) {
	for line := range strings.Lines(mountinfo) {
		before, after, ok := strings.Cut(line, " - ")
		left, right := strings.Fields(before), strings.Fields(after)
		if !ok || len(left) < 6 || len(right) < 3 {
			continue
		}
		controllers := strings.Split(right[2], ",")
		v1 := version == 1 && right[0] == "cgroup" && slices.Contains(controllers, controller)
		v2 := version == 2 && right[0] == "cgroup2"
		if v1 || v2 {
			return mount{root: unescape(left[3]), point: unescape(left[4])}, true
		}
	}
	return mount{}, false
}

// findGroup finds the group of a controller in /proc/PID/cgroup, whose lines read
// number:controllers:group, with number 0 and no controllers for version 2.
func findGroup(groups string, version int, controller string) (string, bool) {
	for line := range strings.Lines(groups) {
		number, rest, _ := strings.Cut(strings.TrimRight(line, "\n"), ":")
		controllers, group, ok := strings.Cut(rest, ":")
		if !ok {
			continue
		}
		v1 := version == 1 && slices.Contains(strings.Split(controllers, ","), controller)
		v2 := version == 2 && number == "0" && controllers == ""
		if v1 || v2 {
			return group, true
		}
	}
	return "", false
}

// below returns the path of a group under the mount that shows root. A group
// outside of it, as a container sees those of the host, gives the mount itself.
func below(root, group string) string {
	group = path.Clean("/" + group)
	if root == "/" || root == "" {
		return group
	}
	if rest, ok := strings.CutPrefix(group, root); ok && (rest == "" || rest[0] == '/') {
		return rest
	}
	return "/"
}

// unescape undoes mountinfo's \040 and the like.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+4 <= len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// removeStale removes the groups that dead processes left below parent. A group that is
// in use cannot be removed, and stays.
func removeStale(fs tree, root, parent string) {
	dirs, _ := filepath.Glob(filepath.Join(parent, prefix+"*"))
	for _, dir := range dirs {
		pid, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(filepath.Base(dir), prefix), outSuffix))
		if err != nil || pid == os.Getpid() {
			continue
		}
		if _, err := os.Stat(filepath.Join(root, "proc", strconv.Itoa(pid))); os.IsNotExist(err) {
			_ = fs.remove(dir)
		}
	}
}
