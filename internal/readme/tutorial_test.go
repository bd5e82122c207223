//go:build unix

package readme

import (
	"bytes"
	"go/format"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// tutorialPatience is how long a step may take. A step that ends as it should ends before.
const tutorialPatience = 3 * time.Minute

// TestTutorial does what docs/tutorial.md says, block by block. The comment before a block says what the block is:
//
//	file: NAME                a file that the reader writes
//	run                       commands, to their end
//	run, when P says: TEXT    the same, as soon as process P has said something new with TEXT in it
//	start: P                  a command that goes on beside the others, called P
//	kill: P, when Q says: T   how the reader kills P; the test kills its own
//	prints                    what the commands before it print
//	prints like               likewise, but numbers are others, and there may be more lines
//	prints like: P            likewise, of process P; it is waited for, but for one that was not told to end
//	not run: REASON           nothing
func TestTutorial(t *testing.T) {
	if os.Getenv("BUNGEE_LONG") == "" {
		t.Skip("follows the tutorial, whose frames come 30 a second: on a machine with other work its edge hosts are refused; BUNGEE_LONG=1 go test -run Tutorial ./internal/readme")
	}
	r := newReader(t)
	for _, b := range blocks(t, "docs/tutorial.md") {
		r.read(b)
	}
}

// A reader is somebody who follows a document.
type reader struct {
	*user
	processes map[string]*process
	printed   string // by the commands that were last
}

// newReader returns a reader who has installed bungee.
func newReader(t *testing.T) *reader {
	bin := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", bin, "./cmd/bungee")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build bungee: %v\n%s", err, out)
	}
	r := &reader{user: newUser(t), processes: map[string]*process{}}
	r.env = append(r.env, "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	t.Cleanup(func() {
		for name, p := range r.processes {
			p.kill()
			if t.Failed() {
				t.Logf("%s said:\n%s", name, p.out.text())
			}
		}
	})
	return r
}

var (
	whenSays = regexp.MustCompile(`^(run|kill: (.+)), when (.+) says: (.+)$`)
	onHost   = regexp.MustCompile(`is on (edge-\d+)`)
)

// read does what a block says.
func (r *reader) read(b block) {
	r.t.Helper()
	kind, name, _ := strings.Cut(b.mark, ": ")
	if m := whenSays.FindStringSubmatch(b.mark); m != nil {
		r.processes[m[3]].await(r.t, m[4])
		if kind, name = "run", ""; m[2] != "" {
			kind, name = "kill", m[2]
		}
	}
	switch kind {
	case "file":
		if formatted, err := format.Source([]byte(b.text)); err != nil || string(formatted) != b.text {
			r.t.Errorf("%s is not gofmt-ed (%v)", name, err)
		}
		r.write(name, b.text)
	case "run":
		r.printed = r.sh(r.here(b.text))
	case "start":
		r.processes[name] = r.start(r.here(b.text))
	case "kill":
		r.processes[name].kill()
	case "prints":
		if diff := cmp.Diff(b.text, r.printed); diff != "" {
			r.t.Fatalf("the document prints (-), its commands print (+):\n%s", diff)
		}
	case "prints like":
		if name == "" {
			r.alike(b.text, r.printed)
			return
		}
		r.processes[name].awaitAlike(r.t, b.text)
	case "not run":
	default:
		r.t.Fatalf("a block without a comment that says what it is, but %q:\n%s", b.mark, b.text)
	}
}

// here returns commands as they are for this reader: the manager has a free port, and the host to take away is the one that is in use.
func (r *reader) here(script string) string {
	script = strings.ReplaceAll(script, "bungee up", "bungee up --listen 127.0.0.1:0")
	if p := r.processes["up"]; p != nil {
		_, addr, _ := strings.Cut(p.out.text(), "listening on ")
		addr, _, _ = strings.Cut(addr, "\n")
		script = strings.ReplaceAll(script, "127.0.0.1:4434", addr)
	}
	if p := r.processes["follow"]; p != nil {
		if on := onHost.FindAllStringSubmatch(p.out.text(), -1); on != nil {
			script = strings.ReplaceAll(script, "edge-1", on[len(on)-1][1])
		}
	}
	return script
}

