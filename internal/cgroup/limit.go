package cgroup

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

var errNoController = errors.New("no cpu controller")

// A tree changes the groups of a hierarchy. Tests have one that keeps the
// kernel's rules over plain files.
type tree interface {
	mkdir(dir string) error
	// write puts text into an existing control file.
	write(file, text string) error
	// move puts a process and its threads into the group dir.
	move(dir string, pid int) error
	remove(dir string) error
}

// kernel is the real tree.
type kernel struct{}

func (kernel) mkdir(dir string) error  { return os.Mkdir(dir, 0o755) }
func (kernel) remove(dir string) error { return os.Remove(dir) }

func (kernel) write(file, text string) error {
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

func (k kernel) move(dir string, pid int) error {
	return k.write(filepath.Join(dir, "cgroup.procs"), strconv.Itoa(pid))
}

// gone says whether a move failed because the process has ended.
func gone(err error) bool { return errors.Is(err, syscall.ESRCH) }

// limit is Limit on any system, over a tree.
func limit(share float64, opt Options, t tree) (*Group, error) {
	opt.Period = cmp.Or(opt.Period, Period)
	us, err := quota(share, opt.Period)
	if err != nil {
		return nil, err
	}
	if opt.Root == "" {
		opt.Root = "/"
	}
	if opt.PID == 0 {
		opt.PID = os.Getpid()
	}
	at, err := find(opt.Root, opt.PID)
	if err != nil {
		return nil, fmt.Errorf("limit to %g of a core: %w", share, err)
	}
	g := &Group{fs: t, share: share, version: at.version, home: at.dir}
	if at.version == 1 {
		err = g.limitV1(at, opt, us)
	} else {
		err = g.limitV2(at, opt, us)
	}
	if err != nil {
		return nil, fmt.Errorf("limit to %g of a core: %w", share, wayOut(err))
	}
	return g, nil
}

// wayOut adds to an error what a person can do about it.
func wayOut(err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%w; run as root, or in a group of your own: systemd-run --user --scope -p Delegate=yes COMMAND", err)
	case errors.Is(err, errNoController):
		return fmt.Errorf("%w; have it delegated: systemd-run --scope -p Delegate=cpu COMMAND", err)
	case errors.Is(err, syscall.EINVAL):
		return fmt.Errorf("%w; a group above may allow less than that", err)
	}
	return err
}

// limitV1 makes the group in version 1's cpu hierarchy.
func (g *Group) limitV1(at place, opt Options, us int64) error {
	removeStale(g.fs, opt.Root, at.dir)
	if err := g.create(at.dir, opt.PID); err != nil {
		return err
	}
	return g.enter(opt.PID, []setting{
		{"cpu.cfs_period_us", strconv.FormatInt(opt.Period.Microseconds(), 10)},
		{"cpu.cfs_quota_us", strconv.FormatInt(us, 10)},
	})
}

// limitV2 makes the group in version 2's tree: below the process' own group if
// cpu is, or can be, given to its children, else beside it. The kernel refuses
// the former while the group has processes itself, unless it is the root; if
// the process is alone in its group, it can step down first.
func (g *Group) limitV2(at place, opt Options, us int64) error {
	set := []setting{{"cpu.max", fmt.Sprintf("%d %d", us, opt.Period.Microseconds())}}
	var all []error
	for _, parent := range parents(at) {
		removeStale(g.fs, opt.Root, parent)
		if err := g.enable(parent); err != nil {
			all = append(all, err)
			continue
		}
		if err := g.create(parent, opt.PID); err != nil {
			all = append(all, err)
			continue
		}
		return g.enter(opt.PID, set)
	}
	if alone(at.dir, opt.PID) {
		return g.stepDown(at, opt.PID, set)
	}
	return errors.Join(all...)
}

// parents returns the groups which a group can be made in, best first.
func parents(at place) []string {
	if at.dir == at.mount {
		return []string{at.dir}
	}
	return []string{at.dir, filepath.Dir(at.dir)}
}

// enable gives cpu to the children of a group.
func (g *Group) enable(parent string) error {
	switch has, err := lists(parent, "cgroup.subtree_control"); {
	case err != nil:
		return err
	case has:
		return nil
	}
	switch has, err := lists(parent, "cgroup.controllers"); {
	case err != nil:
		return err
	case !has:
		return fmt.Errorf("%s: %w", parent, errNoController)
	}
	err := g.fs.write(filepath.Join(parent, "cgroup.subtree_control"), "+cpu")
	if errors.Is(err, syscall.EBUSY) {
		return fmt.Errorf("give cpu to the children of %s: it has processes of its own: %w", parent, err)
	}
	return err
}

// lists says whether a file of controllers has cpu.
func lists(dir, file string) (bool, error) {
	text, err := os.ReadFile(filepath.Join(dir, file))
	return slices.Contains(strings.Fields(string(text)), "cpu"), err
}

// alone says whether pid is the only process of a group.
func alone(dir string, pid int) bool {
	pids, err := readPIDs(dir)
	return err == nil && slices.Equal(pids, []int{pid})
}

// stepDown moves the process to a child group first and gives cpu to the
// children then. From there on the old group can hold no process, so that a
// second child stands in for it.
func (g *Group) stepDown(at place, pid int, set []setting) error {
	if err := g.create(at.dir, pid); err != nil {
		return err
	}
	out := g.dir + outSuffix
	if err := g.make(out); err != nil {
		return g.abandon(err)
	}
	g.home = out
	g.undo = func() { g.stepUp(at.dir) }
	if err := g.fs.move(g.dir, pid); err != nil {
		return g.abandon(err)
	}
	if err := g.enable(at.dir); err != nil {
		return g.abandon(err)
	}
	return g.enter(pid, set)
}

// stepUp undoes stepDown after the limited group was removed: processes that
// were moved out go to the old group with the limited one.
func (g *Group) stepUp(old string) {
	_ = g.fs.write(filepath.Join(old, "cgroup.subtree_control"), "-cpu")
	out, _ := readPIDs(g.home)
	for _, pid := range out {
		_ = g.fs.move(old, pid)
	}
	_ = g.fs.remove(g.home)
}

// create makes the group for pid below parent.
func (g *Group) create(parent string, pid int) error {
	g.dir = filepath.Join(parent, prefix+strconv.Itoa(pid))
	return g.make(g.dir)
}

// make makes a group, or takes the one that an earlier process of the same
// number left.
func (g *Group) make(dir string) error {
	if err := g.fs.mkdir(dir); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

type setting struct{ file, text string }

// enter sets the quota and moves the process in.
func (g *Group) enter(pid int, set []setting) error {
	for _, s := range set {
		if err := g.fs.write(filepath.Join(g.dir, s.file), s.text); err != nil {
			return g.abandon(fmt.Errorf("set %s to %q: %w", s.file, s.text, err))
		}
	}
	if err := g.fs.move(g.dir, pid); err != nil {
		return g.abandon(fmt.Errorf("move process %d: %w", pid, err))
	}
	return nil
}

// abandon takes back what was done before err.
func (g *Group) abandon(err error) error { return errors.Join(err, g.Close()) }
