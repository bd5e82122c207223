package main

import (
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/bungee-xr/bungee/lab/internal/bench"
)

// profileCommand is for those who work on the data path, and for "make pgo".
func profileCommand() *cobra.Command {
	p := bench.Profile{}
	c := &cobra.Command{
		Use:   "profile",
		Short: "Profile both ends of calls and messages",
		Long: `profile sends calls of 1 KB and 50 KB to an edge host that runs them as Wasm, and
messages of 1 KB to a native far endpoint, one in flight, and leaves CPU profiles of
the UE's and the host's process in --out: LOAD-ue.pprof and LOAD-host.pprof.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			self, err := os.Executable()
			if err != nil {
				return err
			}
			p.Edge, p.Progress = edge(self), sceneBar()
			return p.Run(c.Context())
		},
	}
	c.Flags().StringVar(&p.Out, "out", "out/pgo", "folder for the profiles")
	c.Flags().StringVar(&p.Only, "case", "", "profile only the loads with this in their names")
	c.Flags().DurationVar(&p.For, "for", 8*time.Second, "how long each load is profiled")
	return c
}
