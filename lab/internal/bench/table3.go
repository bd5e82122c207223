package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"text/tabwriter"
	"time"

	"github.com/bungee-xr/bungee/internal/identity"
)

// A Table3 measures the row of paper 000's Table 3 for standalone Wasm: what an edge host needs in memory, on disk and of the processor, while a UE
// has the begin of the video computed there, again and again. Host and UE are processes; each run has a new host, which finds the module compiled.
type Table3 struct {
	Setup
	// UE makes the command of a process that runs an [AdmissionUE].
	UE func(AdmissionUE) *exec.Cmd
	// Work is what the UE has computed: its frames are as many as Length needs.
	Work Work
	// Rate is how many frames a second the video has, at which they are sent.
	Rate float64
	// Length is how much of the video a run takes. Zero means 30 s, or 3 s if Quick.
	Length time.Duration
	// Runs is how many there are. Zero means 30, or 2 if Quick.
	Runs int
	// Program is the file of the edge host, and Network the files of the network. Their sizes are told.
	Program string
	Network []string
	// Cache is a folder that the compiled module goes to.
	Cache string
}

// paperTable3 is the paper's row, in MB and per cent.
var paperTable3 = struct{ ram, storage, cpu float64 }{242, 2, 37.62}

// A usedRun is what a run of a host took.
type usedRun struct {
	idle, mean, most float64 // MB of memory: before the UE came, in the mean of its frames, and the most
	cpu              float64 // seconds of cores, from the UE's begin to its end
	took             float64 // seconds that this was
	report           UEReport
}

// Run measures, prints a table to w and returns the figures. It needs /proc.
func (b Table3) Run(ctx context.Context, w io.Writer) (figures []Figure, err error) {
	if b.Runs == 0 {
		b.Runs = b.pick(30, 2)
	}
	certs, err := os.MkdirTemp("", "bungee-table3-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(certs)) }()
	authority, err := identity.NewAuthority()
	if err == nil {
		err = authority.Write(certs)
	}
	if err != nil {
		return nil, err
	}
	if _, err := b.run(ctx, certs, 1); err != nil { // brings the module, which is compiled
		return nil, fmt.Errorf("bring the module: %w", err)
	}
	var runs []usedRun
	for i := range b.Runs {
		if b.Progress != nil {
			b.Progress(standalone, i, b.Runs)
		}
		r, err := b.run(ctx, certs, b.Frames())
		if err != nil {
			return nil, fmt.Errorf("run %d: %w", i+1, err)
		}
		runs = append(runs, r)
	}
	if b.Progress != nil {
		b.Progress("", b.Runs, b.Runs)
	}
	sizes, err := b.sizes()
	if err != nil {
		return nil, err
	}
	figures = append(usedFigures(runs), sizes...)
	return figures, printTable3(w, figures)
}

// Frames returns how many a run has.
func (b Table3) Frames() int {
	length := b.Length
	if length == 0 {
		length = time.Duration(b.pick(30, 3)) * time.Second
	}
	return max(1, int(length.Seconds()*b.Rate))
}

// run starts a host, has a UE send frames, and returns what the host took.
func (b Table3) run(ctx context.Context, certs string, frames int) (r usedRun, err error) {
	edge, err := startEdge(b.Edge, Host{Certs: certs, Name: "edge", Listen: "127.0.0.1:0", Cache: b.Cache})
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, edge.end()) }()
	pid := edge.cmd.Process.Pid
	ue, err := start(b.UE(AdmissionUE{Certs: certs, Edge: edge.address, Work: b.Work, Rate: b.Rate, Frames: frames}))
	if err != nil {
		return r, err
	}
	if _, err := ue.line(); err != nil {
		ue.kill()
		return r, err
	}
	idle, there := resident(pid)
	if !there {
		ue.kill()
		return r, errors.New("the host's memory is not known: this needs Linux, and a host that lives")
	}
	stop, watched := make(chan struct{}), make(chan []float64, 1)
	go func() { watched <- lookAtMemory(pid, stop) }()
	begin, before := time.Now(), cpuTime(pid)
	r.report, err = finish(ctx, ue)
	r.cpu, r.took = (cpuTime(pid) - before).Seconds(), time.Since(begin).Seconds()
	close(stop)
	looks := <-watched
	r.idle, r.mean, r.most = float64(idle)/1e6, mean(looks), float64(highWater(pid))/1e6
	if err == nil && (r.report.Outcome != outcomeServed || r.report.answered() == 0 && frames > 1) {
		err = fmt.Errorf("the UE is %s, and %d of %d frames were answered: %s", r.report.Outcome, r.report.answered(), frames, r.report.Why)
	}
	return r, err
}

