// Package nn runs neural networks from code that compiles natively and to Wasm.
//
// It has the shape of wasi-nn: load a graph by name, make a session, set its
// input, compute, get its outputs. In a native program the calls go to the
// [Backend] given to [Use]; in a guest the same calls go to host functions, so
// a marked function that uses nn is one source for both.
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
// [Session.SetImage] hands over an encoded image, which the backend decodes and
// letterboxes into the input tensor, so that pixels need not pass through guest
// memory. [Graph.Inputs] and [Session.Outputs] tell shapes.
//
// # Concurrency
//
// A Graph may be used by many goroutines, a Session by one at a time.
package nn

import (
	"errors"
	"time"
)

// ErrNoGraph is returned by [Load] when no graph has the name.
var ErrNoGraph = errors.New("nn: no such graph")

// ErrNoBackend is returned by [Load] in a program that called no [Use].
var ErrNoBackend = errors.New("nn: no backend in this program; call nn.Use")

// ErrBadImage is returned by [Session.SetImage] for bytes that do not decode.
var ErrBadImage = errors.New("nn: not an image that can be decoded")

// Bounds on what crosses between guest and host.
const (
	MaxName   = 128      // bytes of a graph's name
	MaxImage  = 32 << 20 // bytes of an encoded image
	MaxRank   = 8        // dimensions of a tensor
	MaxTensor = 1 << 28  // bytes of a tensor
)

// A Tensor is float32 data in row-major order.
type Tensor struct {
	Shape []int
	Data  []float32
}

// A Fit tells how an image was placed in an input tensor: scaled by Scale, then
// put at (PadX, PadY). A point (x, y) of the input is ((x-PadX)/Scale,
// (y-PadY)/Scale) of the image. All are in pixels.
type Fit struct {
	ImageW, ImageH int
	InputW, InputH int
	Scale          float32
	PadX, PadY     float32
}

// Timings tells where the time of a session went since it was made or since
// the last [Session.SetImage].
type Timings struct {
	Decode    time.Duration // encoded image to pixels
	Letterbox time.Duration // pixels to input tensor
	Queue     time.Duration // waiting until a network was free
	Compute   time.Duration // the network itself
}
