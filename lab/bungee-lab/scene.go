package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/bungee-xr/bungee/hostfunc/nn/catalog"
	"github.com/bungee-xr/bungee/internal/video"
	"github.com/bungee-xr/bungee/lab/internal/bench"
)

// A scene is which network looks at which video, as yolo-demo has it.
type scene struct {
	model, video string
}

func (s *scene) flags(c *cobra.Command, w *bench.Work) {
	f := c.Flags()
	f.StringVar(&w.Module, "module", filepath.FromSlash("cmd/yolo-demo/bungee_offload.wasm.gz"), "file of yolo-demo's module")
	f.StringVar(&s.model, "model", "", "network that looks at the frames, as yolo-demo takes it (default: "+catalog.Default+", or centernet where that cannot be fetched)")
	f.StringVar(&s.video, "video", "", "file of the video (default: the one that BUNGEE_VIDEO names, else the one of yolo-demo, out of a Debian package)")
}

// find finds network and video, has w name the network, and tells what it found.
func (s *scene) find(ctx context.Context, w *bench.Work, say io.Writer) (network catalog.Found, path string, err error) {
	if network, err = catalog.Resolve(ctx, s.model, catalog.Options{}); err != nil {
		return network, "", err
	}
	fmt.Fprintln(say, "model:", network.Why)
	w.Network, w.Head, w.Classes = network.Model.Name, network.Head, len(network.Labels)
	path, why, err := video.Resolve(ctx, s.video, video.Options{Say: func(what string) { fmt.Fprintln(say, "video:", what) }})
	if err == nil {
		fmt.Fprintf(say, "video: %s, because %s\n", path, why)
	}
	return network, path, err
}

// hostModel is what a host is told to serve that network.
func (s *scene) hostModel(network catalog.Found) string {
	if s.model != "" {
		return s.model
	}
	return network.Name
}
