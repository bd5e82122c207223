//go:build cgo

package wasmtime

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/internal/line"
)

// compilers starts compilers and gives them modules. One that has been started waits
// for the next module: a program that is linked with much takes longer to start than a
// small module to compile.
type compilers struct {
	// Set by newCompilers, then constant.
	command []string
	starts  chan func()   // run by the starter
	quit    chan struct{} // closed by close
	wg      sync.WaitGroup

	mu     sync.Mutex
	closed bool
	spare  *child
}

// newCompilers returns compilers that command starts, the first of which is being
// started.
func newCompilers(command []string, s compilerSettings) *compilers {
	settings, err := json.Marshal(s)
	if err != nil {
		panic(err) // two bools
	}
	c := &compilers{
		command: append(append([]string{}, command...), compilerArg, string(settings)),
		starts:  make(chan func()),
		quit:    make(chan struct{}),
	}
	c.wg.Go(c.starter)
	return c
}

// starter starts all compilers from one thread, with which the kernel ends them. The
// thread ends with this goroutine.
func (c *compilers) starter() {
	runtime.LockOSThread()
	for {
		select {
		case f := <-c.starts:
			f()
		case <-c.quit:
			return
		}
	}
}

// close ends all compilers.
func (c *compilers) close() {
	c.mu.Lock()
	spare := c.spare
	first := !c.closed
	c.closed, c.spare = true, nil
	c.mu.Unlock()
	if spare != nil {
		_ = spare.end()
	}
	if first {
		close(c.quit)
	}
	c.wg.Wait()
}

var errEngineClosed = errors.New("engine is closed")

// take returns a compiler that is ready: the one that waits, or one that it starts.
func (c *compilers) take(ctx context.Context) (*child, error) {
	c.mu.Lock()
	spare := c.spare
	c.spare = nil
	c.mu.Unlock()
	if spare != nil {
		if spare.ready(ctx) == nil {
			return spare, nil
		}
		_ = spare.end() // somebody has ended it meanwhile
	}
	child, err := c.start()
	if err != nil {
		return nil, err
	}
	if err := child.ready(ctx); err != nil {
		return nil, errors.Join(err, child.end())
	}
	return child, nil
}

// probe says whether a compiler can be started. The first one waits for a module then.
func (c *compilers) probe() error {
	child, err := c.take(context.Background())
	if err != nil {
		return err
	}
	child.isReady = true
	c.keep(child)
	return nil
}

// prepare has a compiler wait for the next module, unless one does.
func (c *compilers) prepare() {
	c.mu.Lock()
	needed := !c.closed && c.spare == nil
	c.mu.Unlock()
	if !needed {
		return
	}
	child, err := c.start()
	if err != nil {
		return // the next compilation says so
	}
	c.keep(child)
}

// keep has child wait for the next module, or ends it where another one waits.
func (c *compilers) keep(child *child) {
	c.mu.Lock()
	keep := !c.closed && c.spare == nil
	if keep {
		c.spare = child
	}
	c.mu.Unlock()
	if !keep {
		_ = child.end()
	}
}

// start starts a compiler.
func (c *compilers) start() (*child, error) {
	started := make(chan error, 1)
	var made *child
	f := func() {
		var err error
		made, err = startChild(c.command)
		started <- err
	}
	select {
	case c.starts <- f:
		err := <-started
		return made, err
	case <-c.quit:
		return nil, errEngineClosed
	}
}

// A child is a compiler. It belongs to one goroutine, but for Pause and Resume.
type child struct {
	cmd      *exec.Cmd
	in       io.WriteCloser
	out      io.ReadCloser
	messages *head
	isReady  bool
}

// maxMessages bounds what is kept of a compiler's standard error.
const maxMessages = 1 << 10

// childEnv is the environment of compilers: empty, where nil would be ours.
var childEnv = []string{}

func startChild(command []string) (*child, error) {
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env = childEnv
	cmd.SysProcAttr = childAttr()
	c := &child{cmd: cmd, messages: &head{}}
	cmd.Stderr = c.messages
	var err error
	if c.in, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if c.out, err = cmd.StdoutPipe(); err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the compiler: %w", err)
	}
	setNice(cmd.Process.Pid)
	return c, nil
}

// Pause implements [line.Work].
func (c *child) Pause() { _ = c.cmd.Process.Signal(syscall.SIGSTOP) }

// Resume implements [line.Work].
func (c *child) Resume() { _ = c.cmd.Process.Signal(syscall.SIGCONT) }

