//go:build cgo && opencv

package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/bungee-xr/bungee/cmd/yolo-demo/internal/page"
	"github.com/bungee-xr/bungee/cmd/yolo-demo/internal/report"
	"github.com/bungee-xr/bungee/cmd/yolo-demo/internal/stage"
	"github.com/bungee-xr/bungee/handler/ue"
	"github.com/bungee-xr/bungee/handler/ue/notifier"
	"github.com/bungee-xr/bungee/hostfunc/nn"
	"github.com/bungee-xr/bungee/hostfunc/nn/catalog"
	"github.com/bungee-xr/bungee/hostfunc/nn/opencv"
	"github.com/bungee-xr/bungee/internal/cgroup"
	"github.com/bungee-xr/bungee/internal/video"
)

// A demo is all that a run needs. Its fields are set by newDemo.
type demo struct {
	began      time.Time
	opt        options
	log        *slog.Logger
	model      catalog.Found
	cam        *camera
	fidelities []fidelity // that frames may have, the best first

	backend *opencv.Backend
	device  *notifier.Notifier
	handler *ue.Handler
	stage   *stage.Stage // nil with -edge and -manager
	tls     *tls.Config
	limit   *cgroup.Group // nil without -ue-cpu
	page    *page.Page    // nil without -http
	control *control      // nil without a page or a manager
	win     *window       // nil without -display

	undo []func() error // in the order made
}

// newDemo makes a demo ready to run.
func newDemo(ctx context.Context, o options) (*demo, error) {
	level := slog.LevelWarn
	if o.verbose {
		level = slog.LevelInfo
	}
	d := &demo{began: time.Now(), opt: o, fidelities: fidelities(o.quality, o.levels), log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))}
	steps := []func(context.Context) error{
		d.openOut, d.openVideo, d.findModel, d.beginEdge, d.openModel, d.awaitEdge, d.limitUE, d.openDevice, d.openHandler, d.openViews, d.openControl,
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return nil, errors.Join(err, d.Close())
		}
	}
	return d, nil
}

// Close undoes what newDemo did, the last thing first.
func (d *demo) Close() error {
	var err error
	for len(d.undo) > 0 {
		last := len(d.undo) - 1
		err = errors.Join(err, d.undo[last]())
		d.undo = d.undo[:last]
	}
	return err
}

func (d *demo) atEnd(undo func() error) { d.undo = append(d.undo, undo) }

// openOut makes the report's folder first: a run must not find out at its end.
func (d *demo) openOut(context.Context) error {
	if d.opt.out == "" {
		return nil
	}
	if err := os.MkdirAll(d.opt.out, 0o755); err != nil {
		return fmt.Errorf("-out: %w", err)
	}
	return nil
}

func (d *demo) openVideo(ctx context.Context) error {
	path, why, err := video.Resolve(ctx, d.opt.video, video.Options{
		Say: func(what string) { fmt.Fprintln(os.Stderr, "video:", what) },
	})
	if err != nil {
		return err
	}
	if d.cam, err = openCamera(ctx, path, d.opt.loop); err != nil {
		return err
	}
	d.atEnd(func() error { d.cam.Close(); return nil })
	fmt.Fprintf(os.Stderr, "video: %s, because %s\n", shown(path), why)
	return nil
}

func (d *demo) findModel(ctx context.Context) (err error) {
	o := catalog.Options{Head: d.opt.head, InputSize: d.opt.input, Progress: downloadProgress()}
	if d.model, err = catalog.Resolve(ctx, d.opt.model, o); err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "model:", d.model.Why)
	return nil
}

func (d *demo) openModel(ctx context.Context) (err error) {
	d.backend, err = opencv.New(opencv.Config{Threads: d.threads(), Nets: 1, Models: []opencv.Model{d.model.Model}})
	if err != nil {
		return err
	}
	d.atEnd(d.backend.Close)
	nn.Use(d.backend)
	if err := d.backend.Warm(ctx, d.model.Model.Name, 1); err != nil {
		return err
	}
	return recognise(ctx, &d.model)
}

// threads returns how many threads OpenCV gets. At a quota of up to a core a
// second one only uses the quota up sooner.
func (d *demo) threads() int {
	if d.opt.ueCPU > 0 && d.opt.ueCPU <= 1 {
		return 1
	}
	return 0
}

