package head

import "math"

// exp returns e to the x, the same bits everywhere. math.Exp is written in
// assembly on some platforms and in Go on others, Wasm among them, and they
// may differ in the last bit; a box on the UE must equal one on an edge host.
//
// x is k ln 2 + r with |r| at most ln 2 / 2, where twelve terms of the series
// leave an error under 1e-15. The result is rounded once, to float32.
func exp(x float32) float32 {
	switch {
	case !(x <= 89): // float32 ends at e^88.7; NaN goes here too
		return float32(math.Inf(1))
	case x < -104: // and begins at e^-103.97
		return 0
	}
	k := math.Floor(float64(float64(x)*math.Log2E) + 0.5)
	r := float64(x) - float64(k*math.Ln2)
	sum := 1.0
	for n := 12.0; n >= 1; n-- {
		sum = 1 + float64(sum*r)/n
	}
	return float32(math.Ldexp(sum, int(k)))
}
