package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/bungee-xr/bungee/lab/internal/bench"
)

func table3Command() *cobra.Command {
	b := &bench.Table3{UE: admissionUE}
	var s scene
	var out string
	var asJSON *bool
	c := channelBench(&b.Setup, func(ctx context.Context) ([]bench.Figure, error) {
		if err := prepareTable3(ctx, b, &s, out); err != nil {
			return nil, err
		}
		table := io.Writer(os.Stdout)
		if *asJSON {
			table = os.Stderr
		}
		return b.Run(ctx, table)
	})
	asJSON = new(bool)
	c.PreRun = func(c *cobra.Command, _ []string) { *asJSON, _ = c.Flags().GetBool("json") }
	c.Use = "table3"
	c.Short = "Paper 000, Table 3: memory, storage and processor of standalone Wasm"
	c.Long = `table3 measures the row of paper 000's Table 3 for standalone Wasm: an edge host runs yolo-demo's module for one UE,
which sends the first 30 s of the video at the video's own rate, 30 times, each time to a new host that finds the module compiled.
It tells the host's memory, its share of the processor, and what is on disk, beside the paper's numbers, and judges nothing. It must be run
in the repository's folder. All runs take some 16 minutes; --runs and --length make it shorter. Rows for containers come later.`
	f := c.Flags()
	f.IntVar(&b.Runs, "runs", 0, "how many runs (default 30, or 2 if --quick)")
	f.DurationVar(&b.Length, "length", 0, "how much of the video a run takes (default 30s, or 3s if --quick)")
	s.flags(c, &b.Work)
	f.StringVar(&out, "out", "out/table3", "folder for frames and the compiled module; the module's is made anew")
	return c
}

// prepareTable3 makes the folders and the frames, which are encoded beforehand.
func prepareTable3(ctx context.Context, b *bench.Table3, s *scene, out string) (err error) {
	network, path, err := s.find(ctx, &b.Work, os.Stderr)
	if err != nil {
		return err
	}
	b.Cache, b.Work.Frames = filepath.Join(out, "modules"), filepath.Join(out, "frames")
	if err := os.RemoveAll(b.Cache); err != nil { // what it takes is told
		return err
	}
	if err := errors.Join(os.MkdirAll(b.Work.Frames, 0o755), os.MkdirAll(b.Cache, 0o700)); err != nil {
		return err
	}
	if b.Rate, err = videoRate(path); err != nil {
		return err
	}
	if have, err := filepath.Glob(filepath.Join(b.Work.Frames, "*")); err != nil || len(have) < b.Frames() {
		if err := writeFrames(path, b.Work.Frames, b.Frames()); err != nil {
			return fmt.Errorf("encode the frames: %w", err)
		}
	}
	b.Network = nil
	for _, file := range network.Model.Files {
		b.Network = append(b.Network, file.Path)
	}
	if b.Program, err = beside("bungee"); err != nil {
		return err
	}
	b.Edge = func(h bench.Host) *exec.Cmd {
		return exec.Command(b.Program, "host", "--certs", h.Certs, "--cache", h.Cache, "--listen", h.Listen, "--name", h.Name, "--until-eof",
			"--nets", "1", "--threads", "1", "--model", s.hostModel(network), "--nn", "opencv")
	}
	return nil
}
