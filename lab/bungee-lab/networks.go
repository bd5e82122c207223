package main

import (
	"context"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/bungee-xr/bungee/internal/cli"
	"github.com/bungee-xr/bungee/lab/internal/bench"
)

func networksCommand() *cobra.Command {
	b := &bench.Networks{UE: callerProcess, Flood: floodProcess, Sink: sinkProcess}
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
NAT gets another address, the interface is down for a while. At last somebody floods the
host with handshakes.

It needs Linux, root, iproute2 and nftables; one run at a time. It exits 1 when a target is
missed. It takes about 6 minutes.`
	return c
}

// callerProcess makes the command of a UE, of this program.
func callerProcess(u bench.Caller) *exec.Cmd {
	return selfAs("caller", "--certs", u.Certs, "--edge", u.Edge,
		"--size", strconv.Itoa(u.Size), "--every", u.Every.String(), "--starts", strconv.Itoa(u.Starts))
}

// floodProcess and sinkProcess make the commands of whoever floods, and of the sink beside the host.
func floodProcess(f bench.Flood) *exec.Cmd {
	return selfAs("flood", "--to", f.To, "--ports", strconv.Itoa(f.Ports), "--rate", strconv.Itoa(f.Rate), "--for", f.For.String())
}

func sinkProcess(s bench.Sink) *exec.Cmd { return selfAs("sink", "--listen", s.Listen) }

// selfAs makes the command of a bench of this program.
func selfAs(bench string, args ...string) *exec.Cmd {
	self, err := os.Executable()
	if err != nil {
		self = "bungee-lab" // its start says that there is none
	}
	return exec.Command(self, append([]string{"bench", bench}, args...)...)
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

// floodCommand is the process that floods a host.
func floodCommand() *cobra.Command {
	var f bench.Flood
	c := &cobra.Command{
		Use:    "flood",
		Short:  "Begin handshakes with a host from many ports, go on with none, and count the Retries",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE:   func(c *cobra.Command, _ []string) error { return f.Run(c.Context(), os.Stdout) },
	}
	c.Flags().StringVar(&f.To, "to", "", "the host's address")
	c.Flags().IntVar(&f.Ports, "ports", 1000, "ports that packets come from")
	c.Flags().IntVar(&f.Rate, "rate", 10_000, "packets a second")
	c.Flags().DurationVar(&f.For, "for", 10*time.Second, "how long")
	return c
}

// sinkCommand is the process of a sink.
func sinkCommand() *cobra.Command {
	var s bench.Sink
	c := &cobra.Command{
		Use:    "sink",
		Short:  "Receive packets and throw them away, until standard input ends",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return s.Run(cli.UntilEOF(c.Context(), os.Stdin), os.Stdout)
		},
	}
	c.Flags().StringVar(&s.Listen, "listen", "", "its address")
	return c
}
