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

// sincos returns sine and cosine of an angle in radians, the same bits everywhere. Of
// angles beyond a thousand turns, and of what is no number, it returns 0 and 1.
func sincos(angle float32) (sin, cos float32) {
	x := float64(angle)
	if !(math.Abs(x) <= 2000*math.Pi) {
		return 0, 1
	}
	x -= float64(2 * math.Pi * math.Floor(float64(x/(2*math.Pi))+0.5)) // -pi to pi
	// The series of e^ix, by Horner's rule, where 26 terms leave an error under 1e-13.
	re, im := 1.0, 0.0
	for n := 26.0; n >= 1; n-- {
		re, im = 1-float64(im*x)/n, float64(re*x)/n
	}
	return float32(im), float32(re)
}
