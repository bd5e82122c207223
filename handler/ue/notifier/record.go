package notifier

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"time"
)

// A recording is text, a JSON object a line: a heading, records, and an end.
//
//	{"format":"bungee device 1"}
//	{"ms":0,"gap":true,"readings":{"temperature":{"v":51.5,"s":"coretemp Core 0"}},"unknown":{"battery":"no battery"}}
//	{"ms":250,"readings":{"temperature":{"v":51.8,"s":"coretemp Core 0"}}}
//	{"end":2}
//
// "ms" counts from the first record, "a" is a reading's age in ms. The end has the number of records: a recording without
// one was cut off.
const format = "bungee device 1"

// maxLine is how long a line may be: all metrics with the longest names are half of it.
const maxLine = 32 << 10

// longest is how long a recording may be.
const longest = 366 * 24 * time.Hour

type line struct {
	Format   string              `json:"format,omitempty"`
	Millis   *int64              `json:"ms,omitempty"`
	Gap      bool                `json:"gap,omitempty"`
	Readings map[string]recorded `json:"readings,omitempty"`
	Unknown  map[string]string   `json:"unknown,omitempty"`
	End      *int64              `json:"end,omitempty"`
}

type recorded struct {
	Value  float64 `json:"v"`
	Source string  `json:"s"`
	Age    int64   `json:"a,omitempty"`
}

// Record writes samples to w, beginning with the newest, until ctx ends or the notifier is closed, and then the recording's end. It returns
// the error of w. Four samples a second take some 5 KB/s, and it is the caller who bounds that. [Replay] and [Recorded] read it.
func (n *Notifier) Record(ctx context.Context, w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false) // it would make lines longer than maxLine
	if err := enc.Encode(line{Format: format}); err != nil {
		return err
	}
	count := int64(0)
	var begin time.Time
	for s := range n.Watch(ctx) {
		if count == 0 {
			begin = s.At
		}
		if err := enc.Encode(lineOf(s, s.At.Sub(begin))); err != nil {
			return err
		}
		count++
	}
	return enc.Encode(line{End: &count})
}

func lineOf(s *Sample, at time.Duration) line {
	ms := at.Milliseconds()
	l := line{Millis: &ms, Gap: s.Gap, Readings: map[string]recorded{}, Unknown: map[string]string{}}
	for m, r := range s.All() {
		if r.Known() {
			l.Readings[m.String()] = recorded{r.Value, r.Source, r.Age.Milliseconds()}
		} else {
			l.Unknown[m.String()] = r.Why
		}
	}
	return l
}

// A record is a line with a sample.
type record struct {
	at     time.Duration
	sample Sample // without At
}

// errCut ends a recording that has no end.
var errCut = errors.New("the recording is cut off")

// A decoder reads a recording a line at a time. Nothing of it is held but that.
type decoder struct {
	lines *bufio.Scanner
	n     int // lines read
	count int64
	last  time.Duration
}

// newDecoder reads the heading.
func newDecoder(r io.Reader) (*decoder, error) {
	d := &decoder{lines: bufio.NewScanner(r)}
	d.lines.Buffer(make([]byte, 0, 4096), maxLine)
	d.lines.Split(wholeLines)
	l, err := d.line()
	if err == nil && l.Format != format {
		err = fmt.Errorf("its format is %.40q, want %q", l.Format, format)
	}
	if err != nil {
		return nil, fmt.Errorf("notifier: no recording of a device: %w", err)
	}
	return d, nil
}

// wholeLines splits at line ends, and leaves out what comes after the last one: it is a part of a line.
func wholeLines(data []byte, atEOF bool) (advance int, token []byte, err error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, data[:i], nil
	}
	if atEOF && len(data) > 0 {
		return 0, nil, errCut
	}
	return 0, nil, nil
}

// line reads a line. errCut: there is none.
func (d *decoder) line() (l line, err error) {
	if !d.lines.Scan() {
		err := d.lines.Err()
		switch {
		case err == nil || errors.Is(err, errCut):
			return l, fmt.Errorf("%w after line %d", errCut, d.n)
		case errors.Is(err, bufio.ErrTooLong):
			return l, fmt.Errorf("line %d is longer than %d bytes", d.n+1, maxLine)
		}
		return l, err
	}
	d.n++
	if err := json.Unmarshal(d.lines.Bytes(), &l); err != nil {
		return l, fmt.Errorf("line %d: %w", d.n, err)
	}
	return l, nil
}

