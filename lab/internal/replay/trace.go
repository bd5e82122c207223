// Package replay runs policies of the UE against traces of what calls would have taken at each place, and finds the best that
// could have been done: the offline optimum.
//
// A trace is NDJSON: a line of a [Head], then a line a [Call]. Each call has both latencies, since a policy under test chooses. The head
// says where the trace is from. What was measured by real processes is called recorded, and what a program made up is called synthetic.
//
// [Run] replays a trace: it learns, builds views and asks the policy as the UE handler does, in the trace's time. [Optimum] knows the whole trace.
package replay

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
)

// A Head is the first line of a trace.
type Head struct {
	Trace     string     `json:"trace"`
	Origin    string     `json:"origin"` // "recorded: how", or "synthetic: what"
	Functions []Function `json:"functions"`
	Device    Device     `json:"device"`
	Radio     string     `json:"radio,omitempty"` // "wifi", "cellular", "ethernet", "loopback"
}

// A Function is an elastic function of a trace.
type Function struct {
	Name       string  `json:"name"`
	Deadline   float64 `json:"deadline_ms"`
	Rate       float64 `json:"rate"` // calls a second
	Idempotent bool    `json:"idempotent,omitempty"`
	// Levels are the fidelities of its inputs, the best first: that of a trace's calls. None: there is one. Calls of a function with levels
	// have a rate, by which the edge is sooner done with less.
	Levels []Level `json:"levels,omitempty"`
}

// A Level is how an input is encoded.
type Level struct {
	Quality int     `json:"quality"` // of the codec
	Bytes   float64 `json:"bytes"`   // of a request, typically
}

// A Device is the UE: its processor, and how it heats. Without a limit nothing is known of its temperature.
type Device struct {
	Cores   float64 `json:"cores"`
	Watts   float64 `json:"watts"`              // of a busy core
	Up      float64 `json:"joules_up"`          // of a byte
	Down    float64 `json:"joules_down"`        // of a byte
	Ambient float64 `json:"ambient,omitempty"`  // [°C]
	Rise    float64 `json:"rise,omitempty"`     // of a busy core [K]
	Tau     float64 `json:"tau_s,omitempty"`    // time constant
	Limit   float64 `json:"limit,omitempty"`    // [°C]
	Start   float64 `json:"start,omitempty"`    // temperature at first [°C]
	Noise   float64 `json:"noise_k,omitempty"`  // standard deviation of the sensor [K]
	Battery float64 `json:"battery,omitempty"`  // charge at first; 0: not known
	Joules  float64 `json:"capacity,omitempty"` // of the battery [J]
}

// A Call is a line of a trace.
type Call struct {
	T     float64 `json:"t"`               // when it begins [s]
	F     int     `json:"f,omitempty"`     // number of the function
	UE    float64 `json:"ue"`              // what it takes on the UE [ms]
	CPU   float64 `json:"cpu,omitempty"`   // processor time of that [ms]; 0: as much
	Edge  float64 `json:"edge"`            // what it takes on the edge host [ms]; 0: no answer comes
	Run   float64 `json:"run,omitempty"`   // of that the function itself [ms]
	Queue float64 `json:"queue,omitempty"` // and the wait for a turn [ms]
	Up    int     `json:"up,omitempty"`    // size of the request [bytes]
	Down  int     `json:"down,omitempty"`  // and of the reply
	RTT   float64 `json:"rtt,omitempty"`   // as the link's transport has it then [ms]
	Rate  float64 `json:"rate,omitempty"`  // and its rate [bytes/s]; 0: what calls on the edge told
	Gone  bool    `json:"gone,omitempty"`  // the host cannot take the call
	Base  float64 `json:"base,omitempty"`  // cores that others keep busy
}

// A Trace is one that was read.
type Trace struct {
	Head
	Calls []Call
}

// What a trace may hold.
const (
	maxLine      = 4 << 10
	maxCalls     = 200_000
	maxFunctions = 16
	maxLevels    = 16
	longest      = 600_000 // ms, of a latency
)

