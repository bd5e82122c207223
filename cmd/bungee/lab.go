package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/bungee-xr/bungee/internal/cli"
)

// benchCommand passes its whole command line to bungee-lab, which has the benchmarks and
// draws their figures. An edge host needs neither.
func benchCommand() *cobra.Command {
	return &cobra.Command{
		Use:                "bench",
		Short:              `Measure, and compare with the papers (runs bungee-lab, see "bungee bench -h")`,
		DisableFlagParsing: true,
		RunE: func(c *cobra.Command, args []string) error {
			lab, err := findLab()
			if err != nil {
				return err
			}
			return runLab(c.Context(), lab, append([]string{c.Name()}, args...))
		},
	}
}

// errNoLab says how to get bungee-lab.
var errNoLab = errors.New(`bungee-lab is neither beside this program nor on the PATH; in a checkout of Bungee "make build" builds it, and so does "go build ./lab/bungee-lab"`)

// findLab returns the path of bungee-lab: the one beside this program, else the one on
// the PATH.
func findLab() (string, error) {
	name := "bungee-lab"
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	if self, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(self), name)
		if info, err := os.Stat(beside); err == nil && !info.IsDir() {
			return beside, nil
		}
	}
	found, err := exec.LookPath(name)
	if err != nil {
		return "", errNoLab
	}
	return found, nil
}

// runLab runs the program at path with this one's streams. When a signal ends ctx, it gets
// SIGTERM. Its exit status comes back as a [cli.Status].
func runLab(ctx context.Context, path string, args []string) error {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() > 0 {
		return cli.Status(exit.ExitCode())
	}
	return err
}
