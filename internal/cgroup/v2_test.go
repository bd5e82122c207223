package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestV2(t *testing.T) {
	tests := []struct {
		name, why string
		group     string
		prepare   func(k *fakeKernel, home string)
		dir       string // of the limited group, below the mount
		home      string // where MoveOut puts a process, below the mount
	}{
		{
			name: "root", why: "the root group may hold processes and give cpu at once",
			group: "/", dir: "bungee-ue-4242", home: ".",
		},
		{
			name: "beside", why: "a group with processes cannot give cpu to children, but its parent gives it already",
			group: "/user.slice/session", dir: "user.slice/bungee-ue-4242", home: "user.slice/session",
			prepare: func(k *fakeKernel, home string) { k.set(home, "cgroup.procs", "4242\n17\n") },
		},
		{
			name: "step down", why: "alone in a scope of its own whose parent is not ours, it goes down a level",
			group: "/scope", dir: "scope/bungee-ue-4242", home: "scope/bungee-ue-4242-out",
			prepare: func(k *fakeKernel, _ string) { k.set(k.mount, "cgroup.controllers", "memory") },
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k := newFakeV2(t, tt.group, "cpu memory")
			old := filepath.Join(k.mount, tt.group)
			if tt.prepare != nil {
				tt.prepare(k, old)
			}
			if tt.name == "step down" {
				k.set(k.mount, "cgroup.subtree_control", "memory")
			}
			g, err := limit(0.25, Options{PID: fakePID, Root: k.root}, k)
			if err != nil {
				t.Fatalf("limit: %v; want a group: %s", err, tt.why)
			}
			if want := filepath.Join(k.mount, tt.dir); g.dir != want {
				t.Errorf("group is %s, want %s: %s", g.dir, want, tt.why)
			}
			if got := k.get(g.dir, "cpu.max"); got != "25000 100000" {
				t.Errorf("cpu.max is %q; want %q", got, "25000 100000")
			}
			if got := k.get(g.dir, "cgroup.procs"); got != "4242" {
				t.Errorf("the group holds %q; want 4242", got)
			}
			checkMoveOut(t, k, g, filepath.Join(k.mount, tt.home))
			checkThrottled(t, g)
			checkClosed(t, k, g, old)
		})
	}
}

func checkMoveOut(t *testing.T, k *fakeKernel, g *Group, home string) {
	t.Helper()
	if err := k.move(g.dir, 4300); err != nil { // a child of the limited process
		t.Fatal(err)
	}
	if err := g.MoveOut(4300); err != nil {
		t.Fatalf("MoveOut: %v", err)
	}
	if got := k.get(home, "cgroup.procs"); !strings.Contains(got, "4300") {
		t.Errorf("after MoveOut %s holds %q; want 4300 in it", home, got)
	}
	if got := k.get(g.dir, "cgroup.procs"); got != "4242" {
		t.Errorf("after MoveOut the group holds %q; want 4242", got)
	}
}

func checkThrottled(t *testing.T, g *Group) {
	t.Helper()
	n, held, err := g.Throttled()
	if n != 7 || held != 1500*time.Microsecond || err != nil {
		t.Errorf("throttled %d times for %v, %v; want 7, 1.5ms, nil", n, held, err)
	}
}

func checkClosed(t *testing.T, k *fakeKernel, g *Group, old string) {
	t.Helper()
	for range 2 { // Close is idempotent
		if err := g.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
	}
	if left := k.groups(); len(left) != 0 {
		t.Errorf("Close left %v behind; want nothing", left)
	}
	for _, pid := range []string{"4242", "4300"} {
		if got := k.get(old, "cgroup.procs"); !strings.Contains(got, pid) {
			t.Errorf("after Close %s holds %q; want %s in it", old, got, pid)
		}
	}
	if _, _, err := g.Throttled(); err == nil {
		t.Error("Throttled after Close gives no error; want one")
	}
}

// denied is a kernel that refuses to change a file or a folder.
type denied struct {
	*fakeKernel
	name string
	err  error
}

func (d denied) write(file, text string) error {
	if filepath.Base(file) == d.name {
		return fmt.Errorf("write %s: %w", file, d.err)
	}
	return d.fakeKernel.write(file, text)
}

func (d denied) mkdir(dir string) error {
	if d.name == "mkdir" {
		return fmt.Errorf("mkdir %s: %w", dir, d.err)
	}
	return d.fakeKernel.mkdir(dir)
}

