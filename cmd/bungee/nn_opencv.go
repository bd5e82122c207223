//go:build cgo && opencv

package main

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"runtime"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/nn/catalog"
	nnhost "github.com/bungee-xr/bungee/executor/nn/host"
	"github.com/bungee-xr/bungee/executor/nn/opencv"
)

// nnFunctions returns the host functions that run networks, with those networks
// warm, and what frees them. Without --model the default one is served if it is
// at hand; nothing is fetched then.
func nnFunctions(ctx context.Context, f *hostFlags, log *slog.Logger) ([]executor.HostModule, func(), error) {
	models, err := resolve(ctx, f, log)
	if err != nil {
		return nil, nil, err
	}
	nets := cmp.Or(f.nets, f.calls, runtime.GOMAXPROCS(0))
	b, err := opencv.New(opencv.Config{Threads: f.threads, Nets: nets, Models: models})
	if err != nil {
		return nil, nil, err
	}
	for _, m := range models {
		if err := b.Warm(ctx, m.Name, nets); err != nil {
			return nil, nil, errors.Join(err, b.Close())
		}
	}
	return nnhost.Modules(b), func() { b.Close() }, nil
}

// linkNN returns the host functions that run networks, with no network.
func linkNN() ([]executor.HostModule, func(), error) {
	b, err := opencv.New(opencv.Config{})
	if err != nil {
		return nil, nil, err
	}
	return nnhost.Modules(b), func() { b.Close() }, nil
}

func resolve(ctx context.Context, f *hostFlags, log *slog.Logger) ([]opencv.Model, error) {
	if len(f.models) == 0 {
		found, err := catalog.Resolve(ctx, "", catalog.Options{Offline: true})
		if err != nil {
			log.Warn("no network is served; name one with --model", "why", err)
			return nil, nil
		}
		log.Info("network", "name", found.Model.Name, "why", found.Why)
		return []opencv.Model{found.Model}, nil
	}
	var models []opencv.Model
	for _, name := range f.models {
		found, err := catalog.Resolve(ctx, name, catalog.Options{Head: f.head, InputSize: f.input})
		if err != nil {
			return nil, err
		}
		log.Info("network", "name", found.Model.Name, "why", found.Why)
		models = append(models, found.Model)
	}
	return models, nil
}
