//go:build cgo && opencv

package main

import (
	"context"
	"errors"

	"github.com/bungee-xr/bungee/hostfunc/nn"
	"github.com/bungee-xr/bungee/hostfunc/nn/catalog"
	"github.com/bungee-xr/bungee/hostfunc/nn/model"
	"github.com/bungee-xr/bungee/hostfunc/nn/onnx"
	"github.com/bungee-xr/bungee/hostfunc/nn/opencv"
	"github.com/bungee-xr/bungee/lab/internal/bench"
)

// detector is the model that both backends run.
const detector = "yolox_nano"

// detectors returns what runs the detector, or why it is not compared.
func detectors(ctx context.Context) (all []bench.Detector, why string) {
	found, err := catalog.Resolve(ctx, detector, catalog.Options{Offline: true})
	if err != nil {
		return nil, "not measured: " + err.Error()
	}
	all = []bench.Detector{
		{Name: "opencv", Model: detector, Open: func(ctx context.Context) (nn.Backend, func() error, error) { return onOpenCV(ctx, found.Model) }},
		{Name: "onnxruntime", Model: detector, Open: func(context.Context) (nn.Backend, func() error, error) { return onONNX(found.Model) }},
	}
	for _, d := range all {
		_, done, err := d.Open(ctx)
		if err == nil {
			err = done()
		}
		if err != nil {
			return nil, "not measured: " + err.Error()
		}
	}
	return all, ""
}

// onOpenCV opens m, warm, and what frees it.
func onOpenCV(ctx context.Context, m model.Model) (nn.Backend, func() error, error) {
	b, err := opencv.New(opencv.Config{Nets: 1, Models: []model.Model{m}})
	if err != nil {
		return nil, nil, err
	}
	if err := b.Warm(ctx, m.Name, 1); err != nil {
		return nil, nil, errors.Join(err, b.Close())
	}
	return b, b.Close, nil
}

// onONNX opens m on ONNX Runtime, as "bungee host" does.
func onONNX(m model.Model) (nn.Backend, func() error, error) {
	b, err := onnx.New(onnx.Config{Nets: 1, Provider: "cpu", Prepare: opencv.Prepare, Models: []model.Model{m}})
	if err != nil {
		return nil, nil, err
	}
	if _, err := b.Graph(m.Name); err != nil {
		return nil, nil, errors.Join(err, b.Close())
	}
	return b, b.Close, nil
}
