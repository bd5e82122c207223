package report

import (
	"cmp"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"time"
)

// A Number is a figure that may be unknown: NaN in Go, null in JSON.
type Number float64

// Known says whether n is a finite number.
func (n Number) Known() bool { return !math.IsNaN(float64(n)) && !math.IsInf(float64(n), 0) }

// MarshalJSON writes n with up to six digits after the point, null if unknown.
func (n Number) MarshalJSON() ([]byte, error) {
	if !n.Known() {
		return []byte("null"), nil
	}
	x := float64(n)
	if r := math.Round(x*1e6) / 1e6; !math.IsInf(r, 0) {
		x = r + 0 // no negative zero
	}
	if math.Abs(x) < 1e15 {
		return strconv.AppendFloat(nil, x, 'f', -1, 64), nil
	}
	return strconv.AppendFloat(nil, x, 'e', -1, 64), nil
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (n *Number) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*n = Number(math.NaN())
		return nil
	}
	return json.Unmarshal(b, (*float64)(n))
}

// Toggle is the policy's name in a run that names none.
const Toggle = "toggle"

// A Summary is what a run comes to. Its JSON is summary.json.
type Summary struct {
	Frames       int       `json:"frames"`
	Policy       string    `json:"policy"`
	Requirements string    `json:"requirements,omitempty"`
	Toggle       int       `json:"toggle"` // of the policy toggle; 0: it never offloads
	Began        time.Time `json:"began,omitzero"`
	Local        Place     `json:"local"` // the frames computed on the UE, those that fell back included
	Edge         Place     `json:"edge"`  // the frames computed on an edge host

	Lost       int    `json:"lost"`
	Duplicated int    `json:"duplicated"`
	Fallbacks  int    `json:"fallbacks"`
	Missed     int    `json:"missed"`
	Moves      int    `json:"moves"` // times that a frame was meant for another place than the one before; a fallback is none
	Agreement  Number `json:"agreement"`
	// Reasons are why frames fell back, the most frequent first.
	Reasons []Reason `json:"fallback_reasons,omitempty"`
	// Late and Hedged are of calls that took longer than Deadline, the longest latency that was required in ms (0: none was), and of
	// those that were begun on the UE, too.
	Late     int    `json:"late"`
	Hedged   int    `json:"hedged"`
	Deadline Number `json:"deadline_ms"`
	// Levels are the fidelities of the frames, and Kept is the share of the best one's boxes that the run has.
	Levels []Level `json:"levels,omitempty"`
	Kept   Number  `json:"kept"`

	Model      string `json:"model"`
	TempSource string `json:"temp_source"`

	UECPU       float64           `json:"ue_cpu"`      // share of a core allowed; 0: no limit
	FPSOffered  float64           `json:"fps_offered"` // 0: flat out
	NrThrottled uint64            `json:"nr_throttled"`
	Joules      Number            `json:"joules"`
	Extra       map[string]Number `json:"extra,omitempty"`
}

// A Place is what the frames computed at one place come to. Figures of no
// frames are unknown.
type Place struct {
	Frames int `json:"frames"`
	// FPSMean is the number of frames over the sum of their periods.
	FPSMean Number `json:"fps_mean"`
	// Percentiles are by nearest rank: p50 of n figures is the smallest that at
	// least half of them do not exceed. So each is a figure that was measured.
	LatencyP50 Number `json:"latency_p50_ms"`
	LatencyP99 Number `json:"latency_p99_ms"`
	// UECPUMean is how many cores the UE used: its processor time over the sum
	// of the periods.
	UECPUMean     Number `json:"ue_cpu_mean"`
	UECPUPerFrame Number `json:"ue_cpu_ms_per_frame"`
	// Outside is latency without the neural network.
	OutsideP50 Number `json:"outside_ms_p50"`
	OutsideP99 Number `json:"outside_ms_p99"`
	// TempMean is over the frames whose temperature is known.
	TempMean Number `json:"temp_mean"`

	// PredictionOff is by what share predictions of the call's latency were off, the median.
	PredictionOff Number `json:"prediction_off"`

	Split     Split  `json:"split_p50_ms"`
	BytesUp   Number `json:"bytes_up_per_frame"`
	BytesDown Number `json:"bytes_down_per_frame"`
}

// A Split has the median of each part of the latency, in milliseconds. Each is
// a median of its own, so they need not add up to that of the latency.
type Split struct {
	Encode    Number `json:"encode"`
	Network   Number `json:"network"`
	Queue     Number `json:"queue"`
	Decode    Number `json:"decode"`
	Letterbox Number `json:"letterbox"`
	Compute   Number `json:"compute"`
	Guest     Number `json:"guest"`
	Codec     Number `json:"codec"`
}

