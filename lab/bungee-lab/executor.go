package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/wazero"
	"github.com/bungee-xr/bungee/internal/cli"
	"github.com/bungee-xr/bungee/lab/internal/bench"
)

func executorCommand() *cobra.Command {
	b := bench.Executor{}
	var asJSON bool
	var engine string
	c := &cobra.Command{
		Use:   "executor",
		Short: "Measure the execution handler: cold start, calls, density, neighbours, metering",
		Long: `executor measures what modules cost on each engine: from a module in the cache to an
instance, in this process and in a fresh one; calls; instances a GiB; the calls of
98 tenants beside one that spins and one that takes all memory; kernels beside native
Go; what it costs to meter; and how well fuel tells time. Beside it stands Extism's Go
SDK, in turn with ours, where "make yardstick" was run; and a detector on OpenCV
and on ONNX Runtime, where both and the model are there.

A fresh process is measured with bungee-lab-bare, which is this program without OpenCV,
whose libraries take long to load, and with this program. Targets are those of
edge hosts, so they are wasmtime's; wazero's figures stand beside. The Go guests are
of this repository, which must be the current folder.

It exits 1 when a target is missed, or cannot be checked because something is not
built. Without --quick it takes about 5 minutes.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) (err error) {
			if b.Engines, err = enginesOf(engine); err != nil {
				return err
			}
			if err := processesOf(&b); err != nil {
				return err
			}
			if b.Out != "" {
				if err := os.MkdirAll(b.Out, 0o755); err != nil {
					return err
				}
			}
			b.Detectors, b.NoDetectors = detectors(c.Context())
			b.Progress = sceneBar()
			figures, err := b.Run(c.Context())
			if err != nil {
				return err
			}
			return printFigures(figures, asJSON)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print a line of JSON for each figure")
	c.Flags().BoolVar(&b.Quick, "quick", false, "measure less: ends within 40 s")
	c.Flags().StringVar(&b.Only, "case", "", "measure only the cases with this in their names")
	c.Flags().StringVar(&engine, "engine", "both", "wasmtime, wazero or both")
	c.Flags().StringVar(&b.GoModule, "module", "examples/hello/bungee_offload.wasm.gz", "Go module that offloadgen made")
	c.Flags().StringVar(&b.Out, "out", "", "folder for executor.png (default: none is drawn)")
	return c
}

// wazeroEngine makes engines of wazero, which sets nothing aside for instances.
func wazeroEngine() bench.Engine {
	return bench.Engine{Name: "wazero", New: func(dir string, _ int) (executor.Engine, error) {
		return wazero.New(wazero.Config{CacheDir: dir})
	}}
}

// enginesOf returns the engines that name stands for.
func enginesOf(name string) ([]bench.Engine, error) {
	if name == "both" {
		return benchEngines, nil
	}
	i := slices.IndexFunc(benchEngines, func(e bench.Engine) bool { return e.Name == name })
	if i < 0 {
		return nil, fmt.Errorf("%w: no engine %q in this program; wasmtime needs cgo", cli.ErrUsage, name)
	}
	return benchEngines[i : i+1], nil
}

// processesOf tells b how to start its processes.
func processesOf(b *bench.Executor) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	b.Yardstick = filepath.Join(filepath.Dir(self), "yardstick")
	b.Crowd = func(c bench.Crowd) *exec.Cmd {
		return exec.Command(self, "bench", "crowd", "--engine", c.Engine, "--cache", c.Cache, "--module", c.Module, fmt.Sprint("--instances=", c.Instances))
	}
	fresh := func(path string, h bench.FreshHost) *exec.Cmd {
		return exec.Command(path, "bench", "fresh", "--engine", h.Engine, "--cache", h.Cache, "--module", h.Module, "--digest", h.Digest)
	}
	bare := bench.FreshProgram{Name: "bare", Command: fresh, Path: filepath.Join(filepath.Dir(self), "bungee-lab-bare")}
	if _, err := os.Stat(bare.Path); err != nil {
		bare.Path, bare.Note = "", `not measured: bungee-lab-bare, this program without OpenCV, is not beside it; "make yardstick" builds it`
	}
	b.Fresh = []bench.FreshProgram{bare, {Name: "lab", Command: fresh, Path: self, Note: "with all that this program loads, such as OpenCV"}}
	return nil
}
