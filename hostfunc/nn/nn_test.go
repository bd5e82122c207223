//go:build !wasip1

package nn_test

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/png"
	"testing"

	"github.com/bungee-xr/bungee/hostfunc/nn"
	"github.com/bungee-xr/bungee/hostfunc/nn/nntest"
)

func TestTimings(t *testing.T) {
	nn.Use(nntest.Mean())
	g, err := nn.Load(nntest.Name)
	if err != nil {
		t.Fatal(err)
	}
	s, err := g.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var img bytes.Buffer
	if err := png.Encode(&img, image.NewGray(image.Rect(0, 0, 2, 1))); err != nil {
		t.Fatal(err)
	}
	if _, err := s.SetImage(t.Context(), 0, img.Bytes()); err != nil {
		t.Fatal(err)
	}
	var got nn.Timings
	if err := s.Compute(nn.WithTimings(t.Context(), &got)); err != nil {
		t.Fatal(err)
	}
	if got.Decode == 0 || got.Compute == 0 {
		t.Errorf("timings = %+v; want a decode and a compute time", got)
	}
}

func TestErrors(t *testing.T) {
	nn.Use(nntest.Mean())
	if _, err := nn.Load("nope"); !errors.Is(err, nn.ErrNoGraph) {
		t.Errorf("Load(nope) = %v; want ErrNoGraph", err)
	}
	g, err := nn.Load(nntest.Name)
	if err != nil {
		t.Fatal(err)
	}
	s, err := g.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Compute(context.Background()); err == nil {
		t.Error("Compute without an input gave no error")
	}
	if _, err := s.SetImage(context.Background(), 0, nil); !errors.Is(err, nn.ErrBadImage) {
		t.Errorf("SetImage of no bytes = %v; want ErrBadImage", err)
	}
}
