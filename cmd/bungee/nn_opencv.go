//go:build cgo && opencv

package main

import (
	"context"
	"errors"

	"github.com/bungee-xr/bungee/hostfunc/nn/model"
	"github.com/bungee-xr/bungee/hostfunc/nn/opencv"
)

// withOpenCV says whether the default network can run in this program.
const withOpenCV = true

// prepare decodes images for ONNX Runtime, faster than the decoders of Go.
var prepare model.Preparer = opencv.Prepare

// newOpenCV opens models on OpenCV.
func newOpenCV(ctx context.Context, o *nnOptions, models []model.Model, nets int) (served, error) {
	b, err := opencv.New(opencv.Config{Threads: o.threads, Nets: nets, Models: models})
	if err != nil {
		return served{}, err
	}
	for _, m := range models {
		if err := b.Warm(ctx, m.Name, nets); err != nil {
			return served{}, errors.Join(err, b.Close())
		}
	}
	return served{b, b, b.Close}, nil
}
