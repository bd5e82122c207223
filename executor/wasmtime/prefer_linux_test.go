//go:build cgo

package wasmtime_test

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/bungee-xr/bungee/capability"
	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/wasmtime"
)

// The thread of a guest is preferred while others wait for its core and its tenant has had far less than theirs; otherwise none is, and
// afterwards none is, also of those that the runtime has started meanwhile.
func TestPreference(t *testing.T) {
	base := slices.Min(niceOfThreads(t))
	if err := tryNice(base, base-8); err != nil {
		t.Skipf("a thread cannot be preferred: %v; as root, or with ulimit -e 40: go test -run TestPreference ./executor/wasmtime", err)
	}
	m := module(t, wasmtime.Config{}, executor.Bytes(wat(t, `(memory (export "memory") 1)
		(func $call (param i32) (local $n i32) (local.set $n (i32.const 3000000))
			(loop $l (local.set $n (i32.sub (local.get $n) (i32.const 1))) (br_if $l (local.get $n))))`)))
	in := instance(t, m, executor.InstanceConfig{})
	turns := executor.NewTurns(1)
	busy, quiet := executor.NewTenant("busy", capability.Quota{}), executor.NewTenant("quiet", capability.Quota{})
	take := func(tenant *executor.Tenant) *executor.Turn {
		turn, err := turns.Take(t.Context(), tenant)
		if err != nil {
			t.Fatal(err)
		}
		return turn
	}
	// made is how many calls were made while others waited, or did not, and while their tenant was far behind, or was not; and in how many
	// of them a thread was preferred. A watch that the machine holds up sees a call or does not.
	type contest struct{ waiting, ahead bool }
	made, preferred := map[contest]int{}, map[contest]int{}
	calls := func(turn *executor.Turn, n int) {
		for range n {
			now := turn.Contest()
			c := contest{now.Waiting > 0, now.Ahead}
			least := watchNice(t, func() {
				if _, err := in.Call(executor.WithCall(t.Context(), &executor.Call{Turn: turn}), 0, nil); err != nil {
					t.Fatal(err)
				}
			})
			made[c]++
			if least < base {
				preferred[c]++
			}
		}
	}
	beside := func(tenant *executor.Tenant, n int) {
		turn := take(tenant)
		waited := make(chan struct{})
		go func() {
			defer close(waited)
			if next, err := turns.Take(t.Context(), busy); err == nil {
				next.Done()
			}
		}()
		for turn.Contest().Waiting == 0 && !ended(waited) {
			runtime.Gosched()
		}
		calls(turn, n)
		turn.Done()
		<-waited
	}
	take(quiet).Done() // who has just come has no claim
	alone := take(busy)
	calls(alone, 10)
	alone.Done()
	for round := 0; round < 500 && preferred[contest{true, true}] == 0; round++ {
		beside(busy, 20)
		beside(quiet, 5)
	}
	t.Logf("calls, by who waited and who was ahead: %v; of them with a thread preferred: %v", made, preferred)
	for c, n := range preferred {
		if c != (contest{true, true}) {
			t.Errorf("a thread was preferred in %d calls while %+v; want none", n, c)
		}
	}
	if preferred[contest{true, true}] == 0 {
		t.Errorf("no thread was preferred in %d calls whose tenant was far behind while others waited", made[contest{true, true}])
	}
	if made[contest{true, false}] == 0 || made[contest{false, false}] == 0 {
		t.Error("no call was made that is not to be preferred")
	}
	if least := slices.Min(niceOfThreads(t)); least < base {
		t.Errorf("a thread has nice %d after the calls; want %d", least, base)
	}
}

func ended(end <-chan struct{}) bool {
	select {
	case <-end:
		return true
	default:
		return false
	}
}

// watchNice returns the least nice value that one of this process' threads is seen to have while f runs.
func watchNice(t *testing.T, f func()) (least int) {
	end, seen := make(chan struct{}), make(chan int)
	go func() {
		least := slices.Min(niceOfThreads(t))
		for !ended(end) {
			least = min(least, slices.Min(niceOfThreads(t)))
		}
		seen <- least
	}()
	f()
	close(end)
	return <-seen
}

// tryNice gives a thread a nice value for a moment.
func tryNice(base, nice int) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Setpriority(unix.PRIO_PROCESS, 0, nice); err != nil {
		return err
	}
	return unix.Setpriority(unix.PRIO_PROCESS, 0, base)
}

// niceOfThreads returns the nice values of this process' threads.
func niceOfThreads(t *testing.T) (all []int) {
	files, err := filepath.Glob("/proc/self/task/*/stat")
	if err != nil {
		t.Error(err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			continue // it has ended
		}
		const nice = 16 // of the fields after the name, which may have blanks: proc_pid_stat(5), field 19
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		if n, err := strconv.Atoi(fields[nice]); err == nil {
			all = append(all, n)
		}
	}
	return all
}
