package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/bungee-xr/bungee/lab/internal/bench"
)

func offloadgenCommand() *cobra.Command {
	setup := &bench.Setup{}
	c := channelBench(setup, func(ctx context.Context) ([]bench.Figure, error) {
		return bench.Offloadgen{Quick: setup.Quick}.Run(ctx)
	})
	c.Use = "offloadgen"
	c.Short = "Measure what offloadgen makes: codecs, and calls that stay on the UE"
	c.Long = `offloadgen measures generated codecs beside msgpack.Marshal and beside a copy, and an elastic call
without a handler beside a plain one, each in turns with the other. It exits 1 when a target is
missed. It takes half a minute; --quick takes seconds.`
	return c
}
