//go:build cgo && opencv

package opencv

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/bungee-xr/bungee/hostfunc/nn"
	"gocv.io/x/gocv"
)

// A session is an nn.BackendSession: an input, and the outputs made of it. It
// holds a network only while it computes.
type session struct {
	g       *graph
	buf     *buffers // nil once closed
	set     bool     // the input is
	done    bool     // the outputs are those of the last Compute
	timings nn.Timings
}

// buffers are the memory of a session, which the next session takes over.
type buffers struct {
	input         gocv.Mat // [1, 3, InputH, InputW]
	scaled, boxed gocv.Mat // steps of the letterbox
	out           []nn.Tensor
	data          []float32 // of all of out
}

func newBuffers() *buffers {
	return &buffers{input: gocv.NewMat(), scaled: gocv.NewMat(), boxed: gocv.NewMat()}
}

func (b *buffers) close() {
	b.input.Close()
	b.scaled.Close()
	b.boxed.Close()
}

// SetInput copies t into the input.
func (s *session) SetInput(index int, t nn.Tensor) error {
	if err := s.use(index); err != nil {
		return err
	}
	shape := s.g.Inputs()[0]
	if !slices.Equal(t.Shape, shape) || len(t.Data) != 3*shape[2]*shape[3] {
		return fmt.Errorf("opencv: input of %q has shape %v and %d numbers; want %v",
			s.g.m.Name, t.Shape, len(t.Data), shape)
	}
	if s.buf.input.Empty() {
		s.buf.input.Close()
		s.buf.input = gocv.NewMatWithSizes(shape, gocv.MatTypeCV32F)
	}
	dst, err := s.buf.input.DataPtrFloat32()
	if err != nil {
		return err
	}
	copy(dst, t.Data)
	s.set, s.timings = true, nn.Timings{}
	return nil
}

// SetImage decodes and letterboxes a JPEG or PNG into the input. An error
// leaves the session without input.
func (s *session) SetImage(ctx context.Context, index int, encoded []byte) (nn.Fit, error) {
	if err := s.use(index); err != nil {
		return nn.Fit{}, err
	}
	if err := context.Cause(ctx); err != nil {
		return nn.Fit{}, err
	}
	s.set, s.timings = false, nn.Timings{}
	start := time.Now()
	img, err := decode(encoded)
	if err != nil {
		return nn.Fit{}, err
	}
	defer img.Close()
	decoded := time.Now()
	fit := s.buf.letterbox(img, &s.g.m)
	s.timings.Decode, s.timings.Letterbox = decoded.Sub(start), time.Since(decoded)
	s.set = true
	return fit, nil
}

// Compute runs the network. It waits for one that is free until ctx ends; once
// the network runs, it runs to its end.
func (s *session) Compute(ctx context.Context) error {
	if err := s.use(0); err != nil {
		return err
	}
	if !s.set {
		return fmt.Errorf("opencv: compute %q: its input is not set", s.g.m.Name)
	}
	s.done = false
	start := time.Now()
	n, err := s.g.nets.get(ctx)
	if err != nil {
		return err
	}
	defer s.g.nets.put(n)
	got := time.Now()
	s.timings.Queue += got.Sub(start)
	if err := s.buf.compute(n, &s.g.m); err != nil {
		return fmt.Errorf("opencv: compute %q: %w", s.g.m.Name, err)
	}
	s.timings.Compute += time.Since(got)
	s.done = true
	return nil
}

// compute runs n on the input and copies its outputs.
func (b *buffers) compute(n network, m *Model) error {
	in, err := b.input.DataPtrFloat32()
	if err != nil {
		return err
	}
	b.out, err = n.forward(b.out[:0], in, m.InputH, m.InputW)
	if err != nil {
		return err
	}
	b.own()
	return nil
}

// own moves the data of all outputs from the network's memory to b's.
func (b *buffers) own() {
	size := 0
	for _, t := range b.out {
		size += len(t.Data)
	}
	b.data = slices.Grow(b.data[:0], size)
	for i := range b.out {
		t := &b.out[i]
		at := len(b.data)
		b.data = append(b.data, t.Data...)
		t.Data = b.data[at:len(b.data):len(b.data)]
	}
}

// Outputs returns the outputs of the last Compute, by reference.
func (s *session) Outputs() ([]nn.Tensor, error) {
	if err := s.use(0); err != nil {
		return nil, err
	}
	if !s.done {
		return nil, errors.New("opencv: no outputs; call Compute first")
	}
	return s.buf.out, nil
}

// Timings returns where the time went since the input was set.
func (s *session) Timings() nn.Timings { return s.timings }

// Close frees the session. It may be called twice.
func (s *session) Close() error {
	if s.buf != nil {
		s.g.keep(s.buf)
	}
	s.buf, s.set, s.done = nil, false, false
	return nil
}

// use says whether the session may be used, and for input index.
func (s *session) use(index int) error {
	switch {
	case s.buf == nil:
		return ErrClosed
	case index != 0:
		return fmt.Errorf("opencv: input %d of %q; it has one, 0", index, s.g.m.Name)
	}
	return nil
}
