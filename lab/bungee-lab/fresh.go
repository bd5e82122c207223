package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/lab/internal/bench"
)

// benchFreshCommand is the process of an edge host whose start is measured.
func benchFreshCommand() *cobra.Command {
	var h bench.FreshHost
	c := &cobra.Command{
		Use:    "fresh",
		Short:  "Make an instance of a module in the cache, say so, and end",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			e, err := engineNamed(h.Engine, h.Cache, 0)
			if err != nil {
				return err
			}
			defer e.Close()
			return h.Run(c.Context(), e, os.Stdout)
		},
	}
	c.Flags().StringVar(&h.Engine, "engine", "", "engine")
	c.Flags().StringVar(&h.Cache, "cache", "", "folder with compiled modules")
	c.Flags().StringVar(&h.Module, "module", "", "file of the module")
	c.Flags().StringVar(&h.Digest, "digest", "", "SHA-256 of the module")
	return c
}

// benchCrowdCommand is the process that holds instances.
func benchCrowdCommand() *cobra.Command {
	var h bench.Crowd
	c := &cobra.Command{
		Use:    "crowd",
		Short:  "Hold as many instances as standard input says, until it ends",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			e, err := engineNamed(h.Engine, h.Cache, h.Instances)
			if err != nil {
				return err
			}
			defer e.Close()
			return h.Run(c.Context(), e, os.Stdin, os.Stdout)
		},
	}
	c.Flags().StringVar(&h.Engine, "engine", "", "engine")
	c.Flags().StringVar(&h.Cache, "cache", "", "folder with compiled modules")
	c.Flags().StringVar(&h.Module, "module", "", "file of the module")
	c.Flags().IntVar(&h.Instances, "instances", 0, "instances to make room for")
	return c
}

// engineNamed makes an engine of that name.
func engineNamed(name, dir string, instances int) (executor.Engine, error) {
	found, err := enginesOf(name)
	if err != nil {
		return nil, err
	}
	return found[0].New(dir, instances)
}
