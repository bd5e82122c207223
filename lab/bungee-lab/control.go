package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/bungee-xr/bungee/internal/cli"
	"github.com/bungee-xr/bungee/lab/internal/bench"
)

func controlCommand() *cobra.Command {
	b := &bench.Control{Manager: managerProcess, Up: upDaemon}
	c := channelBench(&b.Setup, func(ctx context.Context) ([]bench.Figure, error) {
		if b.Out != "" {
			if err := os.MkdirAll(b.Out, 0o755); err != nil {
				return nil, err
			}
		}
		return b.Run(ctx)
	})
	c.Use = "control"
	c.Short = "Measure the control plane: how soon it decides, moves and recovers, and what it costs"
	c.Long = `control measures how long a decision takes with 1,000 hosts and 10,000 sessions, and starts an
offload manager with its store on disk, as a process of its own, for the rest. Hosts and UEs that
only speak with the manager are simulated by this program, each with a certificate and a
connection of its own: hosts do what they are told at once, and beat; UEs measure at once.

asks      300 UEs ask again and again: how many get a place a second that a host has prepared
at rest   what the manager holds for 10,000 sessions, and what hosts and UEs that do nothing say

Then there are edge hosts in processes of their own, and a UE:

ready     the time from an Ask to the Place, at a host that has the module in its cache
neighbour what the calls of a tenant notice while the module of another one is probed without pause
drained   what a channel of 100 messages a second sees of moves that the manager makes
kill -9   what it sees when its host is killed, beside a channel with a standby of its own; and how
          soon the manager knows
up        the time from the start of "bungee up" to the first call on one of its hosts

It exits 1 when a target is missed. It takes about 7 minutes.`
	c.Flags().StringVar(&b.Out, "out", "", "folder for a CPU profile of the manager in each case (default: none is made)")
	return c
}

// managerProcess makes the command of an offload manager, of this program.
func managerProcess(m bench.Manager) *exec.Cmd {
	return selfAs("manager", "--certs", m.Certs, "--store", m.Store, "--audit", m.Audit, "--cpuprofile", m.Profile)
}

// upDaemon makes the command of a "bungee up" of the bungee that was built with this program.
func upDaemon(dir string) (*exec.Cmd, error) {
	bungee, err := beside("bungee")
	if err != nil {
		return nil, err
	}
	return exec.Command(bungee, "up", "--listen", "127.0.0.1:0", "--certs", dir, "--store", filepath.Join(dir, "manager.db"), "--cache", filepath.Join(dir, "modules"), "--until-eof"), nil
}

// benchManagerCommand is the process of an offload manager that control starts.
func benchManagerCommand() *cobra.Command {
	var m bench.Manager
	c := &cobra.Command{
		Use:    "manager",
		Short:  "Be an offload manager that bounds nobody's asks, until standard input ends",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return m.Run(cli.UntilEOF(c.Context(), os.Stdin), os.Stdout)
		},
	}
	f := c.Flags()
	f.StringVar(&m.Certs, "certs", "", "folder with certificates")
	f.StringVar(&m.Store, "store", "", "file of the store")
	f.StringVar(&m.Audit, "audit", "", "file for a line a decision")
	f.StringVar(&m.Profile, "cpuprofile", "", "file for a CPU profile")
	return c
}
