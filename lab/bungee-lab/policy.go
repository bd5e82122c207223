package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/bungee-xr/bungee/lab/internal/bench"
)

func policyCommand() *cobra.Command {
	b := &bench.Policy{}
	var record string
	c := channelBench(&b.Setup, func(ctx context.Context) ([]bench.Figure, error) {
		if record != "" {
			return nil, b.Record(ctx, record)
		}
		b.Faults.Program, _ = beside("yolo-demo") // without them the cases say so
		b.Faults.Bungee, _ = beside("bungee")
		return b.Run(ctx)
	})
	c.Use = "policy"
	c.Short = "Measure the UE's policies on traces, beside the offline optimum"
	c.Long = `policy replays traces of what calls would have taken on the UE and on an edge host, with the
policy Adaptive. Beside it stand all calls on the UE, all calls on the edge host, the policy
Threshold, and the offline optimum: a dynamic program that knows the whole trace, and is first
cool, then in time, then frugal. Each trace says where it is from; synthetic ones are made
the same each time, and --out writes them.

It measures what the notifier, a view, a decision, a call and the log of decisions cost, and has faults
happen to yolo-demo and its edge host, which are processes on this machine: the host freezes, or slows
down, or the link becomes narrow ("--case demo"; it needs "make build", a model, a video, and rights to
make a cgroup). It exits 1 when a target is missed. It takes five minutes; --quick and "--case trace" take seconds.`
	c.Flags().StringVar(&b.Traces, "traces", "", "folder with further traces, *.ndjson")
	c.Flags().StringVar(&record, "record", "", "folder to which traces are recorded with an edge host in a process of its own, a minute each; nothing is replayed")
	c.Flags().StringVar(&b.Written, "out", "", "folder to which the synthetic traces are written (default: none is written)")
	c.Flags().StringVar(&b.Faults.Model, "model", "yolo-fastest-1.1-xl", "network of the demo's runs")
	c.Flags().StringVar(&b.Faults.Out, "reports", "", "folder for the reports of the demo's runs (default: none is kept)")
	return c
}