// end kills the compiler, unless it has ended, and returns how it did.
func (c *child) end() error {
	_ = c.cmd.Process.Kill()
	_ = c.in.Close()
	return c.wait()
}

// wait waits for the end of the compiler.
func (c *child) wait() error {
	err := c.cmd.Wait()
	if text := c.messages.String(); err != nil && text != "" {
		return fmt.Errorf("%w: %q", err, text)
	}
	return err
}

// startTime is how long a compiler may take until it is ready: a machine that has all
// hands full takes seconds.
const startTime = 30 * time.Second

// ready waits until the compiler can read.
func (c *child) ready(ctx context.Context) error {
	if c.isReady {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = c.cmd.Process.Kill() })()
	var b [1]byte
	if _, err := io.ReadFull(c.out, b[:]); err != nil || b[0] != ready {
		return fmt.Errorf("compiler %q is not ready: %w", c.cmd.Path, errors.Join(err, context.Cause(ctx)))
	}
	return nil
}

// bounds are those of one compilation.
type bounds struct {
	memory int64
	cpu    time.Duration
	output int64
}

// compile returns the code of wasm. It ends the compiler, at once when ctx ends.
func (c *child) compile(ctx context.Context, wasm []byte, most bounds) ([]byte, error) {
	stop := context.AfterFunc(ctx, func() { _ = c.cmd.Process.Kill() })
	defer stop()
	words := binary.LittleEndian.AppendUint64(nil, uint64(most.memory))
	words = binary.LittleEndian.AppendUint64(words, uint64(most.cpu))
	words = binary.LittleEndian.AppendUint64(words, uint64(len(wasm)))
	_, err := c.in.Write(words)
	if err == nil {
		_, err = c.in.Write(wasm)
	}
	err = errors.Join(err, c.in.Close())
	answer, readErr := io.ReadAll(io.LimitReader(c.out, most.output+2))
	if int64(len(answer)) > most.output+1 {
		_ = c.end()
		return nil, fmt.Errorf("%w: compiled it has more than %d bytes", executor.ErrTooLarge, most.output)
	}
	ended := c.wait()
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case ended != nil:
		return nil, c.verdict(ended, most)
	case errors.Join(err, readErr) != nil || len(answer) == 0:
		return nil, fmt.Errorf("talk to the compiler: %w", errors.Join(err, readErr, io.ErrUnexpectedEOF))
	case answer[0] != compiled:
		return nil, doesNotCompile(string(answer[1:]))
	}
	return answer[1:], nil
}

// doesNotCompile is the error of a module that wasmtime refuses.
func doesNotCompile(why string) error {
	return fmt.Errorf("%w: it does not compile: %q", executor.ErrABI, clip(why))
}

// A crash is the end of a compiler that is no fault of a bound.
type crash struct{ error }

// verdict returns the error of a module on which the compiler has ended with err.
func (c *child) verdict(err error, most bounds) error {
	said := c.messages.String()
	if c.used() >= most.cpu {
		return fmt.Errorf("%w: it takes more than %v of CPU to compile", executor.ErrTooLarge, most.cpu)
	}
	for _, words := range []string{"memory allocation of", "out of memory", "cannot allocate memory", "failed to allocate", "pthread_create failed"} {
		if strings.Contains(said, words) {
			return fmt.Errorf("%w: it takes more than %d MiB of memory to compile", executor.ErrTooLarge, most.memory>>20)
		}
	}
	return crash{fmt.Errorf("the compiler ended on this module: %w", err)}
}

// used returns the CPU time of a compiler that has ended.
func (c *child) used() time.Duration {
	if s := c.cmd.ProcessState; s != nil {
		return s.UserTime() + s.SystemTime()
	}
	return 0
}

var _ line.Work = (*child)(nil)

// A head keeps the first bytes that were written to it: a crash says first what it is. It
// may be read once nobody writes.
type head struct{ buf bytes.Buffer }

// Write implements [io.Writer].
func (h *head) Write(p []byte) (int, error) {
	h.buf.Write(p[:min(len(p), maxMessages-h.buf.Len())])
	return len(p), nil
}

func (h *head) String() string { return strings.TrimSpace(h.buf.String()) }

// ownCommand returns the command that starts this program as a compiler, nil where its
// main does not call [CompilerMain]. On Linux that is the very file that runs, also when
// another one has been installed in its place.
func ownCommand() []string {
	if !ownCompiler.Load() {
		return nil
	}
	const self = "/proc/self/exe"
	if _, err := os.Stat(self); err == nil {
		return []string{self}
	}
	path, err := os.Executable()
	if err != nil {
		return nil
	}
	return []string{path}
}
