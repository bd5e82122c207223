package cgroup

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// roleEnv makes the test's own binary a child that can be limited.
const roleEnv = "BUNGEE_CGROUP_TEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(roleEnv) {
	case "spin":
		spinUntilEOF()
	case "self":
		limitSelf()
	default:
		goleak.VerifyTestMain(m)
	}
}

// spinUntilEOF keeps a core busy until its stdin is closed.
func spinUntilEOF() {
	var end atomic.Bool
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		end.Store(true)
	}()
	fmt.Println("spinning")
	for !end.Load() {
	}
}

// limitSelf limits itself, and prints its group before, in and after the limit.
func limitSelf() {
	fmt.Println(cpuGroup("self"))
	g, err := Limit(0.5, Options{})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(cpuGroup("self"))
	fmt.Println(g.Close())
	fmt.Println(cpuGroup("self"))
}

// cpuGroup returns the group of a process in version 1's cpu hierarchy.
func cpuGroup(pid string) string {
	text, err := os.ReadFile(filepath.Join("/proc", pid, "cgroup"))
	if err != nil {
		return err.Error()
	}
	group, _ := findGroup(string(text), 1, "cpu")
	return group
}

// needV1 skips where the real hierarchy cannot be used, and returns its group.
func needV1(t *testing.T) place {
	t.Helper()
	const how = "run as root with cgroup v1's cpu: sudo go test ./internal/cgroup"
	at, err := find("/", os.Getpid())
	if err != nil || at.version != 1 {
		t.Skipf("no cgroup v1 with cpu here (%v); %s", err, how)
	}
	probe := filepath.Join(at.dir, "bungee-probe-"+strconv.Itoa(os.Getpid()))
	if err := os.Mkdir(probe, 0o755); err != nil {
		t.Skipf("no group can be made here (%v); %s", err, how)
	}
	if err := os.Remove(probe); err != nil {
		t.Fatal(err)
	}
	return at
}

// child starts this binary in a role; it ends with the test.
func child(t *testing.T, role string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), roleEnv+"="+role)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("child %s: %v", role, err)
		}
	})
	return cmd, bufio.NewScanner(stdout)
}

func TestRealChildIsThrottled(t *testing.T) {
	at := needV1(t)
	cmd, out := child(t, "spin")
	if !out.Scan() {
		t.Fatal("the child does not start")
	}
	pid := cmd.Process.Pid
	before := cpuGroup(strconv.Itoa(pid))
	g, err := Limit(0.2, Options{PID: pid})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	}()
	if got := cpuGroup(strconv.Itoa(pid)); !strings.HasSuffix(got, "/bungee-ue-"+strconv.Itoa(pid)) {
		t.Errorf("the child is in %q; want bungee-ue-%d", got, pid)
	}
	waitThrottled(t, g, 3)

	if err := g.MoveOut(pid); err != nil {
		t.Fatal(err)
	}
	if got := cpuGroup(strconv.Itoa(pid)); got != before {
		t.Errorf("after MoveOut the child is in %q; want %q", got, before)
	}
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(at.dir, "bungee-ue-"+strconv.Itoa(pid))); !os.IsNotExist(err) {
		t.Errorf("after Close the group is there (%v); want it gone", err)
	}
}

// waitThrottled waits until the group ran out of its quota n times; the test's
// own time limit is the only one.
func waitThrottled(t *testing.T, g *Group, n uint64) {
	t.Helper()
	tick := time.NewTicker(Period)
	defer tick.Stop()
	for {
		got, held, err := g.Throttled()
		if err != nil {
			t.Fatal(err)
		}
		if got >= n {
			if held <= 0 {
				t.Errorf("throttled %d times for %v; want some time", got, held)
			}
			return
		}
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatalf("throttled %d times; want %d", got, n)
		}
	}
}

func TestRealProcessLimitsItself(t *testing.T) {
	needV1(t)
	cmd, out := child(t, "self")
	var lines []string
	for out.Scan() {
		lines = append(lines, out.Text())
	}
	if len(lines) != 4 {
		t.Fatalf("the child said %q; want its group before, in, and after the limit", lines)
	}
	if want := "bungee-ue-" + strconv.Itoa(cmd.Process.Pid); filepath.Base(lines[1]) != want {
		t.Errorf("limited, the child is in %q; want %s", lines[1], want)
	}
	if lines[2] != "<nil>" || lines[3] != lines[0] {
		t.Errorf("Close gave %s and the child is in %q; want <nil> and %q", lines[2], lines[3], lines[0])
	}
}
