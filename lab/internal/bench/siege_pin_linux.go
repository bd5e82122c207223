package bench

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// pin lets the thread, or the process that has one thread, run on one core only. What it starts
// inherits that.
func pin(pid, core int) error {
	var set unix.CPUSet
	set.Set(core)
	if err := unix.SchedSetaffinity(pid, &set); err != nil {
		return fmt.Errorf("run process %d on core %d alone: %w; a siege needs two cores", pid, core, err)
	}
	return nil
}

// pinSelf is pin of all threads of this process, until undo.
func pinSelf(core int) (undo func() error, err error) {
	var before unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return nil, err
	}
	undo = func() error {
		return eachThread(func(id int) error { return unix.SchedSetaffinity(id, &before) })
	}
	if err := eachThread(func(id int) error { return pin(id, core) }); err != nil {
		return undo, err
	}
	return undo, nil
}

// eachThread does f for each thread of this process. It goes over them twice: a thread that had not
// been pinned may have started one meanwhile.
func eachThread(f func(id int) error) error {
	for range 2 {
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return err
		}
		for _, t := range threads {
			id, err := strconv.Atoi(t.Name())
			if err != nil {
				return err
			}
			if err := f(id); err != nil && !os.IsNotExist(err) && err != unix.ESRCH {
				return err
			}
		}
	}
	return nil
}

// behind gives a process the least of the cores that others want, too.
func behind(pid int) error { return unix.Setpriority(unix.PRIO_PROCESS, pid, 19) }

// lastInLine has a process that has one thread run only where nobody else wants to, and give way at once when
// somebody does (SCHED_IDLE): a nice level of 19 still makes others on its core wait for their turn. What
// it starts inherits that. On a machine that is busy it may not run for long.
func lastInLine(pid int) error {
	attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_IDLE}
	if err := unix.SchedSetAttr(pid, &attr, 0); err != nil {
		return fmt.Errorf("give process %d the lowest priority: %w", pid, err)
	}
	return nil
}
