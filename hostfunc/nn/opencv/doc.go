// Package opencv is the [nn.Backend] that runs networks with OpenCV's DNN module.
//
// [New] and [Prepare] need cgo, OpenCV 4.6 and the build tag opencv. The models that
// it takes do not: see package model.
//
//	b, err := opencv.New(opencv.Config{Threads: 1, Models: models})
//	defer b.Close()
//	nn.Use(b)
//
// # Model files
//
// OpenCV throws C++ exceptions at bad model files, and gocv lets them end the
// process. So networks are read and run in C++ of this package, inside try
// blocks, and an exception becomes an error. Before that, the size and digest
// of what was read are compared with those of the model's file; a file without a
// digest takes the digest of its first use. Each network runs once on an empty
// image when it is made: this warms it up, and shows a wrong input size early.
// gocv decodes and letterboxes images, of a size bounded before.
//
// # Concurrency
//
// A Backend may be used by many goroutines. A network is not safe for that, so
// each model has a pool of at most Config.Nets of them: a session takes one for
// the time of a Compute, and Compute waits while all are in use.
//
// # Limits
//
// One image input, 3 channels, at most 4096 pixels a side; JPEG and PNG of at
// most 64 megapixels; float32 outputs, at most 16 of them.
package opencv

import "github.com/bungee-xr/bungee/hostfunc/nn/model"

// A Model is what a [Backend] is given: an ONNX file, or Darknet's two, and an image
// for its input.
type Model = model.Model
