// Package onnx is the [nn.Backend] that runs networks with ONNX Runtime.
//
// [New] needs cgo, and the library of ONNX Runtime 1.24 or later when it runs, not
// when it is built: [Library] says where it is looked for. Without it New returns
// an error that is [ErrNoLibrary], and a host can go on with another backend.
//
//	b, err := onnx.New(onnx.Config{Threads: 2, Models: models})
//	if errors.Is(err, onnx.ErrNoLibrary) {
//		// use package opencv
//	}
//	defer b.Close()
//	nn.Use(b)
//
// # Networks
//
// A network has up to 16 inputs and 16 outputs of float32. The sizes of its inputs
// are fixed, but for a first dimension that may be free: such a network computes
// one image at a time, or several sessions' as one batch. A [model.Model] with an image size
// gives its image to input 0; one without takes tensors only. Each network runs
// once on zeros when it is loaded, which warms it up.
//
// # Model files
//
// What is read is compared with the size and the digest of the model. ONNX Runtime's
// exceptions become errors that are [model.ErrModel]: a bad file never ends the process.
// Models are the operator's own; nothing here makes it safe to load a stranger's.
//
// # Concurrency
//
// A Backend may be used by many goroutines. At most Config.Nets sessions of a model compute
// at once, on one copy of its weights. A Compute whose context ends is stopped
// within the time of one operation of the network.
//
// # Limits
//
// The library is loaded once in a process, by the first New that finds it, and
// stays loaded.
package onnx

import "errors"

// ErrNoLibrary says that the library of ONNX Runtime is not there, is too old, or
// that this program was built without cgo.
var ErrNoLibrary = errors.New("ONNX Runtime cannot be used")

// ErrClosed is returned by sessions that were closed, or whose backend was.
var ErrClosed = errors.New("onnx: closed")
