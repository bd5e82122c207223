//go:build cgo && opencv

package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"github.com/bungee-xr/bungee/cmd/yolo-demo/internal/stage"
	"github.com/bungee-xr/bungee/handler/ue"
)

// killedFor is how long a host that was killed stays dead. Tests have less time.
var killedFor = stage.KilledFor

// beginEdge begins what the demo brings along, an offload manager and edge hosts, unless a manager or a host was named. They load their
// networks while this process loads its own.
func (d *demo) beginEdge(ctx context.Context) (err error) {
	if d.opt.edge != "" || d.opt.manager != "" {
		d.tls, err = ue.LoadTLS(d.opt.certs)
		return err
	}
	c := stage.Config{Log: d.log, KilledFor: killedFor}
	if c.Bungee, err = findBungee(); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	c.Host = append([]string{c.Bungee, "host", "--log-level", "error"}, d.hostArgs()...)
	if d.opt.host == "native" {
		c.Host = append([]string{self, nativeHostCommand}, d.hostArgs()...)
	}
	c.Crowd = []string{self, crowdCommand, "--model", d.model.Model.Name, "--head", d.model.Head, "--classes", strconv.Itoa(len(d.model.Labels)), "--video", d.cam.path}
	if d.stage, err = stage.Start(ctx, c); err != nil {
		return err
	}
	d.atEnd(d.stage.Close)
	d.tls = d.stage.TLS()
	return nil
}

// awaitEdge waits until the demo's own hosts are there.
func (d *demo) awaitEdge(ctx context.Context) error {
	if d.stage == nil {
		return nil
	}
	return d.stage.Ready(ctx)
}

// hostArgs returns what the demo's own hosts serve.
func (d *demo) hostArgs() []string {
	model := d.opt.model
	if model == "" {
		model = d.model.Name
	}
	// As the UE has it: boxes of two libraries do not agree to the bit.
	args := []string{"--model", model, "--nn", "opencv"}
	if d.opt.head != "" {
		args = append(args, "--head", d.opt.head)
	}
	if d.opt.input != 0 {
		args = append(args, "--input", strconv.Itoa(d.opt.input))
	}
	return args
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
		return "", errors.New(`the offload manager and the edge hosts are the program bungee, which is neither beside yolo-demo nor on the path; run "make build", or name a running one with -manager or -edge`)
	}
	return path, nil
}