func (d denied) move(dir string, pid int) error {
	if d.name == "cgroup.procs" && strings.Contains(dir, prefix) {
		return fmt.Errorf("write %s/cgroup.procs: %w", dir, d.err)
	}
	return d.fakeKernel.move(dir, pid)
}

func TestErrorsSayTheWayOut(t *testing.T) {
	tests := []struct {
		name, why string
		group     string
		offered   string
		file      string
		err       error
		want      []string
	}{
		{"no rights", "a plain user in a group of the system's", "/", "cpu", "mkdir", syscall.EACCES,
			[]string{"permission denied", "root", "systemd-run --user"}},
		{"read only", "containers see their cgroups read-only", "/", "cpu", "mkdir", syscall.EROFS,
			[]string{"read-only", "root"}},
		{"no controller", "as on a machine whose cpu is with version 1", "/a/b", "hugetlb", "", nil,
			[]string{"no cpu controller", "Delegate=cpu"}},
		{"parent allows less", "the kernel checks quotas along the tree", "/", "cpu", "cpu.max", syscall.EINVAL,
			[]string{"cpu.max", "25000 100000", "group above"}},
		{"cannot move", "the groups have different owners", "/", "cpu", "cgroup.procs", syscall.EPERM,
			[]string{"move process 4242", "root"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k := newFakeV2(t, tt.group, tt.offered)
			g, err := limit(0.25, Options{PID: fakePID, Root: k.root}, denied{k, tt.file, tt.err})
			if err == nil {
				t.Fatalf("limited by %v; want an error: %s", g, tt.why)
			}
			for _, want := range append(tt.want, "limit to 0.25 of a core") {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q; want %q in it: %s", err, want, tt.why)
				}
			}
			if tt.err != nil && !errors.Is(err, tt.err) {
				t.Errorf("error %v; want it to wrap %v", err, tt.err)
			}
			if left := k.groups(); len(left) != 0 {
				t.Errorf("%v left behind; want nothing", left)
			}
		})
	}
}

func TestStaleGroupsAreRemoved(t *testing.T) {
	k := newFakeV2(t, "/", "cpu")
	for dir, pids := range map[string]string{
		"bungee-ue-900001":     "",  // dead, empty
		"bungee-ue-900001-out": "",  // its stand-in
		"bungee-ue-900002":     "5", // dead, with a process of another pid namespace
		"bungee-ue-1000":       "",  // alive
		"bungee-ue-note":       "",  // not ours
	} {
		k.group(filepath.Join(k.mount, dir), "cpu")
		k.set(filepath.Join(k.mount, dir), "cgroup.procs", pids)
	}
	k.put("proc/1000/cgroup", "0::/\n")
	g, err := limit(0.5, Options{PID: fakePID, Root: k.root}, k)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, dir := range k.groups() {
		got = append(got, filepath.Base(dir))
	}
	want := "bungee-ue-1000 bungee-ue-4242 bungee-ue-900002 bungee-ue-note"
	if strings.Join(got, " ") != want {
		t.Errorf("groups are %v; want %s", got, want)
	}
	if err := g.Close(); err != nil {
		t.Error(err)
	}
}

func TestNoTree(t *testing.T) {
	k := newFakeV2(t, "/", "cpu")
	k.put("proc/self/mountinfo", "31 23 0:28 / / rw - ext4 /dev/vda rw\n")
	_, err := limit(0.25, Options{PID: fakePID, Root: k.root}, k)
	if !errors.Is(err, errNoController) || !strings.Contains(err.Error(), "mount -t cgroup2") {
		t.Errorf("error %v; want that nothing is mounted, and how to mount it", err)
	}
	if _, err = limit(0.25, Options{PID: 5, Root: k.root}, k); err == nil || !strings.Contains(err.Error(), "process 5") {
		t.Errorf("error %v; want that process 5 is not found", err)
	}
}

// A quota may be given over a shorter time: its share stays the same.
func TestPeriod(t *testing.T) {
	k := newFakeV2(t, "/", "cpu memory")
	g, err := limit(0.36, Options{PID: fakePID, Root: k.root, Period: 10 * time.Millisecond}, k)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	b, err := os.ReadFile(filepath.Join(g.dir, "cpu.max"))
	if got := strings.TrimSpace(string(b)); err != nil || got != "3600 10000" {
		t.Errorf("cpu.max is %q, %v; want 3600 us of each 10,000", got, err)
	}
	if _, err := quota(0.01, 10*time.Millisecond); err == nil {
		t.Error("100 us in 10 ms are less than the kernel accepts, and nothing is said")
	}
}
