package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/internal/cli"
	"github.com/bungee-xr/bungee/lab/internal/bench"
)

func channelCommand() *cobra.Command {
	b := &bench.Channel{}
	b.Host = hostDaemon
	c := channelBench(&b.Setup, func(ctx context.Context) ([]bench.Figure, error) { return b.Run(ctx) })
	c.Use = "channel"
	c.Short = "Measure elastic channels and calls beside gRPC and a bare TCP stream"
	c.Long = `channel measures what a message of an elastic channel costs: on the UE itself, and
to an edge host in another process, in turn with gRPC unary calls over TLS and
with a bare length-prefixed stream over TCP and TLS, each between two processes of
its own. All of them touch each byte of a message and compute nothing else; no Wasm
runs. What is called grpc carries its bytes in a protobuf message, as an application
would and as a channel's message does; grpcraw does without, which nobody would.

Calls are of a generated function, in turn with gRPC: the median of five rounds' ratios
counts. A host runs the function natively, as gRPC's does, or as Wasm: then it is a
"bungee host" beside this program. A call that runs on the UE stands beside the plain
call of the same function.

Then it measures video over a link that delays, limits and loses packets, in real
time, and what a channel costs that has nothing to do. It exits 1 when a target is
missed, or cannot be checked because "make yardstick" was not run. Without --quick
it takes about 7 minutes.`
	return c
}

func handoverCommand() *cobra.Command {
	b := &bench.Handover{}
	c := channelBench(&b.Setup, func(ctx context.Context) ([]bench.Figure, error) {
		if b.Out != "" {
			if err := os.MkdirAll(b.Out, 0o755); err != nil {
				return nil, err
			}
		}
		return b.Run(ctx)
	})
	c.Use = "handover"
	c.Short = "Measure moves of a far endpoint: planned, after kill -9, after SIGSTOP"
	c.Long = `handover sends messages through an elastic channel and moves its far endpoint
between edge hosts in processes of their own: by plan, by killing the process, by
stopping it, and it changes the UE's address. A gap is the longest time between two
results around an event, beyond the period of the messages; beside it stands the
same in calm times of equal length. Each result is checked: that it came once and in its
turn, and that the far endpoint's state is that of a sequential run. A host that is
left without a fault is counted, too.

Where a message has work, and where busy loops compute beside, the hosts run Wasm. The
gap of a kill is explained by the time until the channel knows of it, and by the work
since the last checkpoint, which is done again.

It exits 1 when a target is missed. Without --quick it takes about 9 minutes.`
	c.Flags().StringVar(&b.Out, "out", "", "folder for handover.png (default: none is drawn)")
	return c
}

func soakCommand() *cobra.Command {
	b := &bench.Soak{Daemon: soakDaemon}
	c := channelBench(&b.Setup, func(ctx context.Context) ([]bench.Figure, error) {
		if err := checkSoak(b); err != nil {
			return nil, err
		}
		return b.Run(ctx)
	})
	c.Use = "soak"
	c.Short = "Disturb a channel for a long time: nothing is lost, nothing grows"
	c.Long = `soak sends messages through an elastic channel to "bungee host" processes that run
Wasm, and disturbs it. Each result is checked: that it came once and in its turn, and
that the far endpoint's state, a chain of hashes, is that of a sequential run. --with
names the disturbances:

  move   the far endpoint moves among three hosts and the UE
  kill   a host is killed by SIGKILL and comes back
  stop   a host is stopped for up to 3 s and goes on, as an owner that was left
  drain  all hosts in turn are restarted by SIGTERM
  certs  a host's address is a stranger's for a second; then the host is back with new
         certificates
  net    the UE's interface is down for 1, 5 and 30 s, each in its turn: the hosts are in
         network namespaces, which needs Linux, root and iproute2; one soak at a time
  load   a third of the time the messages have 100 KB and four busy loops compute beside

Once a second it measures what UE and hosts hold; at the end, memory, goroutines and
descriptors must not have grown from the first third to the last one, and no host may
have been left that was well. With --out it leaves soak.png with the curves, soak.jsonl
with a line a second, channel.log and hosts.log.

It exits 1 when a target is missed. It takes the time of --duration, or longer if
--messages are more than fit in it.`
	f := c.Flags()
	f.DurationVar(&b.Duration, "duration", 10*time.Minute, "how long messages are sent, at least")
	f.Uint64Var(&b.Messages, "messages", 0, "how many messages of 1 KB the hosts answer, at least")
	f.Float64Var(&b.Rate, "rate", 1000, "messages of 1 KB a second; 0: as the channel takes them")
	f.DurationVar(&b.MoveEvery, "move-every", time.Second, "time between two moves")
	f.DurationVar(&b.KillEvery, "kill-every", 10*time.Second, "time between two kills, and between two other faults")
	f.StringSliceVar(&b.With, "with", []string{"all"}, "disturbances, see above; all: all that this machine can have")
	f.StringVar(&b.Out, "out", "", "folder for soak.png, soak.jsonl and logs (default: none is kept)")
	return c
}

