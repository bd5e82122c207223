// Package opencv is the [nn.Backend] that runs networks with OpenCV's DNN module.
//
// [New] and [Prepare] need cgo, OpenCV 4.6 and the build tag opencv. Descriptions of
// models do not: see package model.
//
//	b, err := opencv.New(opencv.Config{Threads: 1, Models: models})
//	defer b.Close()
//	nn.Use(b)
//
// # Model files
//
// OpenCV throws C++ exceptions at bad model files, and gocv lets them end the process. So
// this package reads and runs networks in C++ of its own, which turns exceptions into
// errors. Before that it compares size and digest of each file with those of the model; a
// file without a digest gets the digest of its first use. Each new network runs once on
// an empty image, which warms it up and finds a wrong input size early. gocv decodes and
// letterboxes images, whose size is bounded before.
//
// # Concurrency
//
// A Backend may be used by many goroutines. A network of OpenCV may not, so each model
// has a pool of at most Config.Nets networks: a Compute takes one, and waits while all are
// in use.
//
// # Limits
//
// A network has one input, an image of 3 channels and at most 4096 pixels a side, and at
// most 16 outputs of float32. Images are JPEG or PNG of at most 64 megapixels.
package opencv

import "github.com/bungee-xr/bungee/hostfunc/nn/model"

// A Model is a network for a [Backend]: an ONNX file, or the two files of Darknet, whose
// input is an image.
type Model = model.Model
