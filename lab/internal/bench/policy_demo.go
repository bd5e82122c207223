package bench

import (
	"bufio"
	"cmp"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bungee-xr/bungee/internal/identity"
)

// Demo has the programs of the demonstration: real processes on real video, to which faults happen.
type Demo struct {
	Program string // yolo-demo; empty: it was not built, and its cases fail
	Bungee  string // bungee, for the edge host
	Model   string // that both use
	Out     string // folder of the runs' reports. Empty: they are thrown away
}

// A fault is something that happens to the host or to the link in the middle of a run.
type fault struct {
	frames int
	args   []string                                          // of yolo-demo
	happen func(s *demoStage) (undo func() error, err error) // nil: nothing happens
}

// A demoStage is the edge host and the link of a run.
type demoStage struct {
	certs string
	host  *process
	way   *relay
}

// broad is the link before a fault: that of the 50 Mbit/s, at a distance of Wi-Fi.
var broad = mbits(50, 3*time.Millisecond).weather

// open starts the edge host and the link.
func (d *Demo) open() (s *demoStage, err error) {
	s = &demoStage{}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.end())
		}
	}()
	if s.certs, err = os.MkdirTemp("", "bungee-bench-"); err != nil {
		return s, err
	}
	if err := identity.Write(s.certs); err != nil {
		return s, err
	}
	host := exec.Command(d.Bungee, "host", "--model", d.Model, "--nn", "opencv", "--certs", s.certs, "--until-eof", "--name", "edge-host", "--listen", "127.0.0.1:0")
	host.Stderr = io.Discard
	if s.host, err = start(host); err != nil {
		return s, err
	}
	line, err := s.host.line()
	if err != nil {
		return s, err
	}
	s.way, err = relayUDP(broad, strings.TrimPrefix(line, "listening on "))
	return s, err
}

func (s *demoStage) end() (err error) {
	if s.host != nil {
		err = s.host.end()
	}
	if s.way != nil {
		err = errors.Join(err, s.way.end())
	}
	return errors.Join(err, os.RemoveAll(s.certs))
}

// run runs the demo with a fault.
func (d *Demo) run(ctx context.Context, name string, f fault) (r *demoRun, err error) {
	if d.Program == "" || d.Bungee == "" {
		return nil, errors.New(`yolo-demo and bungee are not beside this program; run "make build"`)
	}
	s, err := d.open()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.end()) }()
	out, err := d.folder(name)
	if err != nil {
		return nil, err
	}
	if d.Out == "" {
		defer os.RemoveAll(out)
	}
	args := append([]string{"-edge", s.way.address, "-certs", s.certs, "-model", d.Model, "-http", "", "-over", "quic", "-out", out,
		"-frames", strconv.Itoa(f.frames)}, f.args...)
	at, err := s.play(exec.CommandContext(ctx, d.Program, args...), f)
	if err != nil {
		return nil, err
	}
	return readDemo(out, at)
}

func (d *Demo) folder(name string) (string, error) {
	if d.Out == "" {
		return os.MkdirTemp("", "bungee-bench-demo-")
	}
	dir := filepath.Join(d.Out, strings.NewReplacer("/", "-", " ", "-").Replace(name))
	return dir, os.MkdirAll(dir, 0o755)
}