// lookAtMemory returns the memory of a process, in MB, each 100 ms until stop is closed, once at least.
func lookAtMemory(pid int, stop <-chan struct{}) (all []float64) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		if bytes, ok := resident(pid); ok {
			all = append(all, float64(bytes)/1e6)
		}
		select {
		case <-stop:
			return all
		case <-tick.C:
		}
	}
}

const standalone = "standalone Wasm"

// usedFigures returns what runs took.
func usedFigures(runs []usedRun) (all []Figure) {
	add := func(metric, unit, note string, of func(usedRun) float64, paper float64) {
		var v []float64
		for _, r := range runs {
			v = append(v, of(r))
		}
		s := spreadOf(v)
		f := Figure{Bench: "table3", Case: standalone, Metric: metric, Value: s.mean, Unit: unit, N: s.n, OK: true, Beside: s.beside(), Note: note}
		if paper != 0 {
			f.Beside["paper"] = paper
		}
		all = append(all, f)
	}
	add("ram_idle", "MB", "the host's resident memory, with its network and no session", func(r usedRun) float64 { return r.idle }, 0)
	add("ram_session", "MB", "the same with one session, in the mean of a run; the paper's number is of its Baseline RAM", func(r usedRun) float64 { return r.mean }, paperTable3.ram)
	add("ram_most", "MB", "the most that the host has had", func(r usedRun) float64 { return r.most }, 0)
	add("cpu", "% of a core", "in a run, at the video's rate", func(r usedRun) float64 { return 100 * over(r.cpu, r.took) }, 0)
	add("cpu_machine", "% of the machine", fmt.Sprintf("the same of all %d cores", runtime.NumCPU()),
		func(r usedRun) float64 { return 100 * over(r.cpu, r.took) / float64(runtime.NumCPU()) }, paperTable3.cpu)
	add("cpu_frame", "ms of a core", "for each frame that was answered in time", func(r usedRun) float64 { return 1e3 * over(r.cpu, float64(r.report.answered())) }, 0)
	add("fps", "frames/s", "answered in time", func(r usedRun) float64 { return r.report.perSecond() }, 0)
	add("latency_p50", "ms", "from when a frame is due to its answer", func(r usedRun) float64 { return quantile(inTime(r.report.Latency), 0.5) }, 0)
	add("run_p50", "ms", "in the host", func(r usedRun) float64 { return quantile(r.report.Run, 0.5) }, 0)
	add("lost", "frames", "not answered within 500 ms", func(r usedRun) float64 { return float64(r.report.missed()) }, 0)
	return all
}

// sizes returns what is on disk.
func (b Table3) sizes() (all []Figure, err error) {
	add := func(metric, note string, paper float64, paths ...string) {
		var sum int64
		for _, p := range paths {
			n, sizeErr := sizeOf(p)
			err = errors.Join(err, sizeErr)
			sum += n
		}
		f := Figure{Bench: "table3", Case: standalone, Metric: metric, Value: float64(sum) / 1e6, Unit: "MB", N: 1, OK: true, Note: note}
		if paper != 0 {
			f.Beside = map[string]float64{"paper": paper}
		}
		all = append(all, f)
	}
	if b.Work.Module != "" {
		add("storage_module", "the module as it travels, compressed", paperTable3.storage, b.Work.Module)
	}
	add("storage_cache", "the module as it is compiled on the host", 0, b.Cache)
	if b.Program != "" {
		add("storage_program", "bungee, which all modules share; the paper counts none of its libraries", 0, b.Program)
	}
	if len(b.Network) > 0 {
		add("storage_network", "the network's files, which all modules share", 0, b.Network...)
	}
	return all, err
}

// sizeOf returns the bytes of a file, or of the files in a folder.
func sizeOf(path string) (sum int64, err error) {
	err = filepath.WalkDir(path, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			sum += info.Size()
		}
		return err
	})
	return sum, err
}

// printTable3 prints the row, and that the others are not measured.
func printTable3(w io.Writer, figures []Figure) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, standalone+"\tmeasured\t± 95 %\tpaper\t")
	for _, f := range figures {
		paper, half := "-", "-"
		if v, ok := f.Beside["paper"]; ok {
			paper = fmt.Sprintf("%.4g", v)
		}
		if v, ok := f.Beside["ci95_half"]; ok && f.N > 1 {
			half = fmt.Sprintf("%.2g", v)
		}
		fmt.Fprintf(t, "%s, %s\t%.4g\t%s\t%s\t%s\n", f.Metric, f.Unit, f.Value, half, paper, f.Note)
	}
	fmt.Fprintln(t, "Wasm container, Docker\tnot measured\t\t\tthere are no containers yet")
	return t.Flush()
}
