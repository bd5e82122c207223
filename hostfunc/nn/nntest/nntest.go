//go:build !wasip1

// Package nntest has a backend for tests that need no real network.
//
// The graph of [Mean] is small and quick, gives the same results everywhere, and needs
// only the standard library:
//
//	nn.Use(nntest.Mean())
//	g, err := nn.Load("mean")
//
// # Concurrency
//
// The backend may be used by many goroutines, as package nn asks for.
package nntest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"image"
	_ "image/jpeg" // formats that SetImage decodes
	_ "image/png"
	"slices"
	"sync/atomic"
	"time"

	"github.com/bungee-xr/bungee/hostfunc/nn"
)

// Name is the name of the one graph of [Mean].
const Name = "mean"

// side is the width and height of the graph's input.
const side = 4

// Batch is how many sessions a batch of the graph can have.
const Batch = 4

// A MeanBackend is the backend that [Mean] returns.
type MeanBackend struct{ open, batches atomic.Int64 }

// Mean returns a backend with one graph, [Name]. Its input is an image tensor
// [1, 3, 4, 4] of values 0 to 255. Its outputs are the mean of each channel,
// [1, 3], and the input itself, [1, 3, 4, 4]. A whole image is scaled into the
// input by nearest pixels, with its aspect ratio kept and zeros around it.
func Mean() *MeanBackend { return new(MeanBackend) }

// Open returns how many sessions have not been closed.
func (b *MeanBackend) Open() int { return int(b.open.Load()) }

// Batches returns how many batches of more than one session were computed.
func (b *MeanBackend) Batches() int { return int(b.batches.Load()) }

// Digest returns the SHA-256 that Find knows the graph by: that of its name.
func Digest() [sha256.Size]byte { return sha256.Sum256([]byte(Name)) }

// Find implements [nn.Finder].
func (b *MeanBackend) Find(digest [sha256.Size]byte) (string, bool) {
	return Name, digest == Digest()
}

// Graph implements [nn.Backend].
func (b *MeanBackend) Graph(name string) (nn.BackendGraph, error) {
	if name != Name {
		return nil, fmt.Errorf("%w: %.*q", nn.ErrNoGraph, nn.MaxName, name)
	}
	return mean{b}, nil
}

type mean struct{ b *MeanBackend }

func shape() []int { return []int{1, 3, side, side} }

func (m mean) Inputs() [][]int { return [][]int{shape()} }

func (m mean) NewSession() (nn.BackendSession, error) {
	m.b.open.Add(1)
	return &session{b: m.b}, nil
}

// MaxBatch implements [nn.BatchGraph].
func (m mean) MaxBatch() int { return Batch }

// ComputeBatch implements [nn.BatchGraph].
func (m mean) ComputeBatch(ctx context.Context, sessions []nn.BackendSession) error {
	if len(sessions) < 1 || len(sessions) > Batch {
		return fmt.Errorf("nntest: a batch of %d sessions; want 1 to %d", len(sessions), Batch)
	}
	for _, s := range sessions {
		if err := s.Compute(ctx); err != nil {
			return err
		}
	}
	if len(sessions) > 1 {
		m.b.batches.Add(1)
	}
	return nil
}

type session struct {
	b           *MeanBackend
	input, out  [3 * side * side]float32
	means       [3]float32
	set, done   bool
	closed      bool
	decode, run time.Duration
}

var errOrder = errors.New("nntest: called out of order, or after Close")

func (s *session) SetInput(index int, t nn.Tensor) error {
	if index != 0 || s.closed || !slices.Equal(t.Shape, shape()) || len(t.Data) != len(s.input) {
		return fmt.Errorf("nntest: input %d of shape %v with %d numbers; want 0, %v", index, t.Shape, len(t.Data), shape())
	}
	copy(s.input[:], t.Data)
	s.set, s.decode, s.run = true, 0, 0
	return nil
}

func (s *session) SetImage(ctx context.Context, index int, encoded []byte) (nn.Fit, error) {
	if index != 0 || s.closed {
		return nn.Fit{}, errOrder
	}
	if err := context.Cause(ctx); err != nil {
		return nn.Fit{}, err
	}
	img, _, err := image.Decode(bytes.NewReader(encoded))
	if err != nil {
		return nn.Fit{}, fmt.Errorf("%w: %d bytes: %w", nn.ErrBadImage, len(encoded), err)
	}
	s.set, s.decode, s.run = true, time.Microsecond, 0
	return s.place(img), nil
}

// place fills the input with img.
func (s *session) place(img image.Image) nn.Fit {
	clear(s.input[:])
	at := img.Bounds()
	scale := side / float32(max(at.Dx(), at.Dy()))
	w := max(int(float32(at.Dx())*scale), 1)
	h := max(int(float32(at.Dy())*scale), 1)
	left, top := (side-w)/2, (side-h)/2
	for y := range h {
		for x := range w {
			r, g, b, _ := img.At(at.Min.X+x*at.Dx()/w, at.Min.Y+y*at.Dy()/h).RGBA()
			for c, v := range []uint32{r, g, b} {
				s.input[(c*side+top+y)*side+left+x] = float32(v >> 8)
			}
		}
	}
	return nn.Fit{
		ImageW: at.Dx(), ImageH: at.Dy(), InputW: side, InputH: side,
		Scale: scale, PadX: float32(left), PadY: float32(top),
	}
}

func (s *session) Compute(ctx context.Context) error {
	if !s.set || s.closed {
		return errOrder
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	for c := range s.means {
		s.means[c] = 0
		for _, v := range s.input[c*side*side:][:side*side] {
			s.means[c] += v / (side * side)
		}
	}
	s.out, s.done = s.input, true
	s.run += time.Microsecond
	return nil
}

func (s *session) Outputs() ([]nn.Tensor, error) {
	if !s.done || s.closed {
		return nil, errOrder
	}
	return []nn.Tensor{{Shape: []int{1, 3}, Data: s.means[:]}, {Shape: shape(), Data: s.out[:]}}, nil
}

// Timings are made up, so that they are the same each time.
func (s *session) Timings() nn.Timings { return nn.Timings{Decode: s.decode, Compute: s.run} }

func (s *session) Close() error {
	if !s.closed {
		s.b.open.Add(-1)
	}
	s.closed = true
	return nil
}
