package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/bungee-xr/bungee/lab/internal/bench"
)

func benchCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "bench",
		Short: "Measure, and compare with the papers",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(paper001Command(), executorCommand(), channelCommand(), handoverCommand(), soakCommand(), networksCommand(), callerCommand(), floodCommand(), sinkCommand(), siegeCommand(), besiegerCommand(), hostileCommand(), controlCommand(), policyCommand(), offloadgenCommand(), benchManagerCommand(), profileCommand(), benchCheckCommand(), benchHostCommand(), benchFreshCommand(), benchCrowdCommand(), admissionCommand(), admissionUECommand(), streamCommand(), table3Command())
	return c
}

func paper001Command() *cobra.Command {
	p := bench.Paper001{Progress: os.Stderr}
	var asJSON, quick bool
	c := &cobra.Command{
		Use:   "paper001",
		Short: "Paper 001: a UE of 1, 0.5 and 0.25 of a core; here, on a native and on a Wasm host",
		Long: `paper001 runs yolo-demo once for each UE and host, and for the Wasm host once more over
TCP, which is what the paper's channels have. It prints what it measured beside
the figures of paper 001, and leaves the runs' reports and paper001.png in --out.
It exits 1 when a target is missed. It needs rights to make a cgroup.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if quick {
				p.Frames, p.Shares = 100, []float64{0.25}
			}
			var err error
			if p.Demo, err = beside("yolo-demo"); err != nil {
				return err
			}
			if err := os.MkdirAll(p.Out, 0o755); err != nil {
				return err
			}
			table := io.Writer(os.Stdout)
			if asJSON {
				table = os.Stderr
			}
			figures, err := p.Run(c.Context(), table)
			if err != nil {
				return err
			}
			return printFigures(figures, asJSON)
		},
	}
	c.Flags().StringVar(&p.Out, "out", "out/paper001", "folder for the reports and the figure")
	c.Flags().IntVar(&p.Frames, "frames", 600, "frames of each run")
	c.Flags().Float64SliceVar(&p.Shares, "ue-cpu", []float64{1, 0.5, 0.25}, "shares of a core that the UE has")
	c.Flags().BoolVar(&asJSON, "json", false, "print a line of JSON for each figure")
	c.Flags().BoolVar(&quick, "quick", false, "the weakest UE only, 100 frames")
	return c
}

// printFigures prints figures and fails when one missed its target.
func printFigures(figures []bench.Figure, asJSON bool) error {
	show := bench.PrintTable
	if asJSON {
		show = bench.PrintJSON
	}
	if err := show(os.Stdout, figures); err != nil {
		return err
	}
	if n := len(bench.Missed(figures)); n > 0 {
		return fmt.Errorf("%d targets missed", n)
	}
	return nil
}

// beside returns the program of that name that was built with this one.
func beside(name string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	path := filepath.Join(filepath.Dir(self), name)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf(`%s is not beside this program; run "make build"`, name)
	}
	return path, nil
}
