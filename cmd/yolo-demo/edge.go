//go:build cgo && opencv

package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/bungee-xr/bungee/internal/identity"
)

// hostStart bounds the start of the edge host: it loads its networks and, on a
// machine that has not seen the module yet, compiles it when it comes.
const hostStart = 60 * time.Second

// An edgeHost is a child process that serves as the edge host of the demo, with
// certificates that nobody else has. When it dies it is started again, at the
// same address.
type edgeHost struct {
	addr string
	tls  *tls.Config
	log  *slog.Logger
	dir  string // its certificates
	args []string
	out  func(pid int) error // moves it out of the UE's limits

	stop func()
	done chan struct{} // closed once the last process has ended

	mu  sync.Mutex
	cmd *exec.Cmd
}

// startEdgeHost starts the host and returns once it listens. args are the
// program and what it serves.
func startEdgeHost(ctx context.Context, args []string, log *slog.Logger) (*edgeHost, error) {
	dir, err := os.MkdirTemp("", "bungee-demo-")
	if err != nil {
		return nil, err
	}
	h := &edgeHost{log: log, dir: dir, args: args, done: make(chan struct{})}
	if err := h.begin(ctx); err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	return h, nil
}

func (h *edgeHost) begin(ctx context.Context) error {
	certs := filepath.Join(h.dir, "certs")
	if err := identity.Write(certs); err != nil {
		return err
	}
	var err error
	if h.tls, err = identity.Load(certs, identity.UE); err != nil {
		return err
	}
	h.args = append(h.args, "--certs", certs, "--until-eof", "--name", "edge-host")
	p, err := h.start(ctx, "127.0.0.1:0")
	if err != nil {
		return err
	}
	ctx, h.stop = context.WithCancel(context.WithoutCancel(ctx))
	go h.supervise(ctx, p)
	return nil
}

// A hostProcess is one life of the child.
type hostProcess struct {
	cmd   *exec.Cmd
	stdin io.Closer // its end tells the child to drain and exit
	ended chan struct{}
	err   error // once ended
}

// start starts a process and waits until it listens.
func (h *edgeHost) start(ctx context.Context, listen string) (*hostProcess, error) {
	cmd := exec.Command(h.args[0], append(h.args[1:len(h.args):len(h.args)], "--listen", listen)...)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("edge host: %w", err)
	}
	p := &hostProcess{cmd: cmd, stdin: stdin, ended: make(chan struct{})}
	ready := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(stdout).ReadString('\n')
		ready <- line
		p.err = cmd.Wait()
		close(p.ended)
	}()
	select {
	case line := <-ready:
		addr, ok := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
		if !ok {
			<-p.ended
			return nil, fmt.Errorf("the edge host did not start: %v (its own words are above)", p.err)
		}
		h.addr = addr
	case <-time.After(hostStart):
		err = fmt.Errorf("the edge host did not listen within %v", hostStart)
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if err != nil {
		cmd.Process.Kill()
		<-p.ended
		return nil, err
	}
	h.mu.Lock()
	h.cmd = cmd
	h.mu.Unlock()
	return p, nil
}

// supervise keeps a process running until ctx ends, and then ends the last one.
func (h *edgeHost) supervise(ctx context.Context, p *hostProcess) {
	defer close(h.done)
	for {
		select {
		case <-ctx.Done():
			p.end()
			return
		case <-p.ended:
		}
		h.log.Warn("the edge host has died and is started again", "why", p.err)
		next, err := h.start(ctx, h.addr)
		if err != nil {
			h.log.Error("the edge host cannot be started again; every frame is computed here", "why", err)
			return
		}
		p = next
		h.mu.Lock()
		out := h.out
		h.mu.Unlock()
		if out != nil {
			if err := out(p.cmd.Process.Pid); err != nil {
				h.log.Warn("the edge host shares the UE's CPU limit", "why", err)
			}
		}
	}
}

// end tells the process to drain, and kills it when it does not.
func (p *hostProcess) end() {
	p.stdin.Close()
	select {
	case <-p.ended:
	case <-time.After(5 * time.Second):
		p.cmd.Process.Kill()
		<-p.ended
	}
}

// moveOut calls out for the running process, and for each later one.
func (h *edgeHost) moveOut(out func(pid int) error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.out = out
	return out(h.cmd.Process.Pid)
}

// pid returns the process id of the running host.
func (h *edgeHost) pid() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.cmd.Process.Pid
}

// Close ends the host and removes its certificates.
func (h *edgeHost) Close() error {
	h.stop()
	<-h.done
	return os.RemoveAll(h.dir)
}

// findBungee returns the bungee command that was built with this program.
func findBungee() (string, error) {
	if self, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(self), "bungee")
		if _, err := os.Stat(beside); err == nil {
			return beside, nil
		}
	}
	path, err := exec.LookPath("bungee")
	if err != nil {
		return "", errors.New(`the edge host is the program bungee, which is neither beside yolo-demo nor on the path; run "make build", or name a running host with -edge`)
	}
	return path, nil
}
