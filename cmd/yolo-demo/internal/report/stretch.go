package report

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
)

// A Stretch is a row of frames computed at one place, From to To, both numbers
// included.
type Stretch struct {
	Where    string
	From, To int
}

// Stretches cuts a run where the place of its frames changes.
func Stretches(frames []Frame) []Stretch {
	return stretches(frames, func(f *Frame) string { return f.Where })
}

// fellBack cuts a run where frames begin or end to fall back. Where is fallback or empty.
func fellBack(frames []Frame) []Stretch {
	return stretches(frames, func(f *Frame) string {
		if f.Fallback != "" {
			return fallback
		}
		return ""
	})
}

const fallback = "fallback"

func stretches(frames []Frame, of func(*Frame) string) []Stretch {
	var all []Stretch
	for i := range frames {
		f := &frames[i]
		if where := of(f); len(all) == 0 || all[len(all)-1].Where != where {
			all = append(all, Stretch{where, f.Number, f.Number})
		}
		all[len(all)-1].To = f.Number
	}
	return all
}

// Meant returns where a frame was to be computed: at the edge, too, if it fell back.
func (f *Frame) Meant() string {
	if f.Fallback != "" {
		return Edge
	}
	return f.Where
}

// moves returns how many times a frame was meant for another place than the one before.
func moves(frames []Frame) int {
	n := 0
	for i := 1; i < len(frames); i++ {
		if frames[i].Meant() != frames[i-1].Meant() {
			n++
		}
	}
	return n
}

// A Reason is why frames fell back.
type Reason struct {
	Text   string `json:"text"` // of the first of them
	Frames int    `json:"frames"`
}

// numbers are what reasons of one kind differ in: times, ports, counts.
var numbers = regexp.MustCompile(`[0-9]+`)

// reasons returns why frames fell back, the most frequent first. Texts that differ only in
// numbers are one reason.
func reasons(frames []Frame) []Reason {
	var all []Reason
	at := map[string]int{}
	for i := range frames {
		text := frames[i].Fallback
		if text == "" {
			continue
		}
		text = strings.Join(strings.Fields(text), " ") // on one line
		kind := numbers.ReplaceAllString(text, "0")
		k, known := at[kind]
		if !known {
			k = len(all)
			at[kind] = k
			all = append(all, Reason{Text: text})
		}
		all[k].Frames++
	}
	slices.SortStableFunc(all, func(a, b Reason) int { return cmp.Compare(b.Frames, a.Frames) })
	return all
}
