// Package cli is what the main functions of our commands share: flags as people write
// them, errors as one sentence, and the exit status.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/spf13/cobra"
)

// ErrUsage marks an error of the command line.
var ErrUsage = errors.New("usage")

// A Status ends the program with this exit status and prints nothing, because the error
// has been printed already.
type Status int

// Error implements error.
func (s Status) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// Main runs root with the program's arguments and ends the program. Its commands'
// contexts end at SIGINT and SIGTERM. An error goes to stderr as one sentence; the exit
// status is 0, 1 (failed) or 2 (usage).
func Main(root *cobra.Command) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root.AddCommand(referenceCommand())
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return fmt.Errorf("%w: %w", ErrUsage, err) })
	root.SetArgs(longFlags(os.Args[1:]))
	err := root.ExecuteContext(ctx)
	var status Status
	if err != nil && !errors.As(err, &status) {
		fmt.Fprintf(os.Stderr, "%s: %v\n", root.Name(), err)
	}
	os.Exit(statusOf(err))
}

// statusOf returns the exit status that stands for err.
func statusOf(err error) int {
	var status Status
	switch {
	case err == nil:
		return 0
	case errors.As(err, &status):
		return int(status)
	case errors.Is(err, ErrUsage):
		return 2
	}
	return 1
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

// UntilEOF returns a context that ends with r, too. Its goroutine ends with the
// process: a read of standard input cannot be cancelled.
func UntilEOF(ctx context.Context, r io.Reader) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		io.Copy(io.Discard, r)
		cancel()
	}()
	return ctx
}