// Summarize returns what r comes to. A run without frames is fine.
func Summarize(r *Run) Summary {
	s := Summary{
		Frames: len(r.Frames), Policy: cmp.Or(r.Policy, Toggle), Requirements: r.Requirements, Toggle: r.Toggle, Began: r.Began,
		Levels: r.levels(), Kept: Number(math.NaN()),
		Lost: r.Lost, Duplicated: r.Duplicated, Fallbacks: r.Fallbacks, Missed: r.Missed,
		Agreement: Number(r.Agreement), Model: r.Model, TempSource: r.TempSource,
		UECPU: finite(r.UECPU), FPSOffered: finite(r.FPSOffered), NrThrottled: r.Throttled,
		Joules: Number(math.NaN()),
	}
	if r.Joules != nil {
		s.Joules = Number(*r.Joules)
	}
	if len(r.Levels) > 0 {
		s.Kept = Number(r.Kept)
	}
	s.lateness(r.Frames)
	for name, x := range r.Extra {
		if s.Extra == nil {
			s.Extra = map[string]Number{}
		}
		s.Extra[name] = Number(x)
	}
	s.Moves, s.Reasons = moves(r.Frames), reasons(r.Frames)
	var local, edge []*Frame
	for i := range r.Frames {
		f := &r.Frames[i]
		if f.Where == Edge {
			edge = append(edge, f)
		} else {
			local = append(local, f)
		}
	}
	s.Local, s.Edge = summarizePlace(local), summarizePlace(edge)
	s.Local.PredictionOff = off(local, func(f *Frame) time.Duration { return f.Here })
	s.Edge.PredictionOff = off(edge, func(f *Frame) time.Duration { return f.There })
	return s
}

// finite returns x, and 0 for what is not a number that JSON knows.
func finite(x float64) float64 {
	if !Number(x).Known() {
		return 0
	}
	return x
}

func summarizePlace(frames []*Frame) Place {
	n := float64(len(frames))
	total := func(part func(*Frame) float64) float64 {
		sum := 0.0
		for _, f := range frames {
			sum += part(f)
		}
		return sum
	}
	period := total(func(f *Frame) float64 { return f.Period.Seconds() })
	cpu := total(func(f *Frame) float64 { return f.CPUTime.Seconds() })
	return Place{
		Frames:        len(frames),
		FPSMean:       ratio(n, period),
		LatencyP50:    percentile(frames, 0.50, func(f *Frame) time.Duration { return f.Latency }),
		LatencyP99:    percentile(frames, 0.99, func(f *Frame) time.Duration { return f.Latency }),
		UECPUMean:     ratio(cpu, period),
		UECPUPerFrame: ratio(cpu*1e3, n),
		OutsideP50:    percentile(frames, 0.50, (*Frame).Outside),
		OutsideP99:    percentile(frames, 0.99, (*Frame).Outside),
		TempMean:      meanTemp(frames),
		Split:         split(frames),
		BytesUp:       ratio(total(func(f *Frame) float64 { return float64(f.BytesUp) }), n),
		BytesDown:     ratio(total(func(f *Frame) float64 { return float64(f.BytesDown) }), n),
	}
}

// split returns the medians of the latency's parts.
func split(frames []*Frame) Split {
	p50 := func(part func(*Frame) time.Duration) Number { return percentile(frames, 0.5, part) }
	return Split{
		Encode:    p50(func(f *Frame) time.Duration { return f.Encode }),
		Network:   p50(func(f *Frame) time.Duration { return f.Network }),
		Queue:     p50(func(f *Frame) time.Duration { return f.Queue }),
		Decode:    p50(func(f *Frame) time.Duration { return f.Decode }),
		Letterbox: p50(func(f *Frame) time.Duration { return f.Letterbox }),
		Compute:   p50(func(f *Frame) time.Duration { return f.Compute }),
		Guest:     p50(func(f *Frame) time.Duration { return f.Guest }),
		Codec:     p50(func(f *Frame) time.Duration { return f.Codec }),
	}
}

// percentile returns, in milliseconds, the nearest rank of p of a part.
func percentile(frames []*Frame, p float64, part func(*Frame) time.Duration) Number {
	if len(frames) == 0 {
		return Number(math.NaN())
	}
	all := make([]time.Duration, len(frames))
	for i, f := range frames {
		all[i] = part(f)
	}
	slices.Sort(all)
	rank := int(math.Ceil(p * float64(len(all))))
	return millis(all[min(max(rank, 1), len(all))-1])
}

func meanTemp(frames []*Frame) Number {
	sum, n := 0.0, 0.0
	for _, f := range frames {
		if Number(f.Temp).Known() {
			sum += f.Temp
			n++
		}
	}
	return ratio(sum, n)
}

// ratio returns a over b, unknown where b is 0.
func ratio(a, b float64) Number {
	if b == 0 {
		return Number(math.NaN())
	}
	return Number(a / b)
}

func millis(d time.Duration) Number { return Number(float64(d) / float64(time.Millisecond)) }
