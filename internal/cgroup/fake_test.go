package cgroup

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// A fakeKernel keeps the kernel's rules for cgroup v2 over plain files: a group
// gets the files of a controller when its parent gives it; a group with
// processes gives nothing to its children, unless it is the root; a process is
// in one group; a group in use is not removed.
type fakeKernel struct {
	t     *testing.T
	root  string // Options.Root
	mount string
}

const fakePID = 4242

// newFakeV2 has a process fakePID in group, and the controllers that the tree
// offers at each level down to group.
func newFakeV2(t *testing.T, group, controllers string) *fakeKernel {
	t.Helper()
	root := t.TempDir()
	k := &fakeKernel{t: t, root: root, mount: filepath.Join(root, "sys/fs/cgroup")}
	k.put("proc/self/mountinfo", "31 23 0:28 / / rw - ext4 /dev/vda rw\n"+
		"41 31 0:38 / /sys/fs/cgroup rw,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate\n")
	k.put(fmt.Sprintf("proc/%d/cgroup", fakePID), "0::"+group+"\n")
	k.group(k.mount, controllers)
	dir := k.mount
	for part := range strings.SplitSeq(strings.Trim(group, "/"), "/") {
		k.set(dir, "cgroup.subtree_control", controllers)
		if part != "" {
			dir = filepath.Join(dir, part)
			k.group(dir, controllers)
		}
	}
	k.set(dir, "cgroup.subtree_control", "")
	k.set(dir, "cgroup.procs", strconv.Itoa(fakePID)+"\n")
	return k
}

func (k *fakeKernel) put(name, text string) {
	k.t.Helper()
	path := filepath.Join(k.root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		k.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		k.t.Fatal(err)
	}
}

func (k *fakeKernel) set(dir, file, text string) {
	k.t.Helper()
	rel, err := filepath.Rel(k.root, filepath.Join(dir, file))
	if err != nil {
		k.t.Fatal(err)
	}
	k.put(rel, text)
}

func (k *fakeKernel) get(dir, file string) string {
	b, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		return "missing"
	}
	return strings.TrimSpace(string(b))
}

// group fills the folder of a group.
func (k *fakeKernel) group(dir, controllers string) {
	k.set(dir, "cgroup.procs", "")
	k.set(dir, "cgroup.controllers", controllers)
	k.set(dir, "cgroup.subtree_control", "")
	if slices.Contains(strings.Fields(controllers), "cpu") && dir != k.mount {
		k.set(dir, "cpu.max", "max 100000\n")
		k.set(dir, "cpu.stat", "usage_usec 5\nnr_periods 9\nnr_throttled 7\nthrottled_usec 1500\n")
	}
}

func (k *fakeKernel) mkdir(dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	k.group(dir, k.get(filepath.Dir(dir), "cgroup.subtree_control"))
	return nil
}

func (k *fakeKernel) write(file, text string) error {
	dir, name := filepath.Split(file)
	dir = filepath.Clean(dir)
	if _, err := os.Stat(file); err != nil {
		return err
	}
	if name != "cgroup.subtree_control" {
		k.set(dir, name, text)
		return nil
	}
	pids, _ := readPIDs(dir)
	if text == "+cpu" && len(pids) > 0 && dir != k.mount {
		return &os.PathError{Op: "write", Path: file, Err: syscall.EBUSY}
	}
	k.set(dir, name, map[string]string{"+cpu": "cpu", "-cpu": ""}[text])
	children, _ := filepath.Glob(filepath.Join(dir, prefix+"*"))
	for _, child := range children {
		pids := k.get(child, "cgroup.procs")
		k.group(child, k.get(dir, name))
		k.set(child, "cgroup.procs", pids)
	}
	return nil
}

func (k *fakeKernel) move(dir string, pid int) error {
	if k.get(dir, "cgroup.subtree_control") != "" && dir != k.mount {
		return &os.PathError{Op: "write", Path: dir, Err: syscall.EBUSY}
	}
	_ = filepath.WalkDir(k.mount, func(path string, _ os.DirEntry, _ error) error {
		if filepath.Base(path) == "cgroup.procs" {
			pids, _ := readPIDs(filepath.Dir(path))
			pids = slices.DeleteFunc(pids, func(p int) bool { return p == pid })
			k.set(filepath.Dir(path), "cgroup.procs", join(pids))
		}
		return nil
	})
	pids, err := readPIDs(dir)
	k.set(dir, "cgroup.procs", join(append(pids, pid)))
	return err
}

func (k *fakeKernel) remove(dir string) error {
	if pids, _ := readPIDs(dir); len(pids) > 0 {
		return &os.PathError{Op: "rmdir", Path: dir, Err: syscall.EBUSY}
	}
	return os.RemoveAll(dir)
}

func join(pids []int) string {
	var b strings.Builder
	for _, p := range pids {
		fmt.Fprintln(&b, p)
	}
	return b.String()
}

// groups returns the groups of ours in the tree.
func (k *fakeKernel) groups() []string {
	var all []string
	_ = filepath.WalkDir(k.mount, func(path string, _ os.DirEntry, _ error) error {
		if strings.HasPrefix(filepath.Base(path), prefix) {
			all = append(all, path)
		}
		return nil
	})
	return all
}
