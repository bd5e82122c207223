// Package bench makes the figures of the papers and the benchmarks of
// "bungee bench". A benchmark gives [Figure]s; the command prints them, as a table
// or a line of JSON each, and fails when one misses its target.
package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// A Figure is something measured.
type Figure struct {
	Bench  string  `json:"bench"`
	Case   string  `json:"case"`
	Metric string  `json:"metric"`
	Value  float64 `json:"value"`
	Unit   string  `json:"unit"`
	N      int     `json:"n"` // how many measurements it is made of

	// Target is the bound of Value, and Op is "<=" or ">=". Nil means no target.
	Target *float64 `json:"target,omitempty"`
	Op     string   `json:"op,omitempty"`
	OK     bool     `json:"ok"`

	// Beside has what was measured beside it in the same run, and Ratio is
	// Value over the one it is compared with.
	Beside map[string]float64 `json:"beside,omitempty"`
	Ratio  float64            `json:"ratio,omitempty"`

	// Note says what the numbers do not: what was compared, or what is missing.
	Note string `json:"note,omitempty"`
}

// against gives f a target.
func (f Figure) against(op string, target float64) Figure {
	f.Op, f.Target = op, &target
	f.OK = op == "<=" && f.Value <= target || op == ">=" && f.Value >= target
	return f
}

// Missed returns the figures that missed their target.
func Missed(figures []Figure) []Figure {
	var missed []Figure
	for _, f := range figures {
		if f.Target != nil && !f.OK {
			missed = append(missed, f)
		}
	}
	return missed
}

// PrintJSON prints a line of JSON for each figure.
func PrintJSON(w io.Writer, figures []Figure) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false) // "<=" stays readable
	for _, f := range figures {
		if err := e.Encode(f); err != nil {
			return err
		}
	}
	return nil
}

// PrintTable prints the figures that have a target.
func PrintTable(w io.Writer, figures []Figure) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "case\tmetric\tmeasured\ttarget\t")
	for _, f := range figures {
		if f.Target == nil {
			continue
		}
		verdict := "met"
		if !f.OK {
			verdict = "missed"
		}
		fmt.Fprintf(t, "%s\t%s\t%.3g %s\t%s %.4g\t%s\n", f.Case, strings.ReplaceAll(f.Metric, "_", " "), f.Value, f.Unit, f.Op, *f.Target, verdict)
	}
	return t.Flush()
}

// quantile returns the value that a share p of v does not exceed, 0 for none.
func quantile[T float64 | time.Duration](v []T, p float64) T {
	if len(v) == 0 {
		return 0
	}
	v = slices.Sorted(slices.Values(v))
	return v[min(len(v)-1, int(p*float64(len(v))))]
}

func ms(d time.Duration) float64 { return d.Seconds() * 1e3 }
