// Package coded has marked functions whose codecs are measured.
package coded

import "context"

//go:generate go tool offloadgen

// A Detection is an object found in a picture: about what detectors give.
type Detection struct {
	X, Y, W, H, Score float32
	Class             int
}

// detect answers with n detections.
//
//offload:func
func detect(_ context.Context, n int) ([]Detection, error) {
	found := make([]Detection, n)
	for i := range found {
		f := float32(i)
		found[i] = Detection{f, f + 0.5, 20, 30, 1 / (f + 1), i % 80}
	}
	return found, nil
}

// points and depth answer with what they get.
//
//offload:func
func points(_ context.Context, p []float32) ([]float32, error) { return p, nil }

//offload:func
func depth(_ context.Context, d []uint16) ([]uint16, error) { return d, nil }

// The functions, with their codecs.
var (
	DetectFunc = &detectFunc
	PointsFunc = &pointsFunc
	DepthFunc  = &depthFunc
)
