//go:build cgo && opencv

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bungee-xr/bungee/cmd/yolo-demo/internal/report"
	"github.com/bungee-xr/bungee/handler/ue/notifier"
	"github.com/bungee-xr/bungee/hostfunc/nn"
	"github.com/bungee-xr/bungee/offload"
)

// A loop computes frames and measures each.
type loop struct {
	*demo
	begin   time.Time
	next    time.Time // when the next frame is offered, with -fps
	run     report.Run
	rate    rate
	usage   usage
	before  moment         // the begin of the frame under way
	answers map[uint64]int // results by frame number
	samples []Frame        // kept to compare the two sides afterwards
	bad     int            // frames that did not decode
}

// A moment is between two frames.
type moment struct {
	at   time.Time
	used time.Duration // processor time of this process until then
}

func now() moment {
	used, _ := notifier.Used()
	return moment{time.Now(), used}
}

// compared is how many frames are computed again on both sides after the run.
const compared = 24

func (d *demo) newLoop() *loop {
	l := &loop{demo: d, answers: map[uint64]int{}}
	l.run = report.Run{
		Policy: d.opt.policy, Requirements: d.opt.require.String(), Toggle: d.opt.toggle, Model: d.model.Name, TempSource: tempSource(d.device.Sample()),
		UECPU: d.opt.ueCPU, FPSOffered: d.opt.fps,
	}
	return l
}

// frames computes all frames, or those until the video or ctx ends, and calls
// done after each.
func (l *loop) frames(ctx context.Context, done func(*report.Frame)) error {
	l.begin = time.Now()
	l.run.Began = l.begin
	l.next = l.begin
	l.before = now()
	for n := range l.opt.frames {
		if err := l.wait(ctx); err != nil {
			return err
		}
		f, err := l.frame(ctx, n)
		switch {
		case errors.Is(err, errVideoEnd):
			return nil
		case errors.Is(err, errLost):
			l.log.Warn("the run ends early, with a report of the frames so far", "why", err)
			return nil
		case err != nil:
			return err
		}
		l.measure(&f)
		l.run.Frames = append(l.run.Frames, f)
		if l.page != nil {
			l.page.Frame(f)
		}
		done(&f)
	}
	return nil
}

