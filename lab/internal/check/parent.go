package check

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// Run runs the checker until ctx ends. It returns a [*Failure] for the first script that
// broke the contract, shrunk. Scripts run in child processes of this program, with
// [Serve], so that one that ends its process is a failure like any other.
func (s *Seeds) Run(ctx context.Context) error {
	if IsChild() {
		return errors.New("a child starts no children")
	}
	stop := s.report()
	defer stop()
	defer context.AfterFunc(ctx, func() { s.next.Store(int64(s.N)) })()
	var wg sync.WaitGroup
	errs := make([]error, max(1, s.Parallel))
	for i := range errs {
		wg.Go(func() { errs[i] = s.work() })
	}
	wg.Wait()
	switch {
	case s.failure != nil:
		return s.failure
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return errors.Join(errs...)
}

// work runs scripts in a child, and in another one after each that ended its child.
func (s *Seeds) work() error {
	c := &child{}
	defer c.end()
	for {
		n := s.next.Add(1)
		if n > int64(s.N) || s.failed() != nil {
			return nil
		}
		s.Counts.Seeds.Add(1)
		seed := s.First + uint64(n) - 1
		script := s.script(seed)
		v, err := c.run(script, s.limit())
		if err != nil {
			return err
		}
		s.Counts.addNumbers(v.Counts)
		if v.Why != "" && !s.survey(seed, script, v.Why) {
			return s.shrink(seed, script, v.Why, c)
		}
	}
}

// limit is how long a script may take. Those without an adversary have the time that they
// have in this process.
func (s *Seeds) limit() time.Duration {
	if s.Adversary {
		return scriptTime
	}
	return standstill
}

// scriptTime is how long a script may take in real time, a thousand times what it does,
// and againTime how long when it is shrunk, and shrinkTime how long that may take.
const (
	scriptTime = 40 * time.Second
	againTime  = 10 * time.Second
	shrinkTime = 5 * time.Minute
)

// shrink shrinks a script that failed in child c.
func (s *Seeds) shrink(seed uint64, script *Script, why string, c *child) (err error) {
	end := time.Now().Add(shrinkTime)
	s.found(seed, script, why, func(again *Script) string {
		if err != nil || time.Now().After(end) {
			return ""
		}
		var v verdict
		v, err = c.run(again, againTime)
		return v.Why
	})
	return err
}

// A child is a process that runs scripts. The zero child is started when it is needed.
type child struct {
	cmd      *exec.Cmd
	stdin    io.Closer
	jobs     *json.Encoder
	verdicts *json.Decoder
	says     bytes.Buffer
}

// start starts the process.
func (c *child) start() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	c.says.Reset()
	c.cmd = exec.Command(self, "bench", "check")
	c.cmd.Env = append(os.Environ(), asChild+"=1")
	c.cmd.Stderr = &c.says
	in, err := c.cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	c.stdin, c.jobs, c.verdicts = in, json.NewEncoder(in), json.NewDecoder(out)
	return c.cmd.Start()
}

// run runs a script. Where that ends the process, the verdict is that it did.
func (c *child) run(s *Script, limit time.Duration) (v verdict, err error) {
	if c.cmd == nil {
		if err := c.start(); err != nil {
			return v, err
		}
	}
	kill := time.AfterFunc(2*limit, func() { c.cmd.Process.Kill() })
	defer kill.Stop()
	c.jobs.Encode(job{s.String(), limit}) // Decode tells where that fails
	if c.verdicts.Decode(&v) == nil {
		return v, nil
	}
	c.end()
	return verdict{Why: death(c.says.String())}, nil
}

// end ends the process and waits for it.
func (c *child) end() {
	if c.cmd == nil {
		return
	}
	c.stdin.Close()
	c.cmd.Wait()
	c.cmd = nil
}

// death says why a process ended, from what it printed.
func death(says string) string {
	for line := range strings.Lines(says) {
		if why, ok := strings.CutPrefix(line, "panic: "); ok {
			if strings.HasPrefix(why, standsStill) {
				return standsStill + "\n" + says
			}
			return "the program panicked: " + why + says
		}
		if why, ok := strings.CutPrefix(line, "fatal error: "); ok {
			return "the program ended: " + why + says
		}
	}
	return "the program ended\n" + fmt.Sprintf("%.20000s", says)
}
