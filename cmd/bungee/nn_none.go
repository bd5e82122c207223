//go:build !cgo || !opencv

package main

import (
	"context"
	"errors"
	"log/slog"

	"github.com/bungee-xr/bungee/executor"
)

// nnFunctions returns none: networks need OpenCV.
func nnFunctions(_ context.Context, f *hostFlags, _ *slog.Logger) ([]executor.HostModule, func(), error) {
	if len(f.models) > 0 {
		return nil, nil, errors.New("built without OpenCV, so --model cannot be served; build with cgo and -tags opencv")
	}
	return nil, func() {}, nil
}

// linkNN returns none.
func linkNN() ([]executor.HostModule, func(), error) { return nil, func() {}, nil }