// wait waits until the next frame is offered. Frames that were offered while
// the last one was computed are missed, as a camera's are.
func (l *loop) wait(ctx context.Context) error {
	if l.opt.fps == 0 {
		return context.Cause(ctx)
	}
	period := time.Duration(float64(time.Second) / l.opt.fps)
	for time.Since(l.next) > period {
		l.next = l.next.Add(period)
		l.run.Missed++
	}
	select {
	case <-time.After(time.Until(l.next)):
		l.next = l.next.Add(period)
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// frame computes frame n and shows it.
func (l *loop) frame(ctx context.Context, n int) (report.Frame, error) {
	f := report.Frame{Number: n, Where: report.UE, Start: time.Since(l.begin)}
	if l.control != nil {
		l.control.begins(time.Now())
	}
	if err := l.cam.next(ctx); err != nil {
		return f, err
	}
	begin := time.Now()
	l.foresee(&f)
	image, err := l.cam.encode(l.fidelities[f.Level])
	if err != nil {
		return f, err
	}
	f.Encode = time.Since(begin)
	in := l.question(uint64(n), image.jpeg)
	var t offload.Trace
	var native nn.Timings
	found, err := DetectObjects(offload.WithTrace(nn.WithTimings(ctx, &native), &t), in)
	f.Latency = time.Since(begin)
	switch {
	case errors.Is(err, nn.ErrBadImage):
		l.bad++
		l.log.Warn("a frame does not decode and has no boxes", "frame", n, "why", err)
	case err != nil:
		return f, fmt.Errorf("frame %d: %w", n, err)
	default:
		l.answers[found.Frame]++
		f.Boxes = image.enlarge(found.Boxes)
	}
	split(&f, &t, native)
	l.keep(in)
	return f, l.show(&f)
}

// foresee asks at which fidelity the frame is to be encoded, and what is expected of its call.
func (l *loop) foresee(f *report.Frame) {
	_, f.Level = l.handler.Fidelity(&detectObjectsFunc.Desc)
	at := l.fidelities[f.Level]
	f.Quality, f.Size, f.Deadline = at.quality, at.size, l.opt.require.Latency
	f.Here, f.There = expected(l.handler.View())
}

// split tells where the time of a frame went, and why there.
func split(f *report.Frame, t *offload.Trace, native nn.Timings) {
	f.Why, f.Hedged, f.Wasted = t.Why, t.Hedged, t.Wasted
	if t.Fallback != nil {
		f.Fallback = fellBack(t.Fallback)
	}
	if t.Host != "" {
		f.Where, f.Host = report.Edge, t.Host
		native = nn.Timings{
			Decode:    t.Span("nn.decode"),
			Letterbox: t.Span("nn.letterbox"),
			Compute:   t.Span("nn.compute"),
			Queue:     t.Span("nn.queue"),
		}
	}
	f.Network, f.Queue, f.Codec = t.Network, t.Queue+native.Queue, t.Encode+t.Decode
	f.Decode, f.Letterbox, f.Compute = native.Decode, native.Letterbox, native.Compute
	f.Guest = max(0, t.Run-native.Queue-f.Decode-f.Letterbox-f.Compute)
	f.BytesUp, f.BytesDown = t.BytesUp, t.BytesDown
}

// fellBack tells why a call was not made by an edge host, but not of which function: there is only one.
func fellBack(err error) string {
	if call, ok := errors.AsType[*offload.CallError](err); ok && call.Host != "" {
		return call.Host + ": " + call.Err.Error()
	}
	return err.Error()
}

// keep keeps one frame in every few for the comparison.
func (l *loop) keep(in Frame) {
	if every := max(1, l.opt.frames/compared); int(in.Number)%every == 0 && len(l.samples) < compared {
		l.samples = append(l.samples, in)
	}
}

// show draws the frame, if somebody looks.
func (l *loop) show(f *report.Frame) error {
	watched := l.page != nil && l.page.Watching()
	if !watched && l.win == nil {
		return nil
	}
	if watched {
		l.page.Facts(l.facts())
	}
	l.cam.draw(l.picture(f))
	if l.win != nil {
		l.win.show(l.cam)
	}
	if watched {
		image, err := l.cam.jpeg(l.opt.quality)
		if err != nil {
			return err
		}
		l.page.Picture(image)
	}
	return nil
}

func (l *loop) picture(f *report.Frame) picture {
	p := picture{boxes: f.Boxes, labels: l.model.Labels, edge: f.Where == report.Edge}
	p.caption = fmt.Sprintf("frame %d on the UE", f.Number)
	switch {
	case p.edge:
		p.caption = fmt.Sprintf("frame %d on %s", f.Number, f.Host)
	case f.Fallback != "":
		p.caption += " (fallback)"
	}
	return p
}

// measure adds what the device tells of the frame's period.
func (l *loop) measure(f *report.Frame) {
	end := now()
	f.Period = end.at.Sub(l.before.at)
	f.CPUTime = end.used - l.before.used
	f.CPU = l.usage.after(f.Period, f.CPUTime)
	f.FPS = l.rate.after(f)
	f.Temp = l.temperature()
	l.before = end
}

// A rate smooths the frame rate: the mean over the last frames of one place.
type rate struct {
	where   string
	periods []time.Duration
}

// rateFrames is how many frames the rate shown is the mean of.
const rateFrames = 10

func (r *rate) after(f *report.Frame) float64 {
	if r.where != f.Where {
		r.where, r.periods = f.Where, r.periods[:0]
	}
	if len(r.periods) == rateFrames {
		r.periods = append(r.periods[:0], r.periods[1:]...)
	}
	r.periods = append(r.periods, f.Period)
	var sum time.Duration
	for _, p := range r.periods {
		sum += p
	}
	return float64(len(r.periods)) / max(sum.Seconds(), 1e-9)
}
