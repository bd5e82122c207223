//go:build !cgo || !opencv

package main

import (
	"context"

	"github.com/bungee-xr/bungee/lab/internal/bench"
)

// detectors says why none is compared.
func detectors(context.Context) ([]bench.Detector, string) {
	return nil, "not measured: this program was built without OpenCV"
}
