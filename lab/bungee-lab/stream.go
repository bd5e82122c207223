package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bungee-xr/bungee/lab/internal/bench"
)

// streamCommand is a UE of paper 000's experiment for a machine of its own.
func streamCommand() *cobra.Command {
	u := bench.AdmissionUE{}
	var s scene
	c := &cobra.Command{
		Use:   "stream",
		Short: "Paper 000: be one UE, on a machine of its own",
		Long: `stream is one UE of the experiment of paper 000: it asks an offload manager for a host, sends frames of a video to yolo-demo's module at a
fixed rate, and prints a line of JSON with what it saw: "outcome" is served, refused or failed, "hosts" are those that answered, and "latency_ms" has
-1 for each frame that was not answered within 500 ms. It exits 1 unless it is served. It must be run in the repository's folder, or be told --module.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			frames, err := os.MkdirTemp("", "bungee-stream-")
			if err != nil {
				return err
			}
			defer os.RemoveAll(frames)
			_, path, err := s.find(c.Context(), &u.Work, os.Stderr)
			if err != nil {
				return err
			}
			u.Work.Frames = frames
			if err := writeFrames(path, frames, u.Frames); err != nil {
				return fmt.Errorf("encode the frames: %w", err)
			}
			return runStream(c, u)
		},
	}
	f := c.Flags()
	f.StringVar(&u.Manager, "manager", "", "address of the offload manager")
	f.StringVar(&u.Edge, "edge", "", "or of an edge host that has none")
	f.StringVar(&u.Certs, "certs", "", "folder with the UE's certificates")
	f.Float64Var(&u.Rate, "rate", 6, "frames a second, which the manager is told, too")
	f.IntVar(&u.Frames, "frames", bench.AdmissionFrames, "frames to send")
	s.flags(c, &u.Work)
	return c
}

// runStream runs u, and says what it saw.
func runStream(c *cobra.Command, u bench.AdmissionUE) error {
	in, begin := io.Pipe() // open until u has ended, which ends with it
	defer begin.Close()
	go io.WriteString(begin, "go\n") // ends with the pipe
	var said strings.Builder
	if err := u.Run(c.Context(), in, &said); err != nil {
		return err
	}
	_, report, _ := strings.Cut(said.String(), "\n") // after "ready"
	fmt.Print(report)
	if !strings.Contains(report, `"outcome":"served"`) {
		return errors.New("the UE was not served, see above")
	}
	return nil
}
