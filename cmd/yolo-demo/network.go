//go:build cgo && opencv

package main

import (
	"context"
	"fmt"

	"github.com/bungee-xr/bungee/cmd/yolo-demo/internal/head"
	"github.com/bungee-xr/bungee/hostfunc/nn"
	"github.com/bungee-xr/bungee/hostfunc/nn/catalog"
)

// recognise finds out how a network's outputs are read, by what it gives for an empty image, and
// refuses a network that is not what it is said to be: its boxes would be wrong, and nothing would tell.
func recognise(ctx context.Context, found *catalog.Found) error {
	m := &found.Model
	if !m.TakesImage() {
		return fmt.Errorf("%s takes no image: its first input is not 1x3xHxW of floats; an edge host can serve it, but there is nothing to show", m.Files[0].Path)
	}
	out, err := onEmpty(ctx, m.Name)
	if err != nil {
		return err
	}
	kind, err := head.ParseKind(found.Head)
	if err != nil {
		return err
	}
	var shapes [][]int
	for _, t := range out {
		shapes = append(shapes, t.Shape)
	}
	classes := len(found.Labels)
	if kind, err = head.Recognise(kind, shapes, m.InputW, m.InputH, classes); err != nil {
		return fmt.Errorf("%s: %w", m.Files[0].Path, err)
	}
	found.Head = string(kind)
	fit := nn.Fit{ImageW: m.InputW, ImageH: m.InputH, InputW: m.InputW, InputH: m.InputH, Scale: 1}
	if _, err := head.Decode(kind, out, fit, head.Options{Classes: classes}); err != nil {
		return fmt.Errorf("%s: %w", m.Files[0].Path, err)
	}
	return nil
}

// onEmpty returns what a network gives for an empty image.
func onEmpty(ctx context.Context, name string) ([]nn.Tensor, error) {
	g, err := nn.Load(name)
	if err != nil {
		return nil, err
	}
	s, err := g.NewSession()
	if err != nil {
		return nil, err
	}
	defer s.Close()
	shape := g.Inputs()[0]
	empty := nn.Tensor{Shape: shape, Data: make([]float32, shape[1]*shape[2]*shape[3])}
	if err := s.SetInput(0, empty); err != nil {
		return nil, err
	}
	if err := s.Compute(ctx); err != nil {
		return nil, err
	}
	out, err := s.Outputs()
	var kept []nn.Tensor
	for _, t := range out { // they are the session's
		kept = append(kept, nn.Tensor{Shape: append([]int(nil), t.Shape...), Data: append([]float32(nil), t.Data...)})
	}
	return kept, err
}

// question returns what detectObjects is asked about an image.
func (d *demo) question(number uint64, image []byte) Frame {
	return Frame{Number: number, Image: image, Model: d.model.Model.Name, Head: d.model.Head, Classes: len(d.model.Labels)}
}