// openHandler starts the handler, with what is required and the fidelities, and makes the edge host ready. It is the last one: the
// device has its size by then.
func (d *demo) openHandler(ctx context.Context) error {
	cfg := ue.Config{
		Name: stage.UE, Edge: d.opt.edge, TLS: d.tls, Transport: transports[d.opt.over], Logger: d.log,
		Policy: policies[d.opt.policy](&d.opt), Notifier: d.device, MaxTemperature: d.opt.maxTemp,
	}
	if managers := d.managers(); len(managers) > 0 {
		cfg.Managers, cfg.Need.Latency = managers, d.bound()
	}
	if err := d.openLog(&cfg); err != nil {
		return err
	}
	var err error
	if d.handler, err = ue.Start(context.WithoutCancel(ctx), cfg); err != nil {
		return err
	}
	d.atEnd(d.handler.Close)
	if err := d.require(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, d.opt.wait)
	defer cancel()
	if err := d.handler.Prepare(ctx, &detectObjectsFunc.Desc); err != nil {
		d.log.Warn("the edge host is not ready; frames meant for it are computed here until it is", "why", err)
	}
	return nil
}

// patience is within which time the demo's own hosts must answer unless -requirements says so: on a slow machine a late frame is better to
// look at than a refusal.
const patience = 5 * time.Second

// bound returns what the manager is asked for. 0 means what is required of a call.
func (d *demo) bound() time.Duration {
	if d.stage == nil || d.opt.requirements != "" {
		return 0
	}
	return patience
}

// managers returns where the offload managers are, if there are any.
func (d *demo) managers() ue.Addresses {
	switch {
	case d.stage != nil:
		return ue.Addresses{d.stage.Manager()}
	case d.opt.manager != "":
		return strings.Split(d.opt.manager, ",")
	}
	return nil
}

// logSize bounds each of the two files of a log of decisions.
const logSize = 64 << 20

// openLog makes the log of decisions, if one was named. The handler is closed before it.
func (d *demo) openLog(cfg *ue.Config) error {
	if d.opt.explain == "" {
		return nil
	}
	log, err := ue.ExplainFile(d.opt.explain, logSize)
	if err != nil {
		return fmt.Errorf("-explain: %w", err)
	}
	d.atEnd(log.Close)
	cfg.Explain = log
	return nil
}

// require tells the handler what is required, and which fidelities there are. A requirement that cannot be met is told, and counts.
func (d *demo) require() error {
	var unmet *ue.UnmetError
	switch err := d.handler.Require(&detectObjectsFunc.Desc, d.opt.require); {
	case errors.As(err, &unmet):
		d.log.Warn("a requirement cannot be met as things are", "why", err)
	case err != nil:
		return err
	}
	if len(d.fidelities) == 1 {
		return nil
	}
	levels, err := d.levels()
	if err != nil {
		return err
	}
	return d.handler.SetLevels(&detectObjectsFunc.Desc, levels)
}

func (d *demo) openViews(context.Context) error {
	if d.opt.display {
		w, err := openWindow(d.cam)
		if err != nil {
			return err
		}
		d.win = w
		d.atEnd(func() error { w.Close(); return nil })
	}
	if d.opt.http == "" {
		return nil
	}
	info := page.Info{
		Model: d.model.Name, Frames: d.opt.frames, Policy: d.opt.policy, Toggle: d.opt.toggle,
		Requirements: d.opt.require.String(), Deadline: report.Number(d.opt.require.Latency.Seconds() * 1e3), Fidelities: d.names(),
		TempSource: tempSource(d.device.Sample()), UECPU: d.opt.ueCPU, FPSOffered: d.opt.fps,
	}
	if d.stage != nil {
		info.Act = d.act
	}
	p, err := page.Listen(d.opt.http, info)
	if err != nil {
		d.log.Warn("there is no page; name another address with -http", "why", err)
		return nil
	}
	d.page = p
	d.atEnd(p.Close)
	fmt.Fprintln(os.Stderr, "page:", p.URL())
	return nil
}

// limitUE limits this process. If the machine does not allow that, the demo runs all the
// same, on a UE that is not weak, and every report says so.
func (d *demo) limitUE(context.Context) error {
	if d.opt.ueCPU == 0 {
		return nil
	}
	g, err := cgroup.Limit(d.opt.ueCPU, cgroup.Options{})
	if err != nil {
		d.log.Warn("this process is not limited: the figures are of the whole machine", "why", err)
		d.opt.ueCPU = 0
		return nil
	}
	d.limit = g
	d.atEnd(g.Close)
	fmt.Fprintln(os.Stderr, "limit:", g)
	if d.stage == nil {
		return nil
	}
	if err := d.stage.MoveOut(g.MoveOut); err != nil {
		d.log.Warn("the edge shares the UE's CPU limit", "why", err)
	}
	return nil
}
