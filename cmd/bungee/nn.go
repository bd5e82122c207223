package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"

	"github.com/bungee-xr/bungee/hostfunc/nn"
	"github.com/bungee-xr/bungee/hostfunc/nn/catalog"
	"github.com/bungee-xr/bungee/hostfunc/nn/model"
	"github.com/bungee-xr/bungee/hostfunc/nn/onnx"
	"github.com/bungee-xr/bungee/hostfunc/nn/share"
	"github.com/bungee-xr/bungee/internal/cores"
)

// A served is a backend and the models that it was made with.
type served struct {
	nn.Backend
	nn.Finder
	close func() error
}

// nnBackend returns what runs networks, shared between tenants, with those networks
// warm, and what frees it: nil where no network is served. Without --model the
// default one is served if it is at hand; nothing is fetched then.
func nnBackend(ctx context.Context, f *hostFlags, log *slog.Logger) (nn.Backend, func(), error) {
	models, err := f.nn.resolve(ctx, log)
	if err != nil {
		return nil, nil, err
	}
	if len(models) == 0 {
		return nil, func() {}, nil
	}
	nets := cmp.Or(f.nn.nets, f.calls, cores.N())
	all, err := f.nn.open(ctx, models, nets, log)
	if err != nil {
		err = errors.Join(err, all.close())
		if len(f.nn.models) > 0 {
			return nil, nil, err
		}
		tellNone(log, err)
		return nil, func() {}, nil
	}
	free := func() {
		if err := all.close(); err != nil {
			log.Warn("networks are not freed", "why", err)
		}
	}
	return share.New(all, share.Config{Nets: nets}), free, nil
}

// open opens the backends of models and warms them. The caller closes the backends, even
// those returned with an error.
func (o *nnOptions) open(ctx context.Context, models []model.Model, nets int, log *slog.Logger) (backends, error) {
	var all backends
	forONNX, forOpenCV := o.split(models)
	if len(forONNX) > 0 {
		s, err := newONNX(o, forONNX, nets)
		switch {
		case err == nil:
			all = append(all, s)
			log.Info("networks run on ONNX Runtime", "device", o.device)
		case o.backend == "auto" && errors.Is(err, onnx.ErrNoLibrary):
			log.Warn("OpenCV runs the networks, which takes several times longer", "why", err)
			forOpenCV = append(forOpenCV, forONNX...)
		default:
			return all, err
		}
	}
	if len(forOpenCV) > 0 {
		s, err := newOpenCV(ctx, o, forOpenCV, nets)
		if err != nil {
			return all, err
		}
		all = append(all, s)
	}
	return all, nil
}

// tellNone logs why the default network is not served though its files are at hand, which is no news in a build without OpenCV.
func tellNone(log *slog.Logger, why error) {
	level := slog.LevelInfo
	if withOpenCV {
		level = slog.LevelWarn
	}
	log.Log(context.Background(), level, "no network is served; name one with --model", "why", why)
}

// split says which backend runs which models.
func (o *nnOptions) split(models []model.Model) (forONNX, forOpenCV []model.Model) {
	for _, m := range models {
		isONNX := filepath.Ext(m.Files[0].Path) == ".onnx"
		if o.backend == "onnx" || o.backend == "auto" && isONNX {
			forONNX = append(forONNX, m)
		} else {
			forOpenCV = append(forOpenCV, m)
		}
	}
	return forONNX, forOpenCV
}

func (o *nnOptions) resolve(ctx context.Context, log *slog.Logger) ([]model.Model, error) {
	if len(o.models) == 0 {
		found, err := catalog.Resolve(ctx, "", catalog.Options{Offline: true})
		if err != nil { // nobody has asked for one, so where it was looked for is no news
			log.Info("no network is served; name one with --model, which is fetched where it is not at hand")
			log.Debug("the default network is not at hand", "why", err)
			return nil, nil
		}
		log.Info("network", "name", found.Model.Name, "why", found.Why)
		return []model.Model{found.Model}, nil
	}
	var models []model.Model
	for _, name := range o.models {
		found, err := catalog.Resolve(ctx, name, catalog.Options{Head: o.head, InputSize: o.input})
		if err != nil {
			return nil, err
		}
		log.Info("network", "name", found.Model.Name, "why", found.Why)
		models = append(models, found.Model)
	}
	return models, nil
}

// backends are one backend: the networks of all of them.
type backends []served

// Graph returns the first backend's graph of that name.
func (all backends) Graph(name string) (nn.BackendGraph, error) {
	for _, b := range all {
		g, err := b.Graph(name)
		if !errors.Is(err, nn.ErrNoGraph) {
			return g, err
		}
	}
	return nil, fmt.Errorf("%w: %.*q", nn.ErrNoGraph, nn.MaxName, name)
}

// Find implements nn.Finder.
func (all backends) Find(digest [sha256.Size]byte) (string, bool) {
	for _, b := range all {
		if name, ok := b.Finder.Find(digest); ok {
			return name, true
		}
	}
	return "", false
}

func (all backends) close() error {
	var err error
	for _, b := range all {
		err = errors.Join(err, b.close())
	}
	return err
}