// next reads a record. io.EOF: it is complete; else the error says in which line it is wrong, or cut off.
func (d *decoder) next() (*record, error) {
	l, err := d.line()
	switch {
	case err != nil:
		return nil, err
	case l.End != nil && *l.End == d.count:
		return nil, io.EOF
	case l.End != nil:
		return nil, fmt.Errorf("line %d: the end of %d records, after %d", d.n, *l.End, d.count)
	case l.Millis == nil:
		return nil, fmt.Errorf("line %d is neither a record nor an end", d.n)
	case *l.Millis < 0 || *l.Millis > longest.Milliseconds():
		return nil, fmt.Errorf("line %d: a record at %d ms", d.n, *l.Millis)
	}
	rec := &record{at: time.Duration(*l.Millis) * time.Millisecond, sample: Sample{Gap: l.Gap}}
	if rec.at < d.last {
		return nil, fmt.Errorf("line %d: a record at %v comes after one at %v", d.n, rec.at, d.last)
	}
	d.last = rec.at
	d.count++
	for name, v := range l.Readings {
		m, ok := metricOf(name)
		if !ok {
			continue // of a later version
		}
		if v.Source == "" || v.Age < 0 || v.Age > longest.Milliseconds() || math.IsNaN(v.Value) {
			return nil, fmt.Errorf("line %d: a reading of %v without a source, or of a time to come", d.n, m)
		}
		rec.sample.readings[m] = Reading{Value: v.Value, Source: printable(v.Source), Age: time.Duration(v.Age) * time.Millisecond}
	}
	for name, why := range l.Unknown {
		if m, ok := metricOf(name); ok && !rec.sample.readings[m].Known() {
			rec.sample.readings[m].Why = printable(why)
		}
	}
	return rec, nil
}

// Recorded yields the samples of a recording as they were, as fast as they are taken: for those who compute in a time of their
// own. At counts from the moment of the call. The last pair has an error, and no sample, where the recording is wrong or was cut off.
func Recorded(r io.Reader) iter.Seq2[*Sample, error] {
	return func(yield func(*Sample, error) bool) {
		begin := time.Now()
		d, err := newDecoder(r)
		for err == nil {
			var rec *record
			if rec, err = d.next(); err != nil {
				break
			}
			rec.sample.At = begin.Add(rec.at)
			if !yield(&rec.sample, nil) {
				return
			}
		}
		if err != io.EOF {
			yield(nil, err)
		}
	}
}

// Replay is a source that tells what was recorded, at the times since its first Read at which it was. Its readings' sources begin with "replayed".
// They are believed, or not, as those of a device are.
type Replay struct {
	from  *decoder
	begin time.Time
	now   *record // of this time; nil: none yet
	ahead *record // the next; nil: there is none
	err   error   // why not
}

// NewReplay returns the source of a recording, which it reads as time goes by. The error says that it is none.
func NewReplay(r io.Reader) (*Replay, error) {
	d, err := newDecoder(r)
	if err != nil {
		return nil, err
	}
	p := &Replay{from: d}
	p.ahead, p.err = d.next()
	return p, nil
}

// Read tells the record of this time. When there are no more, all is unknown, with the reason.
func (p *Replay) Read(r *Round) {
	if p.begin.IsZero() {
		p.begin = r.Now
	}
	at := r.Now.Sub(p.begin)
	for p.ahead != nil && p.ahead.at <= at {
		p.now = p.ahead
		p.ahead, p.err = p.from.next()
	}
	if p.ahead == nil && (p.now == nil || at-p.now.at > usual) {
		for m := range Metrics {
			r.Unknown(m, p.ended())
		}
		return
	}
	if p.now == nil {
		return // the first record is of later
	}
	for m, reading := range p.now.sample.All() {
		if reading.Known() {
			r.TellAged(m, reading.Value, "replayed "+reading.Source, reading.Age+at-p.now.at)
		} else if reading.Why != "" {
			r.Unknown(m, "replayed "+reading.Why)
		}
	}
}

func (p *Replay) ended() string {
	if p.err == io.EOF {
		return "the replay has ended"
	}
	return "the replay has ended: " + p.err.Error()
}
