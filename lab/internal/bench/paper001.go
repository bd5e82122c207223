package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"text/tabwriter"
)

// Paper001 configures the comparison of paper 001: a UE of several strengths,
// each computing here, on a host that runs the native function, and on a host
// that runs the same function as Wasm, over QUIC, and over TCP, which is what the paper has.
type Paper001 struct {
	Demo     string    // the program yolo-demo
	Out      string    // folder of the runs' reports and of the figure
	Frames   int       // of each run: half of them here, half on the host
	Shares   []float64 // of a core that the UE has
	Progress io.Writer // receives what the runs say
}

// An arm is a place where the frames of a run were computed.
type arm struct {
	Share float64
	Name  string // "local", "host, native", "host, Wasm", "Wasm over TCP"
	place
	run summary
}

// The parts of the demo's summary.json that are compared.
type summary struct {
	Local, Edge place
	Lost        int
	Duplicated  int
	Fallbacks   int
	Agreement   *float64
	TempSource  string   `json:"temp_source"`
	Joules      *float64 `json:"joules"`
	UECPU       float64  `json:"ue_cpu"`
	Throttled   uint64   `json:"nr_throttled"`
}

type place struct {
	Frames     int
	FPS        float64            `json:"fps_mean"`
	LatencyP50 float64            `json:"latency_p50_ms"`
	LatencyP99 float64            `json:"latency_p99_ms"`
	CPU        float64            `json:"ue_cpu_mean"`
	CPUFrame   float64            `json:"ue_cpu_ms_per_frame"`
	Outside    float64            `json:"outside_ms_p50"`
	Temp       float64            `json:"temp_mean"`
	BytesUp    float64            `json:"bytes_up_per_frame"`
	BytesDown  float64            `json:"bytes_down_per_frame"`
	Split      map[string]float64 `json:"split_p50_ms"`
}

// armsOfUE is how many arms each UE has, the local one first.
const armsOfUE = 4

// Run runs all arms, prints the comparison to w, draws it, and returns its
// figures.
func (p Paper001) Run(ctx context.Context, w io.Writer) ([]Figure, error) {
	var arms []arm
	for _, share := range p.Shares {
		native, err := p.demo(ctx, share, "native", "quic")
		if err != nil {
			return nil, err
		}
		wasm, err := p.demo(ctx, share, "wasm", "quic")
		if err != nil {
			return nil, err
		}
		tcp, err := p.demo(ctx, share, "wasm", "tcp")
		if err != nil {
			return nil, err
		}
		arms = append(arms,
			arm{share, "local", wasm.Local, wasm},
			arm{share, "host, native", native.Edge, native},
			arm{share, "host, Wasm", wasm.Edge, wasm},
			arm{share, "Wasm over TCP", tcp.Edge, tcp})
	}
	if err := errors.Join(printArms(w, arms), drawArms(p.Out, arms)); err != nil {
		return nil, err
	}
	return figures(arms), nil
}

// demo runs the demo once and reads what it measured.
func (p Paper001) demo(ctx context.Context, share float64, host, over string) (summary, error) {
	name := fmt.Sprintf("%g-%s-%s", share, host, over)
	dir := filepath.Join(p.Out, name)
	cmd := exec.CommandContext(ctx, p.Demo, "-ue-cpu", strconv.FormatFloat(share, 'g', -1, 64),
		"-frames", strconv.Itoa(p.Frames), "-host", host, "-over", over, "-http", "", "-out", dir)
	cmd.Stdout, cmd.Stderr = p.Progress, p.Progress
	fmt.Fprintf(p.Progress, "== UE of %g core, %s host over %s\n", share, host, over)
	if err := cmd.Run(); err != nil {
		return summary{}, fmt.Errorf("run %s: %w", name, err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "summary.json"))
	if err != nil {
		return summary{}, err
	}
	var s summary
	if err := json.Unmarshal(b, &s); err != nil {
		return summary{}, fmt.Errorf("run %s: summary.json: %w", name, err)
	}
	if s.UECPU != share {
		return summary{}, fmt.Errorf("run %s: the UE could not be limited to %g of a core (see its words above), so there is nothing to compare", name, share)
	}
	return s, nil
}

// paper has what paper 001 reports (section III and Figure 3), for one desktop
// as UE and YOLOv8 on an RTX A5000 as host. Only its ratios compare with ours.
var paper = []struct{ what, local, edge string }{
	{"frames per second", "7", "20"},
	{"UE CPU", "60 %", "lower"},
	{"UE temperature", "up to 57.5 °C", "lower"},
	{"network", "none", "over 1.2 Mb"},
}

// printArms prints the comparison.
func printArms(w io.Writer, arms []arm) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "UE cores\tcomputed\tFPS\tp50 ms\tp99 ms\tencode\tnetwork\tqueue\tdecode\tletterbox\tnet\tguest\tUE CPU ms/frame\tKB/frame\tJ/run\t")
	for _, a := range arms {
		s := a.Split
		joules := "no sensor"
		if a.run.Joules != nil {
			joules = fmt.Sprintf("%.1f", *a.run.Joules)
		}
		fmt.Fprintf(t, "%g\t%s\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t%.2f\t%.1f\t%.1f\t%s\t\n",
			a.Share, a.Name, a.FPS, a.LatencyP50, a.LatencyP99, s["encode"], s["network"], s["queue"],
			s["decode"], s["letterbox"], s["compute"], s["guest"], a.CPUFrame, (a.BytesUp+a.BytesDown)/1e3, joules)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w, "\nPaper 001, Figure 3 (other machines and another network: compare ratios, not figures):")
	for _, p := range paper {
		fmt.Fprintf(w, "  %-18s local %-14s edge %s\n", p.what, p.local, p.edge)
	}
	_, err := fmt.Fprintf(w, "Temperatures are %s here and support no claim.\n\n", arms[0].run.TempSource)
	return err
}

// figures returns what was measured, with the targets of the weakest UE.
func figures(arms []arm) []Figure {
	var all []Figure
	add := func(a arm, metric, unit string, value float64) Figure {
		return Figure{
			Bench: "paper001", Case: fmt.Sprintf("%g core/%s", a.Share, a.Name),
			Metric: metric, Value: value, Unit: unit, N: a.Frames, OK: true,
		}
	}
	for i, a := range arms {
		local := arms[i-i%armsOfUE]
		weak := a.Share == 0.25 && a.Name == "host, Wasm"
		fps := add(a, "fps_over_local", "x", a.FPS/local.FPS)
		cpu := add(a, "ue_cpu_per_frame_over_local", "x", a.CPUFrame/local.CPUFrame)
		outside := add(a, "outside_p50", "ms", a.Outside)
		if weak {
			fps, cpu, outside = fps.against(">=", 4), cpu.against("<=", 0.2), outside.against("<=", 8)
		}
		all = append(all, fps, cpu, outside,
			add(a, "fps", "1/s", a.FPS),
			add(a, "latency_p50", "ms", a.LatencyP50),
			add(a, "latency_p99", "ms", a.LatencyP99),
			add(a, "lost", "frames", float64(a.run.Lost)).against("<=", 0),
			add(a, "duplicated", "frames", float64(a.run.Duplicated)).against("<=", 0))
	}
	return all
}
