package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bungee-xr/bungee/internal/cli"
	"github.com/bungee-xr/bungee/lab/internal/bench"
	"github.com/bungee-xr/bungee/lab/internal/siege"
)

func hostileCommand() *cobra.Command {
	b := &bench.Hostile{}
	var hostArgs []string
	c := channelBench(&b.Setup, func(ctx context.Context) ([]bench.Figure, error) {
		if err := checkHostile(b); err != nil {
			return nil, err
		}
		b.Edge = func(h bench.Host) *exec.Cmd {
			cmd := soakDaemon(h)
			cmd.Args = append(append(cmd.Args, "--policy", h.Policy, "--drain", "1s"), hostArgs...)
			return cmd
		}
		return b.Run(ctx)
	})
	c.Use = "hostile"
	c.Short = "Make a million hostile calls to an edge host, and judge each answer"
	c.Long = `hostile starts a "bungee host" and makes calls to it that break a rule, from several tenants, each
over QUIC and over TCP at once: frames that are none, modules that are none, guests that trap in each
way, use up what they have, answer what is no answer or call host functions with what these must not believe,
channels that break, and calls that are given up at any moment. Between them go honest calls, whose answers are
checked to be their own.

Each hostile call must have one answer, of those that its kind allows; the host must live, and hold in the end,
without any UE, what it held after a warm-up. With -json the figure of a kind has how often each
answer came. The kinds are:

` + kindNames() + `

Those of neural networks need a host that serves one, such as by --host-arg --model=NAME. It exits 1 when a
target is missed. A million calls take some twenty minutes on two cores.`
	f := c.Flags()
	f.IntVar(&b.Calls, "calls", 1_000_000, "hostile calls (20,000 with --quick, if that is less)")
	f.IntVar(&b.Tenants, "tenants", 0, "tenants that make them (default 8)")
	f.Uint64Var(&b.Seed, "seed", 1, "seed of what is random in the calls")
	f.StringArrayVar(&hostArgs, "host-arg", nil, "further argument of bungee host (repeatable)")
	f.StringVar(&b.Out, "out", "", "folder for hosts.log (default: it is lost)")
	return c
}

// quickHostile is how many calls a quick run makes at most.
const quickHostile = 20_000

// checkHostile completes b from its flags, and makes its folder.
func checkHostile(b *bench.Hostile) error {
	if b.Quick {
		b.Calls = min(b.Calls, quickHostile)
	}
	if b.Calls <= 0 || b.Tenants < 0 {
		return fmt.Errorf("%w: --calls must be positive, and --tenants at least 0", cli.ErrUsage)
	}
	if b.Out == "" {
		return nil
	}
	return os.MkdirAll(b.Out, 0o755)
}

func kindNames() string {
	var lines []string
	for _, k := range siege.Kinds() {
		lines = append(lines, fmt.Sprintf("  %-22s %s", k.Name, k.AllowedText()))
	}
	return strings.Join(lines, "\n")
}
