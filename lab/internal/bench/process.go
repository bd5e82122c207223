package bench

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// A process is a child that prints what others need to reach it as its first
// line, and ends with its standard input.
type process struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// start starts cmd. Its errors go to our own stderr, unless it has one.
func start(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd}
	if cmd.Stderr == nil {
		cmd.Stderr = os.Stderr
	}
	var err error
	if p.in, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = bufio.NewReader(out)
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	return p, nil
}

// line reads what the process says.
func (p *process) line() (string, error) {
	s, err := p.out.ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("a process has ended too soon, and what it said is above: %q: %w", strings.Join(p.cmd.Args, " "), err)
	}
	return strings.TrimSpace(s), nil
}

// kill ends the process as a crash does, and waits until it is gone.
func (p *process) kill() {
	p.cmd.Process.Kill()
	p.cmd.Wait() // says that it was killed
}

// endTime is how long a process may take to end in order, beside others that have the cores.
const endTime = 30 * time.Second

// end ends the process in order.
func (p *process) end() error {
	p.in.Close()
	stop := time.AfterFunc(endTime, func() { p.cmd.Process.Kill() })
	defer stop.Stop()
	io.Copy(io.Discard, p.out) // it must not wait for a reader of what it still says
	if err := p.cmd.Wait(); err != nil {
		return fmt.Errorf("end %s: %w", p.cmd, err)
	}
	return nil
}

// An edgeProcess is an edge host in a process of its own, which can die and
// return at the same address.
type edgeProcess struct {
	program Program
	host    Host
	address string // ""; then where it was first
	*process
}

// A Program makes the command of a process that runs a [Host].
type Program func(h Host) *exec.Cmd

func startEdge(program Program, h Host) (*edgeProcess, error) {
	e := &edgeProcess{program: program, host: h}
	return e, e.start()
}

// start starts the process, again at the address that it had.
func (e *edgeProcess) start() error {
	h := e.host
	h.Listen = cmp.Or(e.address, h.Listen)
	p, err := start(e.program(h))
	if err != nil {
		return err
	}
	line, err := p.line()
	if err != nil {
		return errors.Join(err, p.end())
	}
	e.address = strings.TrimPrefix(line, "listening on ") // as bungee host says it
	e.process = p
	return nil
}
