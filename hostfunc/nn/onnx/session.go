//go:build cgo

package onnx

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/bungee-xr/bungee/hostfunc/nn"
)

// A session is an nn.BackendSession: inputs, and the outputs made of them.
type session struct {
	g       *graph
	f       *frame // nil once closed
	set     []bool // which inputs are
	done    bool   // the outputs are those of the last Compute
	timings nn.Timings
}

// SetInput copies t into an input.
func (s *session) SetInput(index int, t nn.Tensor) error {
	if err := s.use(index); err != nil {
		return err
	}
	p := &s.g.net.in[index]
	if size := volume(t.Shape); !p.takes(t.Shape) || len(t.Data) != size || size > nn.MaxTensor/4 {
		return fmt.Errorf("onnx: input %d of %q has shape %v and %d numbers; want %v", index, s.g.m.Name, t.Shape, len(t.Data), p.shape)
	}
	if err := p.check(t.Data); err != nil {
		return fmt.Errorf("onnx: input %d of %q: %w", index, s.g.m.Name, err)
	}
	if p.size == anySize {
		s.f.shapes[index] = slices.Clone(t.Shape)
		s.f.in[index] = slices.Grow(s.f.in[index][:0], len(t.Data))[:len(t.Data)]
	}
	copy(s.f.in[index], t.Data)
	s.set[index], s.timings = true, nn.Timings{}
	return nil
}

// SetImage decodes and letterboxes a JPEG or PNG into input 0. An error leaves it
// without input.
func (s *session) SetImage(ctx context.Context, index int, encoded []byte) (nn.Fit, error) {
	if err := s.use(index); err != nil {
		return nn.Fit{}, err
	}
	if index != 0 || !s.g.m.TakesImage() {
		return nn.Fit{}, fmt.Errorf("onnx: input %d of %q takes no image; use SetInput", index, s.g.m.Name)
	}
	if err := context.Cause(ctx); err != nil {
		return nn.Fit{}, err
	}
	s.set[0] = false
	fit, t, err := s.g.prepare(&s.g.m, encoded, s.f.in[0])
	s.timings = t
	s.set[0] = err == nil
	return fit, err
}

// Compute runs the network. It waits until it may, and stops when ctx ends.
func (s *session) Compute(ctx context.Context) error {
	return s.g.ComputeBatch(ctx, []nn.BackendSession{s})
}

// Outputs returns the outputs of the last Compute, by reference.
func (s *session) Outputs() ([]nn.Tensor, error) {
	switch {
	case s.f == nil:
		return nil, ErrClosed
	case !s.done:
		return nil, errors.New("onnx: no outputs; call Compute first")
	}
	return s.f.out, nil
}

// Timings returns where the time went since the input was set.
func (s *session) Timings() nn.Timings { return s.timings }

// Close frees the session. It may be called twice.
func (s *session) Close() error {
	if s.f != nil && !s.g.net.open { // a frame of open sizes may be of any size
		s.g.spare.Put(s.f)
	}
	s.f, s.done = nil, false
	return nil
}

// use says whether the session may be used, and for input index.
func (s *session) use(index int) error {
	switch {
	case s.f == nil:
		return ErrClosed
	case index < 0 || index >= len(s.set):
		return fmt.Errorf("onnx: input %d of %q; it has %d", index, s.g.m.Name, len(s.set))
	}
	return nil
}
