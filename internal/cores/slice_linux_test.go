package cores

import (
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// All threads have short slices, also those that begin later.
func TestShortenSlices(t *testing.T) {
	if err := shortenSlices(slice); err != nil {
		t.Fatal(err)
	}
	begun, end := make(chan bool), make(chan bool)
	defer close(end)
	for range 8 { // threads of their own
		go func() {
			runtime.LockOSThread()
			begun <- true
			<-end
		}()
	}
	for range 8 {
		<-begun
	}
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		id, _ := strconv.Atoi(task.Name())
		attr, err := unix.SchedGetAttr(id, 0)
		if err != nil {
			continue // it has ended
		}
		if attr.Runtime == 0 {
			t.Skip("this kernel has no slices of threads: go test ./internal/cores on Linux 6.12 or later")
		}
		if got := time.Duration(attr.Runtime); got != slice {
			t.Errorf("thread %d has slices of %v, want %v", id, got, slice)
		}
	}
}
