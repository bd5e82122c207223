// Package explain is the log of a UE handler's decisions: each with what it was made on, and how the call was.
//
// It is NDJSON: a Record a line, in the order of time. A call follows the view that it was decided on, and the views that no call
// was decided on are left out. Times are since the handler began, in nanoseconds.
//
//	{"at":0,"head":{"version":1,"began":"2026-11-29T20:00:00Z","policy":"policy.Adaptive{}"}}
//	{"at":51000000,"view":{...}}
//	{"at":52000000,"call":{"Function":0,"Number":17,...}}
//	{"at":61000000,"end":{"function":0,"where":1,"took":9000000}}
//
// The package reads and writes it. A log is data: whatever it holds, reading it takes bounded memory, and a record that
// it returns can be given to a policy.
package explain

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/bungee-xr/bungee/handler/ue/policy"
)

// Version is that of the logs.
const Version = 1

const (
	// MaxLine bounds a line: a view of 200 functions has some 100 KB.
	MaxLine = 256 << 10
	// maxFunctions bounds the functions of a view.
	maxFunctions = 1024
	// maxHosts bounds its hosts.
	maxHosts = 256
	// maxLevels bounds the fidelities of a function.
	maxLevels = 16
)

// ErrTruncated is what reading ends with when the last line is not whole: the handler was ended while it wrote, or the log was cut.
var ErrTruncated = errors.New("the log ends within a line")

// A Record is one line. One of the pointers is set, or Lost.
type Record struct {
	At   time.Duration `json:"at"`
	Head *Head         `json:"head,omitempty"`
	View *policy.View  `json:"view,omitempty"`
	Call *Call         `json:"call,omitempty"`
	End  *End          `json:"end,omitempty"`
	Lost uint64        `json:"lost,omitempty"` // decisions that are not in the log, as there were too many at once
}

// A Head is the first record of a log, and of each file of it.
type Head struct {
	Version int       `json:"version"`
	Began   time.Time `json:"began"`
	Policy  string    `json:"policy"` // as Go prints it
}

// A Call is a decision on the last view.
type Call struct {
	policy.Call
	Where    policy.Place  `json:"where"`
	Fallback string        `json:"fallback,omitempty"` // why it runs on the UE though it was placed on an edge host
	Fidelity uint8         `json:"fidelity,omitempty"`
	Hedge    time.Duration `json:"hedge,omitempty"`
	Reason   policy.Reason `json:"reason"`
	A        float32       `json:"a,omitempty"`
	B        float32       `json:"b,omitempty"`
}

// Why returns the reason.
func (c *Call) Why() policy.Why { return policy.Why{Reason: c.Reason, A: c.A, B: c.B} }

// An End is how a call was. It does not say which: calls overlap.
type End struct {
	Function int           `json:"function"`
	Where    policy.Place  `json:"where"`
	Took     time.Duration `json:"took"`
	Missed   bool          `json:"missed,omitempty"` // it was late, or had no answer
	Queue    time.Duration `json:"queue,omitempty"`
	Run      time.Duration `json:"run,omitempty"`
	Network  time.Duration `json:"network,omitempty"`
	Up       int           `json:"up,omitempty"`
	Down     int           `json:"down,omitempty"`
	Level    int           `json:"level,omitempty"`
}

// Append appends the line of a record.
func Append(b []byte, r *Record) ([]byte, error) {
	line, err := json.Marshal(r)
	if err != nil {
		return b, err
	}
	return append(append(b, line...), '\n'), nil
}

// Read yields the records of a log, and as the last one an error if it has a fault: ErrTruncated when it ends within a line, else
// what is wrong with which line. What comes before is good.
func Read(from io.Reader) iter.Seq2[*Record, error] {
	return func(yield func(*Record, error) bool) {
		lines := bufio.NewReaderSize(from, MaxLine)
		functions := -1 // of the last view; -1: there was none
		for n := 1; ; n++ {
			line, err := lines.ReadSlice('\n')
			switch {
			case err == io.EOF && len(line) == 0:
				return
			case err == io.EOF:
				yield(nil, fmt.Errorf("line %d: %w", n, ErrTruncated))
				return
			case err == bufio.ErrBufferFull:
				yield(nil, fmt.Errorf("line %d: it has more than %d bytes", n, MaxLine))
				return
			case err != nil:
				yield(nil, fmt.Errorf("line %d: %w", n, err))
				return
			}
			r, err := parse(line, functions)
			if err != nil {
				yield(nil, fmt.Errorf("line %d: %w", n, err))
				return
			}
			if r.View != nil {
				functions = len(r.View.Functions)
			}
			if !yield(r, nil) {
				return
			}
		}
	}
}

// parse reads a line, with so many functions in the view before.
func parse(line []byte, functions int) (*Record, error) {
	r := &Record{}
	d := json.NewDecoder(bytes.NewReader(line))
	if err := d.Decode(r); err != nil {
		return nil, err
	}
	if rest := bytes.TrimSpace(line[d.InputOffset():]); len(rest) > 0 {
		return nil, fmt.Errorf("%d bytes after the record", len(rest))
	}
	return r, r.check(functions)
}

// check says what of r no handler writes.
func (r *Record) check(functions int) error {
	known := func(f int) bool { return f >= 0 && f < max(functions, 0) }
	switch {
	case r.At < 0:
		return errors.New("a time before the begin")
	case r.Head != nil && r.Head.Version != Version:
		return fmt.Errorf("the log is of version %d, and this program reads %d", r.Head.Version, Version)
	case r.View != nil:
		return checkView(r.View)
	case r.Call != nil && (!known(r.Call.Function) || r.Call.Where > policy.OnEdge || r.Call.Now > policy.OnEdge):
		return errors.New("a call of a function, or at a place, that the view before does not have")
	case r.End != nil && (!known(r.End.Function) || r.End.Where > policy.OnEdge || r.End.Took < 0):
		return errors.New("an end of a function, or at a place, that the view before does not have")
	}
	return nil
}

func checkView(v *policy.View) error {
	if len(v.Functions) > maxFunctions || len(v.Hosts) > maxHosts || len(v.Standings) > len(v.Functions) {
		return fmt.Errorf("a view of %d functions, %d hosts and %d standings", len(v.Functions), len(v.Hosts), len(v.Standings))
	}
	for i := range v.Functions {
		if n := len(v.Functions[i].Levels); n > maxLevels {
			return fmt.Errorf("function %d has %d fidelities", i, n)
		}
	}
	for i := range v.Standings {
		if v.Standings[i].Where > policy.OnEdge {
			return fmt.Errorf("function %d stands at %d, which is no place", i, v.Standings[i].Where)
		}
	}
	return nil
}
