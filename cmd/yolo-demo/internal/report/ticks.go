package report

import (
	"math"
	"strconv"

	"gonum.org/v1/plot"
)

// ticks labels an axis at round numbers, at most that many of them.
type ticks int

// Ticks returns the marks between lo and hi.
func (most ticks) Ticks(lo, hi float64) []plot.Tick {
	step := roundStep((hi - lo) / float64(most))
	var all []plot.Tick
	for i := math.Ceil(lo/step - 1e-9); i*step <= hi+step*1e-9; i++ {
		x := i*step + 0 // no negative zero
		all = append(all, plot.Tick{Value: x, Label: strconv.FormatFloat(x, 'f', max(0, -int(math.Floor(math.Log10(step)))), 64)})
	}
	return all
}

// roundStep returns the smallest of 1, 2, 5, 10, 20, 50 ... and of their
// decimal fractions that is not below x.
func roundStep(x float64) float64 {
	if !(x > 0) || math.IsInf(x, 0) {
		return 1
	}
	unit := math.Pow(10, math.Floor(math.Log10(x)))
	for _, m := range []float64{1, 2, 5} {
		if x <= m*unit*(1+1e-9) {
			return m * unit
		}
	}
	return 10 * unit
}
