// Command bungee is the operator's side of Bungee: the edge host daemon, its
// certificates, and the benchmarks.
//
// "bungee help" lists the commands; each explains itself with -h. Errors go to
// stderr as one sentence; the exit status is 0, 1 (failed) or 2 (usage).
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/spf13/cobra"
)

// errUsage marks an error of the command line.
var errUsage = errors.New("usage")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := &cobra.Command{
		Use:           "bungee",
		Short:         "Edge hosts for elastic functions",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return fmt.Errorf("%w: %w", errUsage, err) })
	root.SetArgs(longFlags(os.Args[1:]))
	root.AddCommand(hostCommand(), certsCommand(), benchCommand())
	if err := root.ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bungee:", err)
		if errors.Is(err, errUsage) {
			os.Exit(2)
		}
		os.Exit(1)
	}
}

// longFlags returns args with two dashes before each flag of more than one letter
// that has one, as people who know Go's tools write it.
func longFlags(args []string) []string {
	out := slices.Clone(args)
	for i, a := range out {
		if a == "--" {
			break
		}
		if len(a) > 2 && a[0] == '-' && a[1] >= 'a' && a[1] <= 'z' && a[2] != '=' {
			out[i] = "-" + a
		}
	}
	return out
}
