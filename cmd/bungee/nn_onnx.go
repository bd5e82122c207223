//go:build cgo

package main

import (
	"errors"

	"github.com/bungee-xr/bungee/hostfunc/nn/model"
	"github.com/bungee-xr/bungee/hostfunc/nn/onnx"
)

// newONNX opens models on ONNX Runtime. Its error is onnx.ErrNoLibrary if the library is
// missing.
func newONNX(o *nnOptions, models []model.Model, nets int) (served, error) {
	provider, options := o.provider()
	b, err := onnx.New(onnx.Config{
		Library: o.library, LibrarySHA256: o.librarySHA256, Threads: o.threads, Nets: nets,
		Provider: provider, Options: options, Prepare: prepare, Models: models,
	})
	if err != nil {
		return served{}, err
	}
	for _, m := range models {
		if _, err := b.Graph(m.Name); err != nil {
			return served{}, errors.Join(err, b.Close())
		}
	}
	return served{b, b, b.Close}, nil
}
