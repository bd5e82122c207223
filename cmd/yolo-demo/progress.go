//go:build cgo && opencv

package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/bungee-xr/bungee/cmd/yolo-demo/internal/report"
)

// lineEvery is how often progress is a line, where there is no terminal.
const lineEvery = 5 * time.Second

// A bar shows progress on stderr: a bar on a terminal, a line now and then
// elsewhere.
type bar struct {
	what  string
	total int
	bar   *progressbar.ProgressBar // nil: no terminal
	line  time.Time                // of the last line
	out   io.Writer                // stderr
}

func newBar(total int, what string) *bar {
	b := &bar{what: what, total: total, line: time.Now(), out: os.Stderr}
	if term.IsTerminal(int(os.Stderr.Fd())) {
		b.bar = progressbar.NewOptions(total,
			progressbar.OptionSetWriter(os.Stderr),
			progressbar.OptionSetDescription(what),
			progressbar.OptionShowCount(),
			progressbar.OptionSetWidth(30),
			progressbar.OptionThrottle(100*time.Millisecond),
			progressbar.OptionClearOnFinish())
	}
	return b
}

// set says that done of the total are done. A failed write to the terminal is
// nothing that anybody could be told.
func (b *bar) set(done int) {
	if b.bar != nil {
		b.bar.Describe(b.what)
		_ = b.bar.Set(done)
		return
	}
	if time.Since(b.line) >= lineEvery {
		b.line = time.Now()
		fmt.Fprintf(b.out, "%s: %d of %d\n", b.what, done, b.total)
	}
}

func (b *bar) end() {
	if b.bar != nil {
		_ = b.bar.Finish()
	}
}

// say prints a line above the bar.
func (b *bar) say(format string, args ...any) {
	if b.bar != nil {
		_ = b.bar.Clear()
	}
	fmt.Fprintf(b.out, format+"\n", args...)
}

// A progress is the bar of a run, and says how long a new user waits for an edge host's first answer.
type progress struct {
	*bar
	began  time.Time // the program
	edgeIn bool      // an edge host has answered
}

func newProgress(frames int, began time.Time) *progress {
	return &progress{bar: newBar(frames, "frames"), began: began}
}

func (p *progress) frame(f *report.Frame) {
	if f.Where == report.Edge && !p.edgeIn {
		p.edgeIn = true
		p.say("edge: the first frame at an edge host, %.0f s after the demo's start", time.Since(p.began).Seconds())
	}
	p.what = fmt.Sprintf("%-4s %5.1f FPS", f.Where, f.FPS)
	p.set(f.Number + 1)
}

// downloadProgress returns what shows files as they come in.
func downloadProgress() func(file string, done, total int64) {
	var b *bar
	var last string
	return func(file string, done, total int64) {
		if file != last {
			b, last = newBar(int(total), filepath.Base(file)), file
		}
		b.set(int(done))
		if done == total {
			b.end()
		}
	}
}
