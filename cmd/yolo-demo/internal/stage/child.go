package stage

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

const (
	// startTime bounds the start of a process: a host loads its networks.
	startTime = 60 * time.Second
	// endTime is how long a process may take to end by itself.
	endTime = 5 * time.Second
)

// A child is a process that is started again, at the same address, when it dies.
//
//	beginning --it listens--> running --dies--> beginning
//	                          running --kill--> dead --its time--> beginning
type child struct {
	s    *Stage
	name string
	args []string

	begun chan struct{} // closed when it listens for the first time, or cannot

	mu   sync.Mutex // leaf
	addr string     // where it listens
	err  error      // why it could not begin
	cmd  *exec.Cmd  // nil: it is dead
	rest time.Time  // until when it stays dead
}

func (s *Stage) child(name string, args ...string) *child {
	return &child{s: s, name: name, args: append(args, "--until-eof"), addr: "127.0.0.1:0", begun: make(chan struct{})}
}

// begin starts the process, and keeps it running until life ends. ctx bounds the first start.
func (c *child) begin(ctx, life context.Context) {
	c.s.children.Go(func() {
		first, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(life, cancel)()
		p, err := c.start(first)
		c.mu.Lock()
		c.err = err
		c.mu.Unlock()
		close(c.begun)
		if err == nil {
			c.supervise(life, p)
		}
	})
}

// await waits until the process listens, or says why it does not.
func (c *child) await(ctx context.Context) error {
	select {
	case <-c.begun:
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// A process is one life of a child.
type process struct {
	cmd   *exec.Cmd
	stdin io.Closer // its end tells the process to end
	ready chan string
	ended chan struct{}
	err   error // once ended
}

// run starts a process. What it says first comes on ready.
func run(args []string) (*process, error) {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stderr, cmd.SysProcAttr = os.Stderr, apart()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, stdin: stdin, ready: make(chan string, 1), ended: make(chan struct{})}
	go func() { // it ends with the process, which its owner ends
		lines := bufio.NewReader(stdout)
		line, _ := lines.ReadString('\n')
		p.ready <- line
		io.Copy(io.Discard, lines)
		p.err = cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// end tells the process to end, and kills it when it does not.
func (p *process) end() {
	p.stdin.Close()
	select {
	case <-p.ended:
	case <-time.After(endTime):
		p.cmd.Process.Kill()
		<-p.ended
	}
}

// start starts a life, and waits until it listens.
func (c *child) start(ctx context.Context) (*process, error) {
	p, err := run(append(c.args[:len(c.args):len(c.args)], "--listen", c.address()))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.name, err)
	}
	if err := c.s.takeOut(p.cmd.Process.Pid); err != nil {
		c.s.cfg.Log.Warn("a process shares the UE's CPU limit", "process", c.name, "why", err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, startTime, fmt.Errorf("%s did not listen within %v", c.name, startTime))
	defer cancel()
	select {
	case line := <-p.ready:
		addr, ok := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
		if !ok {
			<-p.ended
			return nil, fmt.Errorf("the %s did not start: %v (its own words are above)", c.name, p.err)
		}
		c.mu.Lock()
		c.addr, c.cmd = addr, p.cmd
		c.mu.Unlock()
		return p, nil
	case <-ctx.Done():
		p.cmd.Process.Kill()
		<-p.ended
		return nil, context.Cause(ctx)
	}
}

// supervise keeps a process running until life ends, and then ends the last one.
func (c *child) supervise(life context.Context, p *process) {
	for {
		select {
		case <-life.Done():
			p.end()
			return
		case <-p.ended:
		}
		c.mu.Lock()
		c.cmd = nil
		c.mu.Unlock()
		c.s.cfg.Log.Warn("a process has died and is started again", "process", c.name, "why", p.err, "in", c.deadFor())
		select {
		case <-time.After(c.deadFor()):
		case <-life.Done():
			return
		}
		next, err := c.start(life)
		if err != nil {
			if life.Err() == nil {
				c.s.cfg.Log.Error("a process cannot be started again; the demo does without", "process", c.name, "why", err)
			}
			return
		}
		p = next
	}
}

func (c *child) address() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.addr
}

func (c *child) pid() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cmd == nil {
		return 0
	}
	return c.cmd.Process.Pid
}

var errDead = errors.New("it does not run")

// kill kills the process, which stays dead for a while.
func (c *child) kill(rest time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cmd == nil {
		return fmt.Errorf("%s: %w", c.name, errDead)
	}
	c.rest = time.Now().Add(rest)
	return c.cmd.Process.Kill()
}

// deadFor returns for how long the process is to stay dead.
func (c *child) deadFor() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return max(0, time.Until(c.rest))
}

// moveOut takes the process that runs out of the UE's limits.
func (c *child) moveOut() error {
	if pid := c.pid(); pid != 0 {
		return c.s.takeOut(pid)
	}
	return nil
}

// takeOut takes a process out of the UE's limits, if there are any.
func (s *Stage) takeOut(pid int) error {
	s.mu.Lock()
	out := s.out
	s.mu.Unlock()
	if out == nil {
		return nil
	}
	return out(pid)
}
