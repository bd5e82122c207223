//go:build unix

package check

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/elastic"
	"github.com/bungee-xr/bungee/internal/far"
	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/offload"
)

// asHost in the environment makes the test binary an edge host: its value is the
// host's name, its address and the folder of its certificates.
const asHost = "BUNGEE_CHECK_HOST"

func TestMain(m *testing.M) {
	if IsChild() {
		if err := serve(os.Stdin, os.Stdout, sabotages[os.Getenv(asSabotage)]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if args := strings.Fields(os.Getenv(asHost)); len(args) == 3 {
		if err := hostProcess(Host(args[0]), args[1], args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// hostProcess serves native far endpoints until its standard input ends. It prints
// its address, and then what is wrong, a line each.
func hostProcess(name Host, addr, certs string) error {
	conf, err := identity.Load(certs, identity.Host)
	if err != nil {
		return err
	}
	pc, err := net.ListenPacket("udp", addr)
	if err != nil {
		return err
	}
	complain := func(format string, args ...any) { fmt.Printf(format+"\n", args...) }
	e, err := serveEdge(pc, conf, func(_ context.Context, _ offload.Digest, fn uint32) (far.Endpoint, error) {
		j := newJournal(false, complain)
		j.states = nil // they come from other processes
		j.instances.Store(rand.Uint64())
		return newGuest(&ground{host: name, journal: j, desc: descOf(fn, Settings{}), slow: func() time.Duration { return 0 }}, noRefusals), nil
	})
	if err != nil {
		return err
	}
	fmt.Println(pc.LocalAddr())
	io.Copy(io.Discard, os.Stdin)
	e.close()
	return nil
}

func noRefusals() (save, restore bool) { return false, false }

// A process is an edge host in a process of its own.
type process struct {
	t     *testing.T
	st    *stage
	name  Host
	certs string
	addr  string // chosen by the first life, kept by the later ones
	peer  *target

	cmd *exec.Cmd
	out sync.WaitGroup
}

// start starts the host.
func (p *process) start() {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %s %s", asHost, p.name, p.addr, p.certs))
	cmd.Stderr = os.Stderr
	_, err := cmd.StdinPipe() // open as long as we live
	if err != nil {
		p.t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		p.t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		p.t.Fatalf("host %s did not start", p.name)
	}
	p.addr, p.cmd = lines.Text(), cmd
	p.out.Go(func() {
		for lines.Scan() {
			p.st.fail("host %s: %s", p.name, lines.Text())
		}
	})
}

// kill ends the host as kill -9 does.
func (p *process) kill() {
	p.cmd.Process.Kill()
	p.cmd.Wait()
	p.out.Wait()
}

// hold stops the host for d, as a SIGSTOP does: it lives and is silent.
func (p *process) hold(d time.Duration) {
	p.cmd.Process.Signal(syscall.SIGSTOP)
	pass(p.t.Context(), d)
	p.cmd.Process.Signal(syscall.SIGCONT)
}

// target returns the host as the UE sees it.
func (p *process) target() *target {
	conf, err := identity.Load(p.certs, identity.UE)
	if err != nil {
		p.t.Fatal(err)
	}
	addr, err := net.ResolveUDPAddr("udp", p.addr)
	if err != nil {
		p.t.Fatal(err)
	}
	return newTarget(string(p.name), addr, conf, func() (net.PacketConn, error) { return net.ListenPacket("udp", "127.0.0.1:0") })
}

// messages is how many messages go through real processes.
func messages(t *testing.T) int {
	n := 100_000
	if testing.Short() {
		n = 10_000
	}
	if env := os.Getenv("BUNGEE_MESSAGES"); env != "" {
		var err error
		if n, err = strconv.Atoi(env); err != nil || n < 1 {
			t.Fatalf("BUNGEE_MESSAGES is %q, want a number of messages", env)
		}
	}
	return n
}

// Edge hosts that are processes are killed and stopped at random under traffic,
// and started again, while the far endpoints move among them: no result is lost,
// doubled or of another state.
func TestProcesses(t *testing.T) {
	certs := t.TempDir()
	if err := identity.Write(certs + "/c"); err != nil {
		t.Fatal(err)
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	var counts Counts
	st := &stage{seed: seed, queue: 1, count: &counts, targets: map[Host]elastic.Target{}, apart: true, harm: true, sabotage: none}
	var all []*process
	for _, h := range hosts {
		p := &process{t: t, st: st, name: h, certs: certs + "/c", addr: "127.0.0.1:0"}
		p.start()
		t.Cleanup(func() {
			p.cmd.Process.Signal(syscall.SIGCONT)
			p.kill()
		})
		p.peer = p.target()
		t.Cleanup(p.peer.drop)
		st.targets[h] = p.peer
		all = append(all, p)
	}
	begin := time.Now()
	lanes := traffic(st, messages(t))
	var chaos sync.WaitGroup
	quit := make(chan struct{})
	chaos.Go(func() { disturb(all, rand.New(rand.NewPCG(seed, 1)), quit, &counts) })
	for i, l := range lanes {
		chaos.Go(func() { wander(l, rand.New(rand.NewPCG(seed, uint64(2+i))), quit) })
	}
	for _, l := range lanes {
		for l.sending.Load() > 0 && !st.failed() {
			pass(t.Context(), 10*time.Millisecond)
		}
	}
	close(quit)
	chaos.Wait()
	for _, l := range lanes {
		if st.failed() {
			l.close()
			continue
		}
		l.settle()
		l.shutdown(false)
	}
	if st.why != "" {
		t.Fatalf("seed %d: %s", seed, st.why)
	}
	t.Logf("%v: %s", time.Since(begin).Round(time.Millisecond), counts.String())
	if counts.Moves.Load() == 0 || counts.Fallbacks.Load() == 0 || counts.Crashes.Load() == 0 || counts.Mutes.Load() == 0 {
		t.Errorf("moves, fallbacks, crashes or silences are lacking: %s", counts.String())
	}
}

// traffic opens channels that send n messages in all as fast as they can.
func traffic(st *stage, n int) []*life {
	const deadline = 200 * time.Millisecond
	settings := []Settings{
		{Deadline: deadline, Standby: []Host{B}},
		{Deadline: deadline, Standby: []Host{C}, Window: 32, Interval: 50 * time.Millisecond},
		{Deadline: deadline, Latest: true, Standby: []Host{A}},
	}
	var lanes []*life
	for _, s := range settings {
		l := st.openLife(s)
		step := Step{Op: Send, N: 45*n/100 + 1, Size: 256, Vary: true, Fail: 97, Trap: 5003}
		if s.Latest { // which does not wait for anything
			step.N, step.Every, step.Trap = n/10, time.Millisecond, 0
		}
		l.sending.Add(1)
		l.sends <- step
		lanes = append(lanes, l)
	}
	return lanes
}

// disturb kills and stops hosts at random, one after the other.
func disturb(all []*process, r *rand.Rand, quit <-chan struct{}, counts *Counts) {
	millis := func(most int) time.Duration { return time.Duration(1+r.IntN(most)) * time.Millisecond }
	for {
		p := all[r.IntN(len(all))]
		if r.IntN(2) == 0 {
			counts.Crashes.Add(1)
			p.kill()
			if r.IntN(2) == 0 {
				p.peer.drop() // as the UE's lifeline does
			}
			pass(p.t.Context(), millis(200))
			p.start()
		} else {
			counts.Mutes.Add(1)
			p.hold(millis(600))
		}
		select {
		case <-quit:
			return
		case <-time.After(millis(300)):
		}
	}
}

// wander moves a channel's far endpoint at random.
func wander(l *life, r *rand.Rand, quit <-chan struct{}) {
	for {
		l.move(Step{Op: Move, Host: []Host{UE, A, B, C, A, B, C}[r.IntN(7)]})
		select {
		case <-quit:
			return
		case <-time.After(time.Duration(1+r.IntN(150)) * time.Millisecond):
		}
	}
}
