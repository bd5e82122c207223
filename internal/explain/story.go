package explain

import (
	"fmt"
	"io"
	"iter"
	"slices"
	"time"

	"github.com/bungee-xr/bungee/handler/ue/policy"
)

// A Story is what a log tells.
type Story struct {
	Head      Head
	Functions []*Chapter
	Ends      time.Duration // of the log
	Lost      uint64        // decisions that are not in it
	Fault     error         // why it was not read to its end; nil: it was
	Heat      []Point       // temperature of the device, °C
}

// A Chapter is what a log tells of a function.
type Chapter struct {
	Name      string
	Latency   time.Duration // required last; 0: none
	Moves     []Move
	Calls     [2]int // by place
	Explored  int
	Fallbacks int
	Hedgeable int // calls that would have been begun on the UE, too
	Missed    [2]int
	Took      [2][]Point // s
}

// A Move is a change of where calls go. The first one is where they began.
type Move struct {
	At       time.Duration
	Where    policy.Place
	Why      policy.Why
	Fallback string // the host was not ready; empty: it is the policy's
}

// A Point is a value at a time.
type Point struct {
	At    time.Duration
	Value float64
}

// Tell reads a log, as far as it goes.
func Tell(log iter.Seq2[*Record, error]) *Story {
	s := &Story{}
	for r, err := range log {
		if err != nil {
			s.Fault = err
			break
		}
		s.Ends = max(s.Ends, r.At)
		s.Lost += r.Lost
		switch {
		case r.Head != nil:
			s.Head = *r.Head
		case r.View != nil:
			s.view(r.View)
		case r.Call != nil:
			s.Functions[r.Call.Function].call(r.At, r.Call)
		case r.End != nil:
			c := s.Functions[r.End.Function]
			c.Took[r.End.Where] = append(c.Took[r.End.Where], Point{r.At, r.End.Took.Seconds()})
			if r.End.Missed {
				c.Missed[r.End.Where]++
			}
		}
	}
	return s
}

func (s *Story) view(v *policy.View) {
	for i := range v.Functions {
		if i == len(s.Functions) {
			s.Functions = append(s.Functions, &Chapter{})
		}
		s.Functions[i].Name, s.Functions[i].Latency = v.Functions[i].Name, v.Functions[i].Require.Latency
	}
	if t, known := v.Device.Temperature.Get(); known {
		s.Heat = append(s.Heat, Point{v.At, t})
	}
}

func (c *Chapter) call(at time.Duration, d *Call) {
	where := d.Where
	if d.Fallback != "" {
		c.Fallbacks++
		where = policy.OnUE
	}
	c.Calls[where]++
	if d.Hedge > 0 && where == policy.OnEdge {
		c.Hedgeable++
	}
	if d.Reason == policy.Exploring {
		c.Explored++
		return
	}
	if n := len(c.Moves); n == 0 || c.Moves[n-1].Where != where {
		c.Moves = append(c.Moves, Move{at, where, d.Why(), d.Fallback})
	}
}

// Write writes the story in sentences.
func (s *Story) Write(w io.Writer) {
	fmt.Fprintf(w, "The log tells %s of a handler with %s.\n", long(s.Ends), or(s.Head.Policy, "an unknown policy"))
	for _, c := range s.Functions {
		c.write(w)
	}
	if len(s.Heat) > 0 {
		lowest := slices.MinFunc(s.Heat, byValue).Value
		highest := slices.MaxFunc(s.Heat, byValue).Value
		fmt.Fprintf(w, "The device had %.1f to %.1f °C.\n", lowest, highest)
	}
	if s.Lost > 0 {
		fmt.Fprintf(w, "%d decisions are not in the log: there were too many at once.\n", s.Lost)
	}
	if s.Fault != nil {
		fmt.Fprintf(w, "The log cannot be read further: %v.\n", s.Fault)
	}
}

func byValue(a, b Point) int {
	switch {
	case a.Value < b.Value:
		return -1
	case a.Value > b.Value:
		return 1
	}
	return 0
}

// mostMoves is how many moves of a function are told one by one.
const mostMoves = 40

func (c *Chapter) write(w io.Writer) {
	fmt.Fprintf(w, "\n%q was called %d times: %d on the UE, %d on an edge host.\n", c.Name, c.Calls[0]+c.Calls[1], c.Calls[0], c.Calls[1])
	for i, m := range c.Moves[:min(len(c.Moves), mostMoves)] {
		verb := "goes to"
		if i == 0 {
			verb = "begins on"
		}
		why := m.Why.String()
		if m.Fallback != "" {
			why = fmt.Sprintf("it fell back: %q", m.Fallback)
		}
		fmt.Fprintf(w, "  %8s  it %s the %s, because %s.\n", long(m.At), verb, m.Where, why)
	}
	if more := len(c.Moves) - mostMoves; more > 0 {
		fmt.Fprintf(w, "            ... and %d moves more.\n", more)
	}
	for p := policy.OnUE; p <= policy.OnEdge; p++ {
		if n := len(c.Took[p]); n > 0 {
			fmt.Fprintf(w, "  On the %s half of the calls took %s, one in twenty over %s, and %d of %d were late.\n",
				p, short(c.Quantile(p, 0.5)), short(c.Quantile(p, 0.95)), c.Missed[p], n)
		}
	}
	if c.Explored > 0 {
		fmt.Fprintf(w, "  %d calls looked how the other place is.\n", c.Explored)
	}
	if c.Fallbacks > 0 {
		fmt.Fprintf(w, "  %d calls ran on the UE though they were meant for an edge host.\n", c.Fallbacks)
	}
	if c.Hedgeable > 0 {
		fmt.Fprintf(w, "  %d calls would have been begun on the UE, too, had the edge host not answered in time.\n", c.Hedgeable)
	}
}

// Quantile returns what a share p of the calls at a place took at most [s], 0 of none.
func (c *Chapter) Quantile(where policy.Place, p float64) float64 {
	all := slices.SortedFunc(slices.Values(c.Took[where]), byValue)
	if len(all) == 0 {
		return 0
	}
	return all[min(len(all)-1, int(p*float64(len(all))))].Value
}

func long(d time.Duration) string { return d.Round(10 * time.Millisecond).String() }

func short(seconds float64) string {
	return time.Duration(seconds * float64(time.Second)).Round(10 * time.Microsecond).String()
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