// Read reads a trace. Whatever is read, its numbers are finite and in their bounds, and its calls in the order of time.
func Read(r io.Reader) (*Trace, error) {
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 0, maxLine), maxLine)
	t := &Trace{}
	for line := 1; s.Scan(); line++ {
		var err error
		if line == 1 {
			if err = json.Unmarshal(s.Bytes(), &t.Head); err == nil {
				err = t.Head.check()
			}
		} else {
			err = t.add(s.Bytes())
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
	}
	if err := s.Err(); err != nil {
		return nil, err
	}
	if len(t.Calls) == 0 {
		return nil, errors.New("a trace without calls")
	}
	return t, nil
}

func (t *Trace) add(line []byte) error {
	var c Call
	if err := json.Unmarshal(line, &c); err != nil {
		return err
	}
	if len(t.Calls) >= maxCalls {
		return fmt.Errorf("more than %d calls", maxCalls)
	}
	last := 0.0
	if n := len(t.Calls); n > 0 {
		last = t.Calls[n-1].T
	}
	if c.T < last || c.T > last+3600 || c.F < 0 || c.F >= len(t.Functions) || c.Up < 0 || c.Down < 0 || c.Up > 1<<30 || c.Down > 1<<30 || c.UE <= 0 {
		return errors.New("a call out of order, of no function, or without latency")
	}
	for _, x := range []float64{c.UE, c.CPU, c.Edge, c.Run, c.Queue, c.RTT} {
		if !(x >= 0 && x <= longest) {
			return fmt.Errorf("a latency of %v ms", x)
		}
	}
	if !(c.Rate >= 0 && c.Rate < 1e12 && c.Base >= 0 && c.Base < 1e4) {
		return errors.New("a rate or a load out of bounds")
	}
	if len(t.Functions[c.F].Levels) > 0 && c.Rate < 1 {
		return errors.New("a call of a function with levels, and no rate")
	}
	t.Calls = append(t.Calls, c)
	return nil
}

func (h *Head) check() error {
	if h.Trace == "" || h.Origin == "" {
		return errors.New("a trace has a name and an origin")
	}
	if n := len(h.Functions); n == 0 || n > maxFunctions {
		return fmt.Errorf("%d functions; 1 to %d", n, maxFunctions)
	}
	for _, f := range h.Functions {
		if !(f.Deadline >= 0 && f.Deadline <= longest && f.Rate > 0 && f.Rate < 1e5) {
			return fmt.Errorf("function %.40q has a deadline or a rate out of bounds", f.Name)
		}
		if err := f.checkLevels(); err != nil {
			return err
		}
	}
	d := &h.Device
	for _, x := range []float64{d.Watts, d.Up, d.Down, d.Rise, d.Noise, d.Battery, d.Joules} {
		if !(x >= 0 && x < 1e9) {
			return errors.New("the device has a number out of bounds")
		}
	}
	for _, x := range []float64{d.Ambient, d.Limit, d.Start} {
		if math.Abs(x) > 200 {
			return errors.New("the device has a temperature out of bounds")
		}
	}
	if !(d.Cores > 0 && d.Cores < 1e4) || d.Limit != 0 && !(d.Tau >= 1 && d.Tau < 1e5) {
		return errors.New("the device has no cores, or a temperature without a time constant")
	}
	return nil
}

func (f *Function) checkLevels() error {
	if len(f.Levels) > maxLevels {
		return fmt.Errorf("function %.40q has %d levels, over %d", f.Name, len(f.Levels), maxLevels)
	}
	most := float64(1 << 30)
	for _, l := range f.Levels {
		if l.Quality < 1 || l.Quality > 100 || !(l.Bytes > 0 && l.Bytes <= most) {
			return fmt.Errorf("function %.40q has levels out of bounds or order", f.Name)
		}
		most = l.Bytes
	}
	return nil
}

// Write writes a trace.
func (t *Trace) Write(w io.Writer) error {
	b := bufio.NewWriter(w)
	e := json.NewEncoder(b)
	err := e.Encode(t.Head)
	for _, c := range t.Calls {
		err = errors.Join(err, e.Encode(c))
	}
	return errors.Join(err, b.Flush())
}

// Adversarial says that the trace is made so that moving after what was does not help.
func (t *Trace) Adversarial() bool { return strings.HasPrefix(t.Trace, "adversary") }
