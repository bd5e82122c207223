package main

import (
	"cmp"
	"fmt"
	"os"
	"runtime"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/bungee-xr/bungee/lab/internal/bench"
	"github.com/bungee-xr/bungee/lab/internal/check"
)

func benchCheckCommand() *cobra.Command {
	s := &check.Seeds{}
	var seed uint64
	var script string
	var asJSON bool
	c := &cobra.Command{
		Use:   "check",
		Short: "Look for breaches of the channels' contract on a faulty network",
		Long: `check runs elastic channels against edge hosts in virtual time while far endpoints
move, hosts crash or fall silent, packets are lost, doubled and late, the UE changes
its address and both ends are slow at times. What happens is drawn from a seed; each
result, and each state of a far endpoint, is compared with a sequential run.

A seed whose script breaks the contract is shrunk to a short script, which goes to
stderr, and the exit status is 1. Scripts run in processes of their own: one that ends
its process breaks the contract, too. --adversary draws scripts with messages that
break or overrun their far endpoint, states that are refused, slow links and more, and
judges times and numbers besides. --survey runs all seeds, whatever fails, and prints a
failure of each shape. --script runs such a script again; kept in
lab/internal/check/testdata/regressions it becomes a test.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			s.Parallel = cmp.Or(s.Parallel, runtime.GOMAXPROCS(0))
			if check.IsChild() {
				return check.Serve(os.Stdin, os.Stdout)
			}
			if c.Flags().Changed("seed") {
				s.First, s.N = seed, 1
			}
			if script != "" {
				text, err := os.ReadFile(script)
				if err != nil {
					return err
				}
				if s.Script, err = check.Parse(string(text)); err != nil {
					return fmt.Errorf("%s: %w", script, err)
				}
			}
			if term.IsTerminal(int(os.Stderr.Fd())) {
				s.Progress = os.Stderr
			}
			if err := s.Run(c.Context()); err != nil {
				return err
			}
			if s.Survey {
				return printFindings(s)
			}
			return printCounts(s, asJSON)
		},
	}
	c.Flags().IntVar(&s.N, "seeds", 2000, "how many seeds")
	c.Flags().Uint64Var(&s.First, "first", 1, "the first seed")
	c.Flags().Uint64Var(&seed, "seed", 0, "one seed only")
	c.Flags().StringVar(&script, "script", "", "file of a script, to be run --seeds times")
	c.Flags().BoolVar(&s.Adversary, "adversary", false, "draw the scripts of an adversary")
	c.Flags().BoolVar(&s.TCP, "tcp", false, "reach the hosts over TCP")
	c.Flags().BoolVar(&s.Survey, "survey", false, "run all seeds and print a failure of each shape")
	c.Flags().IntVar(&s.Parallel, "parallel", 0, "how many run at once (default: as many as there are processors)")
	c.Flags().BoolVar(&asJSON, "json", false, "print a line of JSON for each count")
	return c
}

// printCounts prints what was checked. No seed has failed.
func printCounts(s *check.Seeds, asJSON bool) error {
	if asJSON {
		return bench.PrintJSON(os.Stdout, checkFigures(s))
	}
	_, err := fmt.Println(s.Counts.String())
	return err
}

// printFindings prints how many seeds failed in which shape, and one of each.
func printFindings(s *check.Seeds) error {
	for _, f := range s.Findings {
		fmt.Printf("%d times, first by seed %d (among %d), as in: %v\n\n", f.N, f.Seed, f.More, &f.Failure)
	}
	_, err := fmt.Println(s.Counts.String())
	return err
}

func checkFigures(s *check.Seeds) []bench.Figure {
	none := 0.0
	figures := []bench.Figure{{Bench: "check", Case: "seeds", Metric: "failed", Unit: "seeds", N: s.N, Target: &none, Op: "<=", OK: true}}
	for name, n := range s.Counts.All() {
		figures = append(figures, bench.Figure{Bench: "check", Case: "seeds", Metric: name, Value: float64(n), Unit: "times", N: s.N, OK: true})
	}
	return figures
}
