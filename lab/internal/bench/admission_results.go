package bench

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// A sweep is what hosts can really take, measured before the runs. All runs of a results file have the same.
type sweep struct {
	Network string      `json:"network"` // that looked at the frames
	Hosts   []sweptHost `json:"hosts"`
	Quick   bool        `json:"quick,omitempty"` // a short one, of which nothing may be judged
}

// A sweptHost is what a host can take.
type sweptHost struct {
	Name      string         `json:"name"`
	Cores     float64        `json:"cores"`
	IdleMs    float64        `json:"idle_ms"`    // L_inf with nobody else: median time of a call in the host
	PerSecond float64        `json:"per_second"` // frames a second, flat out
	Fits      map[string]int `json:"fits"`       // sessions of each load that it serves without a miss
}

// fastest returns the host that computes the most frames.
func (s *sweep) fastest() (f sweptHost) {
	for _, h := range s.Hosts {
		if h.PerSecond > f.PerSecond {
			f = h
		}
	}
	return f
}

// rate returns how many frames a second a session of a load has.
func (s *sweep) rate(l load) float64 { return l.part * s.fastest().PerSecond }

// theta returns theta_inf: one number for the cluster, 1.5 times the fastest host's idle L_inf.
func (s *sweep) theta() time.Duration {
	least := 0.
	for _, h := range s.Hosts {
		if least == 0 || h.IdleMs < least {
			least = h.IdleMs
		}
	}
	return time.Duration(1.5 * least * float64(time.Millisecond))
}

// slots returns how many sessions of a load all hosts take together.
func (s *sweep) slots(load string) (n int) {
	for _, h := range s.Hosts {
		n += h.Fits[load]
	}
	return n
}

// idle returns a host's L_inf with nobody else [ms], 0 for one that was not swept.
func (s *sweep) idle(name string) float64 {
	for _, h := range s.Hosts {
		if h.Name == name {
			return h.IdleMs
		}
	}
	return 0
}

// A ranRun is what a run has come to.
type ranRun struct {
	runPlan
	Quick  bool      `json:"quick,omitempty"`
	Rate   float64   `json:"rate"` // frames a second of a session
	UEs    []ranUE   `json:"ues"`
	Probes uint64    `json:"probes"`
	Late   []float64 `json:"late_ms"` // that the UEs were told to begin after their time
}

// A ranUE is what has become of a UE.
type ranUE struct {
	Name    string   `json:"name"`
	At      float64  `json:"at_ms"` // since the run began, when it was to ask
	Reasons []string `json:"reasons,omitempty"`
	UEReport

	PredictedMs float64 `json:"predicted_ms,omitempty"` // p99, when it was placed
	Moves       int     `json:"moves,omitempty"`        // by the manager's decision
}

// A line is one of a results file.
type line struct {
	Sweep *sweep  `json:"sweep,omitempty"`
	Run   *ranRun `json:"run,omitempty"`
}

// results are kept in a file, a line each, so that an experiment goes on where it was stopped.
type results struct {
	path  string
	sweep *sweep
	runs  []*ranRun
}

// openResults reads the file at path, if there is one. A last line that was not written to its end is dropped.
func openResults(path string) (*results, error) {
	r := &results{path: path}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return r, os.MkdirAll(filepath.Dir(path), 0o755)
	}
	if err != nil {
		return nil, err
	}
	whole := b[:bytes.LastIndexByte(b, '\n')+1]
	in := bufio.NewScanner(bytes.NewReader(whole))
	in.Buffer(nil, len(whole)+1)
	for n := 1; in.Scan(); n++ {
		var l line
		if err := json.Unmarshal(in.Bytes(), &l); err != nil {
			return nil, fmt.Errorf("%s:%d: %w; take the file away to begin anew", path, n, err)
		}
		r.keep(l)
	}
	if len(whole) < len(b) {
		return r, os.Truncate(path, int64(len(whole)))
	}
	return r, in.Err()
}

func (r *results) keep(l line) {
	if l.Sweep != nil {
		r.sweep = l.Sweep
	}
	if l.Run != nil {
		r.runs = append(r.runs, l.Run)
	}
}

// add keeps l and writes it.
func (r *results) add(l line) error {
	b, err := json.Marshal(l)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(r.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(append(b, '\n'))
	r.keep(l)
	return errors.Join(err, f.Close())
}

// find returns the run of a plan, nil if there is none yet.
func (r *results) find(p runPlan) *ranRun {
	for _, run := range r.runs {
		if run.runPlan == p {
			return run
		}
	}
	return nil
}

// of returns the runs of an arm, in the order of their repeats.
func (r *results) of(load, mode, arm string) (all []*ranRun) {
	for n := 1; n <= admissionRepeats; n++ {
		if run := r.find(runPlan{load, mode, arm, n}); run != nil {
			all = append(all, run)
		}
	}
	return all
}

// admissionRepeats bounds the repeats of a case.
const admissionRepeats = 1000
