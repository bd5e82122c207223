package report

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// A Row is a figure of both places, for a table.
type Row struct {
	Name        string
	Local, Edge Number
	Digits      int  // after the point
	Alone       bool // the figures have no ratio that means anything
}

// Ratio returns the edge's figure over the local one.
func (r Row) Ratio() Number {
	if r.Alone {
		return Number(math.NaN())
	}
	return ratio(float64(r.Edge), float64(r.Local))
}

// Rows returns the figures of s that are compared, in the order of a table.
func (s *Summary) Rows() []Row {
	l, e := &s.Local, &s.Edge
	return []Row{
		{"frames", Number(l.Frames), Number(e.Frames), 0, true},
		{"FPS", l.FPSMean, e.FPSMean, 2, false},
		{"latency p50, ms", l.LatencyP50, e.LatencyP50, 2, false},
		{"latency p99, ms", l.LatencyP99, e.LatencyP99, 2, false},
		{"  encode", l.Split.Encode, e.Split.Encode, 2, false},
		{"  network", l.Split.Network, e.Split.Network, 2, false},
		{"  queue", l.Split.Queue, e.Split.Queue, 2, false},
		{"  image decode", l.Split.Decode, e.Split.Decode, 2, false},
		{"  letterbox", l.Split.Letterbox, e.Split.Letterbox, 2, false},
		{"  neural network", l.Split.Compute, e.Split.Compute, 2, false},
		{"  rest of the function", l.Split.Guest, e.Split.Guest, 2, false},
		{"  codec", l.Split.Codec, e.Split.Codec, 2, false},
		{"prediction off, %", 100 * l.PredictionOff, 100 * e.PredictionOff, 1, true},
		{"all but the neural network p50, ms", l.OutsideP50, e.OutsideP50, 2, false},
		{"all but the neural network p99, ms", l.OutsideP99, e.OutsideP99, 2, false},
		{"UE CPU, cores", l.UECPUMean, e.UECPUMean, 3, false},
		{"UE CPU a frame, ms", l.UECPUPerFrame, e.UECPUPerFrame, 2, false},
		{"UE temperature, °C (" + s.TempSource + ")", l.TempMean, e.TempMean, 1, true},
		{"KB up a frame", l.BytesUp / 1000, e.BytesUp / 1000, 2, false},
		{"KB down a frame", l.BytesDown / 1000, e.BytesDown / 1000, 2, false},
	}
}

// maxReasons is how many reasons of fallbacks are told; summary.json has all.
const maxReasons = 5

// Notes returns further remarks on s, one sentence on each line.
func (s *Summary) Notes() []string {
	notes := []string{
		fmt.Sprintf("%d frames, %d moves (%s), %d lost, %d duplicated, %d missed, %d fallbacks",
			s.Frames, s.Moves, s.who(), s.Lost, s.Duplicated, s.Missed, s.Fallbacks),
		fmt.Sprintf("model %s; %s; %s", s.Model, s.offered(), s.limit()),
	}
	for _, r := range s.Reasons[:min(len(s.Reasons), maxReasons)] {
		notes = append(notes, fmt.Sprintf("%d fell back: %s", r.Frames, r.Text))
	}
	if s.Deadline > 0 {
		notes = append(notes, fmt.Sprintf("latency required: %s ms; %d late, %d begun on the UE, too", format(s.Deadline, 0), s.Late, s.Hedged))
	}
	if s.Kept.Known() {
		notes = append(notes, "detections kept of full quality: "+format(s.Kept, 3))
	}
	for i := range s.Levels {
		notes = append(notes, s.Levels[i].note(i))
	}
	if s.Agreement.Known() {
		notes = append(notes, "agreement of both versions: "+format(s.Agreement, 4))
	}
	if s.Joules.Known() {
		notes = append(notes, "energy: "+format(s.Joules, 1)+" J")
	}
	var names []string
	for name := range s.Extra {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		notes = append(notes, name+": "+format(s.Extra[name], 1))
	}
	return notes
}

// who says what moves the frames.
func (s *Summary) who() string {
	if s.Policy != Toggle {
		return s.Policy
	}
	return fmt.Sprintf("every %d frames", s.Toggle)
}

// moved is who for a caption.
func (s *Summary) moved() string {
	if s.Policy != Toggle {
		return "moved by the policy " + s.Policy
	}
	return fmt.Sprintf("moved every %d", s.Toggle)
}

// note says what level number n costs.
func (l *Level) note(n int) string {
	return fmt.Sprintf("fidelity %d, quality %d at %s of the size: %s KB, %d frames; kept %s, agreement %s, mAP %s",
		n, l.Quality, format(l.Size, 2), format(l.Bytes/1000, 1), l.Frames, format(l.Kept, 3), format(l.Agreement, 3), format(l.MAP, 3))
}

func (s *Summary) offered() string {
	if s.FPSOffered == 0 {
		return "flat out"
	}
	return fmt.Sprintf("offered %g FPS", s.FPSOffered)
}

func (s *Summary) limit() string {
	if s.UECPU == 0 {
		return "UE not limited"
	}
	return fmt.Sprintf("UE limited to %g of a core, throttled in %d periods", s.UECPU, s.NrThrottled)
}

// Table returns s as a table for the terminal: local, edge, and edge over
// local. Unknown figures show as a dash.
func Table(s Summary) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	// A tabwriter aligns all cells to the same side: names are padded by hand.
	rows := s.Rows()
	width := 0
	for _, r := range rows {
		width = max(width, len([]rune(r.Name)))
	}
	_, _ = fmt.Fprintf(w, "%-*s\tlocal\tedge\tedge/local\t\n", width, "")
	for _, r := range rows {
		_, _ = fmt.Fprintf(w, "%-*s\t%s\t%s\t%s\t\n", width, r.Name,
			format(r.Local, r.Digits), format(r.Edge, r.Digits), format(r.Ratio(), 3))
	}
	_ = w.Flush() // writes to memory
	for _, note := range s.Notes() {
		b.WriteString(note + "\n")
	}
	return b.String()
}

// format writes n with digits after the point, a dash when unknown.
func format(n Number, digits int) string {
	if !n.Known() {
		return "-"
	}
	return strconv.FormatFloat(float64(n), 'f', digits, 64)
}
