package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A memoryWatch measures what a process and its children have, and kills the process when that is
// more than a bound.
type memoryWatch struct {
	pid   int
	bound int64
	begin time.Time
	stop  chan struct{}
	ended sync.WaitGroup

	gone   chan struct{} // closed when dead is set
	dead   atomic.Bool   // the process has ended
	killed atomic.Bool   // by the watch
	phase  atomic.Pointer[string]
	points []memoryPoint // of the watch until it has ended
	most   int64         // guarded as points
}

// A memoryPoint is what a process had at a time.
type memoryPoint struct {
	At    time.Duration `json:"at"`
	Bytes int64         `json:"bytes"`
	Phase string        `json:"phase,omitempty"` // "siege", or "" in peace
}

const (
	watchEvery = 10 * time.Millisecond  // memory is filled at some GB a second
	pointEvery = 100 * time.Millisecond // of the curve
)

// watchMemory watches until end.
func watchMemory(pid int, bound int64) *memoryWatch {
	w := &memoryWatch{pid: pid, bound: bound, begin: time.Now(), stop: make(chan struct{}), gone: make(chan struct{})}
	w.mark("")
	w.ended.Go(w.run)
	return w
}

// while returns a context that ends with the process, too.
func (w *memoryWatch) while(ctx context.Context) (alive context.Context, end func()) {
	alive, cancel := context.WithCancelCause(ctx)
	end = func() { cancel(nil) }
	w.ended.Go(func() {
		select {
		case <-w.gone:
			cancel(errHostEnded)
		case <-alive.Done():
		}
	})
	return alive, end
}

var errHostEnded = errors.New("the host has ended")

// mark names the phase that begins.
func (w *memoryWatch) mark(phase string) { w.phase.Store(&phase) }

// end ends the watch. The points are complete then.
func (w *memoryWatch) end() {
	select {
	case <-w.stop:
	default:
		close(w.stop)
	}
	w.ended.Wait()
}

// fate says how the process came to its end, if it has.
func (w *memoryWatch) fate() string {
	switch {
	case w.killed.Load():
		return fmt.Sprintf("it had more than %d MB and was killed, so that the machine lives", w.bound/1e6)
	case w.dead.Load():
		return "it ended by itself"
	}
	return ""
}

// peak ends the watch and returns the most that the process had.
func (w *memoryWatch) peak() int64 {
	w.end()
	return w.most
}

func (w *memoryWatch) run() {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	var top memoryPoint // since the last point
	for {
		select {
		case <-w.stop:
			return
		case <-tick.C:
		}
		own, ok := resident(w.pid)
		if !ok {
			w.dead.Store(true)
			close(w.gone)
			return
		}
		p := memoryPoint{time.Since(w.begin), own + residentOfChildren(w.pid), *w.phase.Load()}
		w.most = max(w.most, p.Bytes)
		if p.Bytes > w.bound && !w.killed.Swap(true) {
			if p, err := os.FindProcess(w.pid); err == nil {
				p.Kill() // its end is seen in the next round
			}
		}
		if top.At == 0 || p.Bytes >= top.Bytes {
			top = p
		}
		if len(w.points) == 0 || p.At-w.points[len(w.points)-1].At >= pointEvery {
			w.points = append(w.points, top)
			w.most = max(w.most, highWater(w.pid))
			top = memoryPoint{}
		}
	}
}

// resident returns the bytes of memory of a process. ok is false when it has ended.
func resident(pid int) (bytes int64, ok bool) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0, false
	}
	var size, pages int64
	if n, _ := fmt.Sscan(string(b), &size, &pages); n < 2 || size == 0 { // a zombie has none
		return 0, false
	}
	return pages * int64(os.Getpagesize()), true
}

// residentOfChildren sums up the memory of the children of a process' main thread and others. A child that has not begun its program yet has none: it shares
// its parent's, all of which would count twice.
func residentOfChildren(pid int) (sum int64) {
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return 0
	}
	for _, t := range threads {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", pid, t.Name()))
		for child := range strings.FieldsSeq(string(text)) {
			if n, err := strconv.Atoi(child); err == nil && !sharesMemory(pid, n) {
				has, _ := resident(n)
				sum += has
			}
		}
	}
	return sum
}

// sharesMemory says whether child runs in the memory of its parent, between vfork(2) and execve(2): there its command line is the parent's.
func sharesMemory(parent, child int) bool {
	a, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", parent))
	if err != nil {
		return false
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", child))
	return err == nil && bytes.Equal(a, b)
}

// highWater is the most memory that a process itself has had, also between two looks.
func highWater(pid int) (bytes int64) {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	_, after, _ := strings.Cut(string(b), "VmHWM:")
	fmt.Sscan(after, &bytes)
	return bytes << 10
}
