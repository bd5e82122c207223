//go:build cgo && opencv

package main

import (
	"fmt"
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
}

func newBar(total int, what string) *bar {
	b := &bar{what: what, total: total, line: time.Now()}
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
		fmt.Fprintf(os.Stderr, "%s: %d of %d\n", b.what, done, b.total)
	}
}

func (b *bar) end() {
	if b.bar != nil {
		_ = b.bar.Finish()
	}
}

// A progress is the bar of a run.
type progress struct{ *bar }

func newProgress(frames int) *progress { return &progress{newBar(frames, "frames")} }

func (p *progress) frame(f *report.Frame) {
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