// checkSoak completes b from its flags, and makes its folder.
func checkSoak(b *bench.Soak) error {
	if slices.Equal(b.With, []string{"all"}) {
		b.With = bench.Disturbances
	}
	for _, w := range b.With {
		if !slices.Contains(bench.Disturbances, w) {
			return fmt.Errorf("%w: --with %s: it is none of %s", cli.ErrUsage, w, strings.Join(bench.Disturbances, ", "))
		}
	}
	if b.Quick {
		b.Duration, b.KillEvery = min(b.Duration, 24*time.Second), min(b.KillEvery, 3*time.Second)
	}
	if b.MoveEvery <= 0 || b.KillEvery <= 0 || b.Rate < 0 {
		return fmt.Errorf("%w: --move-every and --kill-every must be positive, and --rate at least 0", cli.ErrUsage)
	}
	if b.Out == "" {
		return nil
	}
	return os.MkdirAll(b.Out, 0o755)
}

// soakDaemon makes the command of the bungee that was built with this program.
func soakDaemon(h bench.Host) *exec.Cmd {
	bungee, err := beside("bungee")
	if err != nil {
		bungee = "bungee" // its start says that there is none
	}
	return exec.Command(bungee, "host", "--certs", h.Certs, "--cache", h.Cache, "--listen", h.Listen, "--name", h.Name, "--metrics", h.Metrics, "--until-eof")
}

// channelBench makes the command of a benchmark with setup s.
func channelBench(s *bench.Setup, run func(context.Context) ([]bench.Figure, error)) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			self, err := os.Executable()
			if err != nil {
				return err
			}
			s.Edge = edge(self)
			s.Yardstick = filepath.Join(filepath.Dir(self), "yardstick")
			s.Progress = sceneBar()
			figures, err := run(c.Context())
			if err != nil {
				return err
			}
			return printFigures(figures, asJSON)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print a line of JSON for each figure")
	c.Flags().BoolVar(&s.Quick, "quick", false, "measure less: ends within 40 s")
	c.Flags().StringVar(&s.Only, "case", "", "measure only the cases with this in their names")
	return c
}

// hostDaemon makes the command of the bungee that was built with this program.
func hostDaemon(certs, cache string) (*exec.Cmd, error) {
	bungee, err := beside("bungee")
	if err != nil {
		return nil, err
	}
	return exec.Command(bungee, "host", "--certs", certs, "--cache", cache, "--listen", "127.0.0.1:0", "--name", "edge", "--until-eof"), nil
}

// sceneBar shows the case under way on stderr, nil where that is no terminal.
func sceneBar() func(name string, done, total int) {
	if !term.IsTerminal(int(os.Stderr.Fd())) {
		return nil
	}
	bar := progressbar.NewOptions(1, progressbar.OptionSetWriter(os.Stderr), progressbar.OptionSetWidth(30),
		progressbar.OptionShowCount(), progressbar.OptionClearOnFinish())
	return func(name string, done, total int) {
		bar.ChangeMax(total)
		bar.Describe(name)
		bar.Set(done) // a terminal that cannot be written to is nothing to tell anybody
	}
}

// edge makes the commands of edge hosts, of this program at path self.
func edge(self string) bench.Program {
	return func(h bench.Host) *exec.Cmd {
		return exec.Command(self, "bench", "host", "--certs", h.Certs, "--listen", h.Listen, "--name", h.Name, "--cache", h.Cache, "--cpuprofile", h.Profile, "--manager", h.Manager)
	}
}

// benchHostCommand is the process of an edge host that benchmarks start.
func benchHostCommand() *cobra.Command {
	var h bench.Host
	c := &cobra.Command{
		Use:    "host",
		Short:  "Serve the far endpoint of the benchmarks, until standard input ends",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			engine := func(cache string) (executor.Engine, error) { return benchEngines[0].New(cache, 0) }
			return h.Run(cli.UntilEOF(c.Context(), os.Stdin), engine, os.Stdout)
		},
	}
	c.Flags().StringVar(&h.Certs, "certs", "", "folder with certificates")
	c.Flags().StringVar(&h.Listen, "listen", "", "UDP address to listen on")
	c.Flags().StringVar(&h.Name, "name", "", "name of this host")
	c.Flags().StringVar(&h.Cache, "cache", "", "folder for compiled modules; native code runs without")
	c.Flags().StringVar(&h.Profile, "cpuprofile", "", "file for a CPU profile")
	c.Flags().StringVar(&h.Manager, "manager", "", "address of the offload manager that sends UEs; all are served without")
	return c
}
