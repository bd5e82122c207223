package stage

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"
)

// A Kind is what an event is about.
type Kind string

// The kinds.
const (
	Probe   Kind = "probe"   // a host has shown how long a call takes there, or could not
	Refusal Kind = "refusal" // no host may take a session
	Move    Kind = "move"    // a session goes to another host
	Placed  Kind = "placed"  // a session has its first host, or another standby
	Host    Kind = "host"    // a host comes, goes, or is treated in another way
)

// An Event is something that the offload manager has done or seen.
type Event struct {
	At     time.Time
	Kind   Kind
	Host   string // that it is about; empty: none
	From   string // of a move
	Others bool   // it is about a session of another application
	Text   string // for people
}

// A record is a line of the manager's audit.
type record struct {
	At                                              time.Time
	What, UE, Host, Verdict, From, Primary, Standby string
	Why                                             string
}

// maxLine bounds a line of the audit.
const maxLine = 64 << 10

// A Journal reads what a manager writes into its audit. It belongs to one goroutine.
type Journal struct {
	path string
	file *os.File
	rest []byte // the begin of a line that is not whole
}

// Journal returns the journal of the stage's manager, from its begin.
func (s *Stage) Journal() *Journal { return &Journal{path: s.path("audit")} }

// Close closes the file.
func (j *Journal) Close() error {
	if j.file == nil {
		return nil
	}
	return j.file.Close()
}

// Read returns the events since it was last called. Lines that it does not know are passed over.
func (j *Journal) Read() ([]Event, error) {
	if j.file == nil {
		f, err := os.Open(j.path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil // the manager has not begun
		}
		if err != nil {
			return nil, err
		}
		j.file = f
	}
	news, err := io.ReadAll(j.file)
	if err != nil {
		return nil, err
	}
	j.rest = append(j.rest, news...)
	var all []Event
	for {
		line, rest, whole := bytes.Cut(j.rest, []byte("\n"))
		if !whole {
			break
		}
		j.rest = rest
		if e, ok := eventOf(line); ok {
			all = append(all, e)
		}
	}
	if len(j.rest) > maxLine {
		j.rest = nil
	}
	return all, nil
}

// eventOf reads a line. It says no for one that tells nothing to who looks at the demo.
func eventOf(line []byte) (e Event, ok bool) {
	var r record
	if json.Unmarshal(line, &r) != nil {
		return e, false
	}
	e = Event{At: r.At, Host: r.Host, Others: r.UE != "" && r.UE != UE, Text: r.Why}
	switch r.What {
	case "probed":
		_, took, _ := strings.Cut(r.Why, " took ")
		e.Kind, e.Text = Probe, "a call takes "+took
	case "probe failed":
		e.Kind = Probe
		if strings.HasPrefix(r.Why, "no such module") {
			e.Text = "has not seen the module yet"
		}
	case "refused", "no lease":
		e.Kind = Refusal
	case "is on its standby":
		e.Kind, e.Text = Move, "the UE went to its standby by itself, as the host before did not answer"
	case "registered":
		e.Kind, e.Text = Host, "has come"
	case "host is silent", "host is draining", "host is cordoned", "host is ready":
		e.Kind, e.Text = Host, strings.TrimPrefix(r.What, "host ")
	case "lease lost":
		e.Kind, e.Text = Host, "has lost a lease: "+r.Why
	case "decided":
		return decided(e, &r)
	default:
		return e, false
	}
	return e, true
}

// decided adds what was decided about a session.
func decided(e Event, r *record) (Event, bool) {
	e.Host, e.From = r.Primary, r.From
	switch r.Verdict {
	case "local":
		e.Kind, e.Host = Refusal, ""
	case "placed":
		e.Kind = Placed
	case "moves":
		e.Kind = Move
	case "stays":
		e.Kind = Placed
		e.Text = fmt.Sprintf("the standby is %s", r.Standby)
		if r.Standby == "" {
			e.Text = "there is no standby: " + r.Why
		}
	default:
		return e, false
	}
	return e, true
}