// alike fails the test unless each line of want comes in got, in order, with other numbers.
func (r *reader) alike(want, got string) {
	r.t.Helper()
	if missing := firstMissing(want, got); missing != "" {
		r.t.Fatalf("no line like %q, in this order, in\n%s", missing, got)
	}
}

var numbers = regexp.MustCompile(`\d+(\.\d+)?`)

// shape returns a line without its numbers, and with single blanks.
func shape(line string) string {
	return numbers.ReplaceAllString(strings.Join(strings.Fields(line), " "), "N")
}

// firstMissing returns the first line of want that has no like in got after those before it, or "".
func firstMissing(want, got string) string {
	rest := strings.Split(got, "\n")
	for line := range strings.Lines(want) {
		i := 0
		for i < len(rest) && shape(rest[i]) != shape(line) {
			i++
		}
		if i == len(rest) {
			return strings.TrimSpace(line)
		}
		rest = rest[i+1:]
	}
	return ""
}

func TestFirstMissing(t *testing.T) {
	got := "ready\nframe 3: on edge-1\nwarning\nframe 555:  on edge-2\ndone after 3.5 s\n"
	for _, tt := range []struct{ want, missing string }{
		{"frame 1: on edge-2\nframe 9: on edge-1\ndone after 10 s\n", ""},
		{"done after 1 s\nready\n", "ready"},
		{"frame 1: on edge-1\nframe 1: on edge-1\nframe 1: on edge-1\n", "frame 1: on edge-1"},
		{"frame 1: on the UE\n", "frame 1: on the UE"},
	} {
		if missing := firstMissing(tt.want, got); missing != tt.missing {
			t.Errorf("%q lacks %q, want %q", tt.want, missing, tt.missing)
		}
	}
}

// A process goes on beside the others.
type process struct {
	cmd   *exec.Cmd
	out   said
	ended chan struct{}
}

// said is what a process has said.
type said struct {
	mu     sync.Mutex
	buf    bytes.Buffer
	looked int           // bytes that were awaited
	more   chan struct{} // capacity 1: there is more
}

func (s *said) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case s.more <- struct{}{}:
	default:
	}
	return s.buf.Write(b)
}

func (s *said) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}

// start starts commands. Their processes are a group, and end together.
func (r *reader) start(script string) *process {
	r.t.Helper()
	p := &process{cmd: exec.Command("sh", "-eu", "-c", script), out: said{more: make(chan struct{}, 1)}, ended: make(chan struct{})}
	p.cmd.Dir, p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = r.dir, r.env, &p.out, &p.out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	go func() {
		p.cmd.Wait()
		close(p.ended)
	}()
	return p
}

func (p *process) kill() {
	syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.ended
}

// await waits until p has said, since it was last waited for, something with a text in it.
func (p *process) await(t *testing.T, text string) {
	t.Helper()
	p.until(t, "says "+text, func() bool {
		p.out.mu.Lock()
		defer p.out.mu.Unlock()
		rest := p.out.buf.String()[p.out.looked:]
		i := strings.Index(rest, text)
		if i < 0 {
			return false
		}
		end := strings.IndexByte(rest[i:], '\n') // the whole line
		if end >= 0 {
			p.out.looked += i + end + 1
		}
		return end >= 0
	})
}

// awaitAlike waits until p has said lines like those of want.
func (p *process) awaitAlike(t *testing.T, want string) {
	t.Helper()
	p.until(t, "says lines like\n"+want, func() bool { return firstMissing(want, p.out.text()) == "" })
}

// until waits until p has come to something.
func (p *process) until(t *testing.T, what string, done func() bool) {
	t.Helper()
	late := time.After(tutorialPatience)
	for !done() {
		select {
		case <-p.out.more:
		case <-p.ended:
			if !done() {
				t.Fatalf("the process has ended before it %s; it said\n%s", what, p.out.text())
			}
			return
		case <-late:
			t.Fatalf("the process has run for %v before it %s; it said\n%s", tutorialPatience, what, p.out.text())
		}
	}
}
