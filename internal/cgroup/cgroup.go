// Package cgroup limits a process to a share of a core with Linux' control
// groups, so that a strong machine can stand in for a weak UE.
//
// [Limit] makes a group of its own below the one that the process is in, gives
// it a quota of processor time for each period of 100 ms, and moves the process
// into it. Children started from then on are limited with it, all of them
// together; [Group.MoveOut] takes one out again. [Group.Close] undoes
// everything.
//
//	g, err := cgroup.Limit(0.25, cgroup.Options{})
//	...
//	defer g.Close()
//
// Versions 1 and 2 of the interface both work. Root can limit nearly
// always; another user needs a group that was delegated to it, such as
// systemd-run makes. Errors say what is missing, and the way out.
//
// # Limits
//
// A process that is killed leaves its group behind, empty; the next Limit of
// any process with the same parent group removes it. The period is 100 ms unless [Options] say another:
// a quota each 10 ms was measured to cost more than it said.
package cgroup

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Period is the time over which a quota is given. It is the kernel's default.
const Period = 100 * time.Millisecond

// minQuota is the least that the kernel accepts for a period.
const minQuota = time.Millisecond

// prefix and a process id make the name of a group; with outSuffix, that of
// the group which stands in for the one the process came from.
const (
	prefix    = "bungee-ue-"
	outSuffix = "-out"
)

// Options says which process [Limit] limits. The zero Options is this process.
type Options struct {
	// PID is the process to limit. Zero means this one.
	PID int
	// Root is the folder that holds proc and the mounted cgroup trees.
	// Empty means "/". Tests have one of their own.
	Root string
	// Period is the time over which the quota is given. Zero means [Period]. With a shorter one a process that has used up its quota
	// waits for less long, as on a slower core.
	Period time.Duration
}

// A Group is a limited group and the process in it. Its methods may be called
// by many goroutines at once.
type Group struct {
	// Set by Limit, then constant.
	fs      tree
	share   float64
	version int
	dir     string // the group
	home    string // where the process came from, or a stand-in for it
	undo    func() // takes back what was done to the groups above

	mu     sync.Mutex // leaf lock
	closed bool
}

// String says what limits the process and where.
func (g *Group) String() string {
	return fmt.Sprintf("%g of a core by cgroup v%d %s", g.share, g.version, g.dir)
}

// Share returns the share of a core, as given to Limit.
func (g *Group) Share() float64 { return g.share }

// MoveOut puts the process pid back to the group that the limited process came
// from, with all its threads. Its children stay where they are.
func (g *Group) MoveOut(pid int) error {
	if err := g.fs.move(g.home, pid); err != nil {
		return fmt.Errorf("move process %d out of %s: %w", pid, g.dir, err)
	}
	return nil
}

// Throttled returns in how many periods the group ran out of its quota, and
// how long its processes were held back, summed over the cores. It fails once
// the group is closed.
func (g *Group) Throttled() (n uint64, t time.Duration, err error) {
	text, err := os.ReadFile(filepath.Join(g.dir, "cpu.stat"))
	if err != nil {
		return 0, 0, fmt.Errorf("read throttling: %w", err)
	}
	return parseStat(string(text))
}

// Close moves all processes of the group back to where the limited one came
// from and removes the group. It is idempotent.
func (g *Group) Close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil
	}
	if err := g.empty(); err != nil {
		return fmt.Errorf("take the limit of %g of a core back: %w; "+
			"move what is in it to %s/cgroup.procs, then rmdir %s", g.share, err, g.home, g.dir)
	}
	g.closed = true
	if g.undo != nil {
		g.undo()
	}
	return nil
}

// empty moves processes out until the group can be removed. A process that
// forks meanwhile leaves a child behind, so it looks more than once.
func (g *Group) empty() (err error) {
	for range 10 {
		pids, err := readPIDs(g.dir)
		if err != nil {
			return err
		}
		for _, pid := range pids {
			if err := g.fs.move(g.home, pid); err != nil && !gone(err) {
				return err
			}
		}
		if err = g.fs.remove(g.dir); err == nil {
			return nil
		}
	}
	return fmt.Errorf("its processes do not leave it: %w", g.fs.remove(g.dir))
}

// quota returns the microseconds of processor time that share is in a period.
func quota(share float64, period time.Duration) (int64, error) {
	least := float64(minQuota) / float64(period)
	if !(share >= least && share <= 1024) {
		return 0, fmt.Errorf("limit to %g of a core: want a share from %g up", share, least)
	}
	return int64(share * float64(period/time.Microsecond)), nil
}

// parseStat reads cpu.stat of either version.
func parseStat(text string) (n uint64, t time.Duration, err error) {
	units := map[string]time.Duration{"throttled_time": time.Nanosecond, "throttled_usec": time.Microsecond}
	found := 0
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		unit, isTime := units[key]
		if !isTime && key != "nr_throttled" {
			continue
		}
		v, err := strconv.ParseUint(value, 10, 63)
		if err != nil {
			return 0, 0, fmt.Errorf("cpu.stat: %s is %q, want a number", key, value)
		}
		found++
		if isTime {
			t = time.Duration(v) * unit
		} else {
			n = v
		}
	}
	if found < 2 {
		return 0, 0, fmt.Errorf("cpu.stat: no nr_throttled and throttled time in %q", text)
	}
	return n, t, nil
}

// readPIDs returns the processes of a group.
func readPIDs(dir string) ([]int, error) {
	text, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if err != nil {
		return nil, err
	}
	var pids []int
	for field := range strings.FieldsSeq(string(text)) {
		if pid, err := strconv.Atoi(field); err == nil && pid > 0 {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}