// play runs the demo to its end, has the fault happen when half of the frames are computed, and returns when that was.
func (s *demoStage) play(cmd *exec.Cmd, f fault) (at time.Time, err error) {
	said, err := cmd.StderrPipe()
	if err != nil {
		return at, err
	}
	if err := cmd.Start(); err != nil {
		return at, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	undo := func() error { return nil }
	var last []string
	for lines := bufio.NewScanner(said); lines.Scan(); {
		last = append(last[max(0, len(last)-4):], lines.Text())
		if done, ok := framesDone(lines.Text(), f.frames); !ok || done < f.frames/2 || !at.IsZero() || f.happen == nil {
			continue
		}
		at = time.Now()
		if undo, err = f.happen(s); err != nil {
			break
		}
	}
	err = errors.Join(err, cmd.Wait(), undo())
	if err == nil && at.IsZero() && f.happen != nil {
		err = errors.New("the run ended before its fault")
	}
	if err != nil {
		err = fmt.Errorf("%w; the demo's last words: %s", err, strings.Join(last, "; "))
	}
	return at, err
}

// framesDone reads a line of the demo's progress: "edge  10.0 FPS: 51 of 200".
func framesDone(line string, total int) (n int, ok bool) {
	_, after, _ := strings.Cut(line, " FPS: ")
	before, of, _ := strings.Cut(after, " of ")
	n, err := strconv.Atoi(before)
	return n, err == nil && of == strconv.Itoa(total)
}

// A demoFrame is a row of the demo's metrics.csv.
type demoFrame struct {
	edge, hedged, late bool
	from, to           time.Duration // since the first frame
	call               float64       // ms
}

// A demoRun is what a run of the demo reports.
type demoRun struct {
	Began    time.Time `json:"began"`
	Late     int       `json:"late"`
	Hedged   int       `json:"hedged"`
	Lost     int       `json:"lost"`
	Kept     *float64  `json:"kept"`
	Deadline float64   `json:"deadline_ms"`
	Local    place     `json:"local"`

	frames []demoFrame
	fault  time.Duration // since the first frame; 0: none
}

// readDemo reads a report. at is when the fault happened.
func readDemo(dir string, at time.Time) (*demoRun, error) {
	b, err := os.ReadFile(filepath.Join(dir, "summary.json"))
	if err != nil {
		return nil, err
	}
	r := &demoRun{}
	if err := json.Unmarshal(b, r); err != nil {
		return nil, fmt.Errorf("summary.json: %w", err)
	}
	f, err := os.Open(filepath.Join(dir, "metrics.csv"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if r.frames, err = readFrames(f); err != nil {
		return nil, fmt.Errorf("metrics.csv: %w", err)
	}
	if len(r.frames) == 0 {
		return nil, errors.New("the demo computed no frame")
	}
	if !at.IsZero() {
		r.fault = at.Sub(r.Began)
	}
	return r, nil
}

// readFrames reads metrics.csv.
func readFrames(from io.Reader) (all []demoFrame, err error) {
	rows, err := csv.NewReader(from).ReadAll()
	if err != nil || len(rows) == 0 {
		return nil, cmp.Or(err, io.ErrUnexpectedEOF)
	}
	column := map[string]int{}
	for i, name := range rows[0] {
		column[name] = i
	}
	for _, name := range []string{"where", "hedged", "late", "start_ms", "latency_ms", "call_ms"} {
		if _, ok := column[name]; !ok {
			return nil, fmt.Errorf("there is no column %s", name)
		}
	}
	for _, row := range rows[1:] {
		number := func(name string) float64 {
			x, e := strconv.ParseFloat(row[column[name]], 64)
			err = cmp.Or(err, e)
			return x
		}
		from := time.Duration(number("start_ms") * float64(time.Millisecond))
		all = append(all, demoFrame{
			edge: row[column["where"]] == "edge", hedged: row[column["hedged"]] == "1", late: row[column["late"]] == "1",
			from: from, to: from + time.Duration(number("latency_ms")*float64(time.Millisecond)), call: number("call_ms"),
		})
	}
	return all, err
}

// after returns the frames that had no answer yet when the fault happened.
func (r *demoRun) after() []demoFrame {
	i := slices.IndexFunc(r.frames, func(f demoFrame) bool { return f.to >= r.fault })
	if i < 0 {
		return nil
	}
	return r.frames[i:]
}

// onEdgeBefore returns the share of the frames on the edge host in the last 20 before the fault: a fault of a host that is not used
// shows nothing.
func (r *demoRun) onEdgeBefore() float64 {
	before := r.frames[:len(r.frames)-len(r.after())]
	before = before[max(0, len(before)-20):]
	n := 0
	for _, f := range before {
		if f.edge {
			n++
		}
	}
	return float64(n) / float64(max(1, len(before)))
}

// untilMoved returns how many frames after the fault asked the edge host, and how many of these were late, before one was placed on the UE.
func (r *demoRun) untilMoved() (asked, late int) {
	for _, f := range r.after() {
		if !f.edge && !f.hedged && f.call <= r.Deadline {
			break
		}
		asked++
		if f.late {
			late++
		}
	}
	return asked, late
}

// calls returns what the calls of some frames took, in ms.
func calls(frames []demoFrame) (all []float64) {
	for _, f := range frames {
		all = append(all, f.call)
	}
	return all
}
