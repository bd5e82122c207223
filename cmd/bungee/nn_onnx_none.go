//go:build !cgo

package main

import (
	"fmt"

	"github.com/bungee-xr/bungee/hostfunc/nn/model"
	"github.com/bungee-xr/bungee/hostfunc/nn/onnx"
)

// newONNX says that ONNX Runtime needs cgo.
func newONNX(*nnOptions, []model.Model, int) (served, error) {
	return served{}, fmt.Errorf("%w: this program was built without cgo", onnx.ErrNoLibrary)
}
