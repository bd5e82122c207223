package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bungee-xr/bungee/internal/cli"
	"github.com/bungee-xr/bungee/lab/internal/bench"
	"github.com/bungee-xr/bungee/lab/internal/siege"
)

func siegeCommand() *cobra.Command {
	b := &bench.Siege{Besieger: besiegerProcess, Quota: 1, GoModule: "examples/hello/bungee_offload.wasm.gz"}
	var totalMiB int64
	var totalFlag string
	var hostArgs []string
	var model string
	c := channelBench(&b.Setup, func(ctx context.Context) ([]bench.Figure, error) {
		if err := checkSiege(b, totalMiB); err != nil {
			return nil, err
		}
		args := append(optional(map[string]int64{totalFlag: totalMiB, "modules": siegeModules}), hostArgs...)
		if model != "" {
			args = append(args, "--model", model)
			b.Network = strings.TrimSuffix(filepath.Base(model), filepath.Ext(model))
		}
		b.Edge = func(h bench.Host) *exec.Cmd {
			cmd := soakDaemon(h)
			cmd.Args = append(append(cmd.Args, "--drain", "1s"), args...)
			return cmd
		}
		return b.Run(ctx)
	})
	c.Use = "siege"
	c.Short = "Attack an edge host in every way, and measure what its quiet tenants notice"
	c.Long = `siege starts a "bungee host" on a core of its own, with 90 quiet tenants that ask for 30 %
of it, and attackers with certificates of their own in a process that gives way to all others. Peace
and siege take turns. Each answer of a quiet tenant is checked to be its own, its time
counts from when the call was due, and the host's memory is watched. A host that takes
twice its total is killed, and counts as crashed.

By default all attacks are made at once, by ten attackers; then the bulk operations
alone; then compile bombs beside the deploy of a Go module of this repository, which must be
the current folder. --attack makes some alone, --each one after the other. They are, with the
case of the tests of edge hosts that they come from:

` + attackNames() + `

With --attack nothing they keep their core busy and leave the host alone: the figures are then the
benchmark's own noise. It needs Linux, two cores, and root for the control group of the host's quota. It exits 1 when a
target is missed. It takes some three times --duration for the two kinds of calls each.`
	f := c.Flags()
	f.StringSliceVar(&b.Attacks, "attack", nil, `attacks to make, see above; "bulk-" is all that begin so (default: all)`)
	f.BoolVar(&b.Each, "each", false, "make the attacks one after the other, each with a host of its own")
	f.DurationVar(&b.Duration, "duration", 5*time.Minute, "how long the host is besieged in each case")
	f.Int64Var(&totalMiB, "total", 1024, "MiB that the host may hold")
	f.StringVar(&totalFlag, "total-flag", "memory-total", "flag of bungee host that is told the total, in MiB, if it has one of that name")
	f.StringArrayVar(&hostArgs, "host-arg", nil, "further argument of bungee host (repeatable)")
	f.StringVar(&model, "model", "", "file of a neural network that the host serves, which hog-contexts needs (default: it serves none)")
	f.Float64Var(&b.Quota, "quota", 1, "share of a core that the host has; 0: its core, without a control group")
	f.IntVar(&b.Quiet, "quiet", 0, "quiet tenants (default 90, or 30 with --quick)")
	f.StringVar(&b.Out, "out", "", "folder for siege.png, siege.jsonl and hosts.log (default: none is kept)")
	return c
}

// checkSiege completes b from its flags, and makes its folder.
func checkSiege(b *bench.Siege, totalMiB int64) error {
	if b.Quick {
		b.Duration = min(b.Duration, 2*time.Second)
		b.Quiet = cmp.Or(b.Quiet, 30)
	}
	if b.Duration <= 0 || totalMiB <= 0 || b.Quota < 0 {
		return fmt.Errorf("%w: --duration and --total must be positive, and --quota at least 0", cli.ErrUsage)
	}
	if err := siege.Check(b.Attacks); err != nil {
		return fmt.Errorf("%w: --attack: %w", cli.ErrUsage, err)
	}
	b.Total = totalMiB << 20
	if b.Out == "" {
		return nil
	}
	return os.MkdirAll(b.Out, 0o755)
}

// siegeModules is how many modules a host keeps that can be told: room for those of all tenants.
const siegeModules = 1024

// optional returns those flags of bungee host, with their values, that it has.
func optional(flags map[string]int64) (args []string) {
	help, err := exec.Command(soakDaemon(bench.Host{}).Path, "host", "--help").Output()
	if err != nil {
		return nil // its start will say what is wrong
	}
	for flag, value := range flags {
		if strings.Contains(string(help), "--"+flag+" ") {
			args = append(args, "--"+flag, strconv.FormatInt(value, 10))
		}
	}
	return args
}

func attackNames() string {
	var lines []string
	for _, name := range siege.Names() {
		lines = append(lines, fmt.Sprintf("  %-18s %s", name, siege.CaseOf(name)))
	}
	return strings.Join(lines, "\n")
}

// besiegerProcess makes the command of attackers, of this program.
func besiegerProcess(b siege.Besieger) *exec.Cmd {
	return selfAs("besieger", "--host", b.Host, "--certs", b.Certs, "--attackers", strconv.Itoa(b.Attackers), "--attack", strings.Join(b.Attacks, ","), "--network", b.Network)
}

// besiegerCommand is the process of attackers.
func besiegerCommand() *cobra.Command {
	var b siege.Besieger
	c := &cobra.Command{
		Use:    "besieger",
		Short:  "Attack an edge host until standard input ends, and tell how often",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return b.Run(cli.UntilEOF(c.Context(), os.Stdin), os.Stdout)
		},
	}
	f := c.Flags()
	f.StringVar(&b.Host, "host", "", "address of the edge host")
	f.StringVar(&b.Certs, "certs", "", "folder with a folder of certificates for each attacker")
	f.IntVar(&b.Attackers, "attackers", 10, "attackers")
	f.StringSliceVar(&b.Attacks, "attack", nil, "attacks (default: all)")
	f.StringVar(&b.Network, "network", "", "name of a network that the host serves")
	return c
}
