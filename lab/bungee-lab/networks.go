package main

import (
	"context"
	"os"
	"os/exec"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/bungee-xr/bungee/internal/cli"
	"github.com/bungee-xr/bungee/lab/internal/bench"
)

func networksCommand() *cobra.Command {
	b := &bench.Networks{UE: callerProcess}
	c := channelBench(&b.Setup, func(ctx context.Context) ([]bench.Figure, error) {
		b.Edge = soakDaemon
		return b.Run(ctx)
	})
	c.Use = "networks"
	c.Short = "Measure how soon calls run on the edge host, on networks of every kind"
	c.Long = `networks runs a UE and a "bungee host" in network namespaces with a router between them,
and measures the time from the UE's start to the first answer of the host: where UDP works,
is dropped, or is refused; and on a path of MTU 1280. Then it changes the path under a
UE that calls twenty times a second, and measures how long calls run on the UE before they
run on the host again: the MTU falls, large packets or all of UDP are dropped, the UE or its
NAT gets another address, the interface is down for a while.

It needs Linux, root, iproute2 and nftables; one run at a time. It exits 1 when a target is
missed. It takes about 4 minutes.`
	return c
}

// callerProcess makes the command of a UE, of this program.
func callerProcess(u bench.Caller) *exec.Cmd {
	self, err := os.Executable()
	if err != nil {
		self = "bungee-lab" // its start says that there is none
	}
	return exec.Command(self, "bench", "caller", "--certs", u.Certs, "--edge", u.Edge,
		"--size", strconv.Itoa(u.Size), "--every", u.Every.String(), "--starts", strconv.Itoa(u.Starts))
}

// callerCommand is the process of a UE that networks starts.
func callerCommand() *cobra.Command {
	var u bench.Caller
	c := &cobra.Command{
		Use:    "caller",
		Short:  "Call an edge host and tell of each call, until standard input ends",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return u.Run(cli.UntilEOF(c.Context(), os.Stdin), os.Stdout)
		},
	}
	f := c.Flags()
	f.StringVar(&u.Certs, "certs", "", "folder with certificates")
	f.StringVar(&u.Edge, "edge", "", "address of the edge host")
	f.IntVar(&u.Size, "size", 1<<10, "bytes of a request")
	f.DurationVar(&u.Every, "every", 0, "time between two calls")
	f.IntVar(&u.Starts, "starts", 1, "how many UEs start, one after the other")
	return c
}
