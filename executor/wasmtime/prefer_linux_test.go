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
	"time"

	"golang.org/x/sys/unix"

	"github.com/bungee-xr/bungee/capability"
	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/wasmtime"
)

// While calls wait for its turn, the thread of a guest is preferred whose tenant has had far less than others; no other one is, and afterwards none
// is, also of those that the runtime has started meanwhile.
func TestPreference(t *testing.T) {
	base := slices.Min(niceOfThreads(t))
	if err := tryNice(base, base-8); err != nil {
		t.Skipf("a thread cannot be preferred: %v; as root, or with ulimit -e 40: go test -run TestPreference ./executor/wasmtime", err)
	}
	m := module(t, wasmtime.Config{}, executor.Bytes(wat(t, `(memory (export "memory") 1)
		(func $call (param i32) (local $n i32) (local.set $n (i32.const 1000000))
			(loop $l (local.set $n (i32.sub (local.get $n) (i32.const 1))) (br_if $l (local.get $n))))`)))
	in := instance(t, m, executor.InstanceConfig{})
	turns := executor.NewTurns(1)
	busy, quiet := executor.NewTenant("busy", capability.Quota{}), executor.NewTenant("quiet", capability.Quota{})
	take := func(tenant *executor.Tenant) *executor.Turn {
		t.Helper()
		turn, err := turns.Take(t.Context(), tenant)
		if err != nil {
			t.Fatal(err)
		}
		return turn
	}
	calls := func(turn *executor.Turn, until func() bool) {
		t.Helper()
		for !until() {
			if _, err := in.Call(executor.WithCall(t.Context(), &executor.Call{Turn: turn}), 0, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	some := func() func() bool { n := 0; return func() bool { n++; return n > 20 } }
	waits := func(turn *executor.Turn) (waited chan struct{}) {
		waited = make(chan struct{})
		go func() {
			defer close(waited)
			if next, err := turns.Take(t.Context(), busy); err == nil {
				next.Done()
			}
		}()
		for turn.Contest().Waiting == 0 {
			runtime.Gosched()
		}
		return waited
	}

	turn := take(busy)
	calls(turn, some())
	if least := slices.Min(niceOfThreads(t)); least < base {
		t.Errorf("a thread has nice %d, though nobody waits; want %d", least, base)
	}
	begin := time.Now()
	waited := waits(turn)
	calls(turn, func() bool { return time.Since(begin) > 50*time.Millisecond })
	if least := slices.Min(niceOfThreads(t)); least < base {
		t.Errorf("a thread has nice %d, though its tenant has computed all the time; want %d", least, base)
	}
	turn.Done()
	<-waited

	turn = take(quiet)
	waited = waits(turn)
	seen := make(chan struct{})
	go func() {
		defer close(seen)
		for slices.Min(niceOfThreads(t)) != base-8 && t.Context().Err() == nil {
		}
	}()
	calls(turn, func() bool { return closed(seen) })
	turn.Done()
	<-waited
	if least := slices.Min(niceOfThreads(t)); least < base {
		t.Errorf("a thread has nice %d after the calls; want %d", least, base)
	}
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
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
