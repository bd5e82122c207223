package ue_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/elastic"
	"github.com/bungee-xr/bungee/executor/native"
	"github.com/bungee-xr/bungee/handler/host"
	"github.com/bungee-xr/bungee/handler/ue"
	"github.com/bungee-xr/bungee/handler/ue/policy"
	"github.com/bungee-xr/bungee/internal/identity"
)

// What the UE's side may hold, beside the application. A headset has some GB and other
// work for them; each number is about one and a half times what was measured with Go
// 1.26, so that a new buffer or goroutine a connection is seen, and noise is not.
const (
	// A handler without an edge host has the goroutine that makes views. Its memory is what is known of a function.
	mostLocalGoroutines = 1
	mostLocalKB         = 32

	// A connection has quic-go's three goroutines (it reads, runs and sends) and one that
	// closes the path it began on; the session one that listens for go away; the target
	// one that connects again, and one that keeps a lifeline; the handler the one that makes views. Its memory is quic-go's
	// packet buffers and queues, and the TLS session.
	mostEdgeGoroutines = 11
	mostEdgeKB         = 900

	// A call in flight has the caller's goroutine. Its stream stays for the next one,
	// with quic-go's halves of it and a timer.
	mostCallGoroutines = 0
	mostCallKB         = 8
	// A socket begins with one buffer of 64 KB, and has up to four, see package link: as many as packets have come at once.
	socketBuffers = 4

	// An idle channel at a host has the goroutine that reads its stream, with a buffer
	// of 2 KB, and a channel's own state.
	mostChannelGoroutines = 1
	mostChannelKB         = 12
)

// budgetHost is set in the process that is the edge host of TestBudget.
const budgetHost = "BUNGEE_TEST_BUDGET_HOST"

// usage is what a process holds.
type usage struct{ goroutines, heap int }

// held returns what this process holds once it has settled: what has ended is gone, and what is under
// way in the background, as a change of path, is done.
func held() usage {
	deadline := time.After(10 * time.Second)
	u, calm := holds(), 0
	for {
		select {
		case <-deadline:
			return u
		case <-time.After(10 * time.Millisecond):
		}
		next := holds()
		if next.goroutines != u.goroutines || next.heap > u.heap+1<<10 || next.heap < u.heap-1<<10 {
			u, calm = next, 0
			continue
		}
		if calm++; calm == 10 {
			return u
		}
	}
}

// holds returns what this process holds now.
func holds() usage {
	least := 1 << 40
	for range 3 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		least = min(least, int(m.HeapAlloc))
	}
	return usage{runtime.NumGoroutine(), least}
}

func (u usage) over(before usage, n int) (goroutines, kb float64) {
	return float64(u.goroutines-before.goroutines) / float64(n), float64(u.heap-before.heap) / 1024 / float64(n)
}

func checkBudget(t *testing.T, what string, before, after usage, n int, mostGoroutines, mostKB float64) {
	t.Helper()
	goroutines, kb := after.over(before, n)
	t.Logf("%s: %.1f goroutines, %.1f KB; at most %.0f and %.0f", what, goroutines, kb, mostGoroutines, mostKB)
	if goroutines > mostGoroutines || kb > mostKB {
		t.Errorf("%s holds %.1f goroutines and %.1f KB; at most %.0f and %.0f", what, goroutines, kb, mostGoroutines, mostKB)
	}
}

// The edge host is another process, so that all that is counted is the UE's.
func TestBudget(t *testing.T) {
	dir := t.TempDir()
	if err := identity.Write(dir); err != nil {
		t.Fatal(err)
	}
	addr := startBudgetHost(t, dir)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()

	start := held()
	local, err := ue.Start(ctx, ue.Config{})
	if err != nil {
		t.Fatal(err)
	}
	f := doubler("budget", true, double)
	f.Call(ctx, 1)
	checkBudget(t, "a handler without an edge host", start, held(), 1, mostLocalGoroutines, mostLocalKB)
	local.Close()

	conf, err := ue.LoadTLS(dir)
	if err != nil {
		t.Fatal(err)
	}
	before := held()
	h, err := ue.Start(context.Background(), ue.Config{Edge: addr, TLS: conf, Policy: policy.Always(policy.OnEdge)})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	f = doubler("budget of the edge", true, double)
	if err := h.Prepare(ctx, &f.Desc); err != nil {
		t.Fatal(err)
	}
	idle := held()
	checkBudget(t, "a handler with an edge host", before, idle, 1, mostEdgeGoroutines, mostEdgeKB)

	const calls = 16
	called := idle
	for round := range socketBuffers { // a round may come upon packets in a heap, for which the socket takes one buffer more, for good
		before := called
		for n := range int64(calls) {
			if got, err := f.Call(ctx, n); got != 2*n || err != nil {
				t.Fatalf("call %d: %d, %v", n, got, err)
			}
		}
		if s := h.Stats(); s.Edge != uint64(round+1)*calls {
			t.Fatalf("%+v; want %d calls on the edge host", s, (round+1)*calls)
		}
		called = held()
		if _, kb := called.over(before, 1); kb <= mostCallKB || round == socketBuffers-1 {
			checkBudget(t, "what is left of calls, one after another", before, called, 1, mostCallGoroutines, mostCallKB)
			break
		}
	}

	const channels = 50
	for range channels {
		ch, err := elastic.Open(tally(), elastic.Config{CheckpointInterval: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		defer ch.Close()
		if err := ch.Move(ctx, h.Target("")); err != nil {
			t.Fatal(err)
		}
	}
	checkBudget(t, "a channel", called, held(), channels, mostChannelGoroutines, mostChannelKB)
}

// startBudgetHost starts this test's program as an edge host and returns its address.
func startBudgetHost(t *testing.T, dir string) string {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestBudgetHost$", "-test.v")
	cmd.Env = append(os.Environ(), budgetHost+"="+dir)
	cmd.Stderr = t.Output()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		cmd.Wait()
	})
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if addr, ok := strings.CutPrefix(lines.Text(), "listening on "); ok {
			go io.Copy(io.Discard, out) // ends with the process
			return addr
		}
	}
	t.Fatal("the edge host did not say where it listens")
	return ""
}

// TestBudgetHost is the edge host of TestBudget, in a process of its own.
func TestBudgetHost(t *testing.T) {
	dir := os.Getenv(budgetHost)
	if dir == "" {
		t.Skip("this is the edge host that TestBudget starts: go test -run TestBudget ./handler/ue")
	}
	conf, err := identity.Load(dir, identity.Host)
	if err != nil {
		t.Fatal(err)
	}
	serve := doubler("", true, double).Serve
	engine := native.Engine{Functions: func() []native.Func {
		far := tally().Serve()
		return native.Served(func(ctx context.Context, request, dst []byte) []byte {
			if len(request) > 0 && request[0] < 0x80 { // a number: both are told apart by nothing else
				return serve(ctx, request, dst)
			}
			return far.Handle(ctx, request, dst)
		}, far.Save, far.Restore)
	}}
	h, err := host.New(host.Config{Engine: engine, TLS: conf})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	pc, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.ServeTCP(ln)
	served := make(chan error, 1)
	go func() { served <- h.Serve(context.Background(), pc) }()
	fmt.Println("listening on", pc.LocalAddr())
	io.Copy(io.Discard, os.Stdin)
	h.Close()
	if err := <-served; err != nil {
		t.Error(err)
	}
}
