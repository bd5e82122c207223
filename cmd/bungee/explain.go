package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bungee-xr/bungee/handler/ue/policy"
	"github.com/bungee-xr/bungee/internal/explain"
)

// policies are those that a log can be replayed with.
var policies = map[string]policy.Policy{
	"adaptive":  policy.Adaptive{},
	"threshold": policy.Threshold{},
	"toggle":    policy.Toggle{Every: 50},
	"ready":     policy.WhenReady{},
	"ue":        policy.Always(policy.OnUE),
	"edge":      policy.Always(policy.OnEdge),
}

func policyNames() string {
	var names []string
	for name := range policies {
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

func explainCommand() *cobra.Command {
	var picture, other string
	var replay bool
	c := &cobra.Command{
		Use:   "explain LOG",
		Short: "Tell why a UE's calls ran where they did",
		Long: `Explain reads the log of decisions of a UE offload handler (Config.Explain, ue.ExplainFile), and tells in sentences where
the calls of each function went, and why. -o draws it. With --replay, another policy decides on the same calls and views.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			f, err := os.Open(args[0])
			if err != nil {
				return err
			}
			defer f.Close()
			if replay {
				return replayLog(c.OutOrStdout(), f, other)
			}
			return tellLog(c.OutOrStdout(), f, picture)
		},
	}
	c.Flags().StringVarP(&picture, "out", "o", "", "picture to draw, an SVG `file`")
	c.Flags().BoolVar(&replay, "replay", false, "let the policy of --policy decide on the same calls, and compare")
	c.Flags().StringVar(&other, "policy", "adaptive", "`policy` of --replay: "+policyNames())
	return c
}

// tellLog writes the story of a log, and draws it if a picture is named.
func tellLog(w io.Writer, log io.Reader, picture string) error {
	s := explain.Tell(explain.Read(log))
	if len(s.Functions) == 0 && s.Fault != nil {
		return s.Fault
	}
	s.Write(w)
	if picture == "" {
		return nil
	}
	f, err := os.Create(picture)
	if err != nil {
		return err
	}
	s.Draw(f)
	return f.Close()
}

// replayLog compares the policy of a log with another one.
func replayLog(w io.Writer, log io.Reader, name string) error {
	p, known := policies[name]
	if !known {
		return fmt.Errorf("policy %q is unknown; there are %s", name, policyNames())
	}
	was, would, err := explain.Replay(explain.Read(log), p)
	if err != nil && !errors.Is(err, explain.ErrTruncated) {
		return err
	}
	fmt.Fprintf(w, "%-10s  %8s  %8s  %6s  %6s  %10s  %10s  %8s\n", "", "on UE", "on edge", "moves", "late", "mean", "energy", "unknown")
	for _, row := range []struct {
		name string
		s    explain.Score
	}{{"the log's", was}, {name, would}} {
		fmt.Fprintf(w, "%-10s  %8d  %8d  %6d  %6d  %10s  %8.2f J  %8d\n", row.name, row.s.Calls[0], row.s.Calls[1], row.s.Moves, row.s.Late, row.s.Mean().Round(10000), row.s.Joules, row.s.Unknown)
	}
	fmt.Fprintln(w, "Late, mean and energy are predicted from the log's views, for both alike.")
	if err != nil {
		fmt.Fprintf(w, "The log is not whole: %v.\n", err)
	}
	return nil
}
