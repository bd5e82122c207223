//go:build cgo && opencv

package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"

	"github.com/bungee-xr/bungee/cmd/yolo-demo/internal/report"
	"github.com/bungee-xr/bungee/handler/ue/notifier"
	"github.com/bungee-xr/bungee/handler/ue/policy"
	"github.com/bungee-xr/bungee/offload"
)

// run computes the frames and writes the report. An interrupted run is reported
// as far as it came.
func (d *demo) run(ctx context.Context) error {
	l := d.newLoop()
	energy := d.device.Sample()
	show := newProgress(d.opt.frames, d.began)
	err := l.frames(ctx, show.frame)
	show.end()
	if ctx.Err() != nil {
		fmt.Fprintln(os.Stderr, "interrupted; the report is of the frames so far")
		err = nil
	}
	if err != nil {
		return err
	}
	l.count(energy)
	if err := d.lift(); err != nil {
		return err
	}
	l.run.Agreement = l.agreement(context.WithoutCancel(ctx))
	if err := l.judge(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	s := report.Summarize(&l.run)
	if d.page != nil {
		d.page.Done(s)
	}
	fmt.Print(report.Table(s))
	return l.write(context.WithoutCancel(ctx))
}

// count adds the counts that only the whole run has.
func (l *loop) count(before *notifier.Sample) {
	for i := range l.run.Frames {
		switch n := l.answers[uint64(i)]; {
		case n == 0:
			l.run.Lost++
		case n > 1:
			l.run.Duplicated += n - 1
		}
	}
	l.run.Lost -= l.bad // they were answered: with an error
	l.run.Fallbacks = int(l.handler.Stats().Fallbacks)
	if now, ok := l.device.Sample().Value(notifier.Energy); ok {
		earlier, _ := before.Value(notifier.Energy)
		j := now - earlier
		l.run.Joules = &j
	}
	l.run.Extra = map[string]float64{"bad_frames": float64(l.bad)}
	if l.cam.short > 0 {
		l.run.Extra["video_frames_lacking"] = float64(l.cam.short)
		fmt.Fprintf(os.Stderr, "video: %s says that it has %d frames more than OpenCV decoded\n", shown(l.cam.path), l.cam.short)
	}
	if l.limit != nil {
		n, _, err := l.limit.Throttled()
		if err == nil {
			l.run.Throttled = n
		}
	}
	if l.stage != nil {
		pid := l.stage.PID(l.handler.Placement(&detectObjectsFunc.Desc).Primary)
		for key, name := range map[string]string{"VmRSS": "host_rss_mb", "VmHWM": "host_rss_peak_mb"} {
			if mb, err := processMemory(pid, key); err == nil {
				l.run.Extra[name] = mb
			}
		}
	}
}

// processMemory returns a figure of /proc/PID/status in MB.
func processMemory(pid int, key string) (float64, error) {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, key+":"); ok {
			kb, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 64)
			return kb * 1024 / 1e6, err
		}
	}
	return 0, errors.New("no " + key + " in the status of the process")
}

// lift takes the limit off: what comes after the run is not measured.
func (d *demo) lift() error {
	if d.limit == nil {
		return nil
	}
	return d.limit.Close()
}

// agreement computes the samples again, natively and on the edge host, and
// returns the share whose boxes are the same, to the bit. NaN: none could be
// compared.
func (l *loop) agreement(ctx context.Context) float64 {
	l.handler.SetPolicy(policy.Always(policy.OnEdge))
	same, n := 0, 0
	for _, in := range l.samples {
		var t offload.Trace
		there, err := DetectObjects(offload.WithTrace(ctx, &t), in)
		if err != nil || t.Host == "" {
			continue
		}
		here, err := detectObjects(ctx, in)
		if err != nil {
			continue
		}
		n++
		if reflect.DeepEqual(here, there) {
			same++
		}
	}
	if n == 0 {
		return math.NaN()
	}
	return float64(same) / float64(n)
}

// write writes the report. Frames of a live source cannot be had again, so there is no annotated video of them.
func (l *loop) write(ctx context.Context) error {
	if l.opt.out == "" {
		return nil
	}
	if err := report.Write(l.opt.out, &l.run); err != nil {
		return err
	}
	switch {
	case len(l.run.Frames) == 0:
		return fmt.Errorf("no frame was computed: %s has none, or the run was stopped before the first; the report in %s is empty", shown(l.cam.path), l.opt.out)
	case l.cam.src.live():
		fmt.Fprintln(os.Stderr, "report:", l.opt.out, "(without annotated.mp4: the frames of a live source cannot be had again)")
		return nil
	}
	var pictures []picture
	for i := range l.run.Frames {
		pictures = append(pictures, l.picture(&l.run.Frames[i]))
	}
	bar := newBar(len(pictures), "annotated.mp4")
	err := writeVideo(ctx, filepath.Join(l.opt.out, "annotated.mp4"), l.cam, pictures, bar.set)
	bar.end()
	if err == nil {
		fmt.Fprintln(os.Stderr, "report:", l.opt.out)
	}
	return err
}
