// Package nn runs neural networks from code that compiles natively and to Wasm.
//
// It works like wasi-nn: load a graph by name, make a session, set its input, compute,
// and get its outputs. In a native program the calls go to the [Backend] given to [Use];
// in a guest they go to host functions. So a marked function that uses nn has one source
// for both.
//
//	g, err := nn.Load("yolo-fastest-1.1-xl")
//	s, err := g.NewSession()
//	defer s.Close()
//	fit, err := s.SetImage(ctx, 0, jpeg) // decoded and letterboxed by the host
//	err = s.Compute(ctx)
//	out, err := s.Outputs()
//
// # Beyond wasi-nn
//
// [Session.SetImage] takes an encoded image, which the backend decodes and letterboxes
// into the input tensor, so that pixels need not pass through guest memory.
// [Graph.Inputs] and [Session.Outputs] give shapes.
//
// # Concurrency
//
// A Graph may be used by many goroutines, and a Session by one at a time.
package nn

import (
	"errors"
	"time"
)

// ErrNoGraph says that the backend has no graph of that name. [Load] returns it.
var ErrNoGraph = errors.New("nn: no such graph")

// ErrNoBackend says that the program has not called [Use]. [Load] returns it.
var ErrNoBackend = errors.New("nn: no backend in this program; call nn.Use")

// ErrBadImage says that bytes are not an image that can be decoded. [Session.SetImage]
// returns it.
var ErrBadImage = errors.New("nn: not an image that can be decoded")

// Bounds on what crosses between guest and host.
const (
	MaxName   = 128      // bytes of a graph's name
	MaxImage  = 32 << 20 // bytes of an encoded image
	MaxRank   = 8        // dimensions of a tensor
	MaxTensor = 1 << 28  // bytes of a tensor
)

// A Tensor is an array of float32 in row-major order.
type Tensor struct {
	Shape []int
	Data  []float32
}

// A Fit tells how an image was placed in an input tensor: it was scaled by Scale and put
// at (PadX, PadY). The point (x, y) of the input is ((x-PadX)/Scale, (y-PadY)/Scale) of
// the image. All but Scale are in pixels.
type Fit struct {
	ImageW, ImageH int
	InputW, InputH int
	Scale          float32
	PadX, PadY     float32
}

// Timings are the times that the parts of a session took since the last
// [Session.SetImage], or since it was made.
type Timings struct {
	Decode    time.Duration // encoded image to pixels
	Letterbox time.Duration // pixels to input tensor
	Queue     time.Duration // waiting until a network was free
	Compute   time.Duration // the network itself
}
