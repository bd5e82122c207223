package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/bungee-xr/bungee/lab/internal/bench"
)

func admissionCommand() *cobra.Command {
	b := &bench.Admission{UE: admissionUE, Say: os.Stderr}
	var s scene
	var asJSON *bool
	c := channelBench(&b.Setup, func(ctx context.Context) ([]bench.Figure, error) {
		if err := prepareAdmission(ctx, b, &s); err != nil {
			return nil, err
		}
		table := io.Writer(os.Stdout)
		if *asJSON {
			table = os.Stderr
		}
		return b.Run(ctx, table)
	})
	asJSON = new(bool)
	c.PreRun = func(c *cobra.Command, _ []string) { *asJSON, _ = c.Flags().GetBool("json") }
	c.Use = "admission"
	c.Short = "Paper 000: ten UEs, three edge hosts, and who keeps his promise"
	c.Long = `admission runs the experiment of paper 000 on real processes: three hosts with 0.48, 0.36 and 0.36 of a core,
and ten UEs that come within 40 s, each with 188 frames of a video for yolo-demo's module. It must be run in the
repository's folder, where that is. First it measures what each host can take.

least-allocated   admits all, to the host of which the least is requested: an emulation of the default Kubernetes scheduler
algorithm-1       paper 000's: capacities of 2, 1 and 1 sessions, a probe at each host for each request, one after the other
ours              learned capacity, and sessions are looked at again

Loads are matched, light and heavy: a session needs 0.4, 0.2 or 0.8 of the fastest host. In mode open frames come at a fixed rate;
that is judged. In mode closed the next frame follows the answer. "45 s slots" are the prototype's: a slot is held so long.
"algorithm-1, parallel probes" and "ours, placed once" are the steps from one arm to the other.

Results are kept in --out, a line a run, and runs that are there are not repeated: start it again where it was
stopped. --quick compresses time five times and judges nothing. It needs rights to make a cgroup. It exits 1 when a
target is missed. All runs take some two and a half hours; --case and --repeats select some.`
	f := c.Flags()
	f.StringVar(&b.Out, "out", "out/paper000", "folder for results, compiled modules and figures")
	f.IntVar(&b.Repeats, "repeats", 0, "repeats of a case at most (default: ten of what is judged first, else five or three)")
	s.flags(c, &b.Work)
	return c
}

// prepareAdmission makes the folder and the frames, which are encoded beforehand.
func prepareAdmission(ctx context.Context, b *bench.Admission, s *scene) error {
	network, path, err := s.find(ctx, &b.Work, b.Say)
	if err != nil {
		return err
	}
	b.Work.Frames = filepath.Join(b.Out, "frames")
	if err := os.MkdirAll(b.Work.Frames, 0o755); err != nil {
		return err
	}
	if have, err := filepath.Glob(filepath.Join(b.Work.Frames, "*")); err != nil || len(have) < bench.AdmissionFrames {
		if err := writeFrames(path, b.Work.Frames, bench.AdmissionFrames); err != nil {
			return fmt.Errorf("encode the frames: %w", err)
		}
	}
	policy := filepath.Join(b.Out, "policy.toml")
	if err := os.WriteFile(policy, fmt.Appendf(nil, probedPolicy, b.Work.Network), 0o644); err != nil {
		return err
	}
	b.Edge = func(h bench.Host) *exec.Cmd {
		bungee, err := beside("bungee")
		if err != nil {
			bungee = "bungee" // its start says that there is none
		}
		args := []string{"host", "--certs", h.Certs, "--cache", h.Cache, "--listen", h.Listen, "--name", h.Name, "--until-eof", "--policy", policy,
			"--calls", "1", "--nets", "1", "--threads", "1", "--model", s.hostModel(network), "--nn", "opencv"}
		if h.Manager != "" {
			args = append(args, "--manager", h.Manager)
		}
		return exec.Command(bungee, args...)
	}
	return nil
}

// probedPolicy grants the one network by its name: then an image through it stands for the module, which asks for any, when a host is probed.
const probedPolicy = "[default]\nmodels = [%q]\n"

// admissionUE makes the command of a UE, of this program.
func admissionUE(u bench.AdmissionUE) *exec.Cmd {
	text, err := json.Marshal(u)
	if err != nil {
		panic(err) // it is text and numbers
	}
	return selfAs("admission-ue", string(text))
}

// admissionUECommand is the process of a UE.
func admissionUECommand() *cobra.Command {
	return &cobra.Command{
		Use:    "admission-ue UE",
		Short:  "Be a UE of the admission experiment, until standard input ends",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			var u bench.AdmissionUE
			if err := json.Unmarshal([]byte(args[0]), &u); err != nil {
				return err
			}
			return u.Run(c.Context(), os.Stdin, os.Stdout)
		},
	}
}
