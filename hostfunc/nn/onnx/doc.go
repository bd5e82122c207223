// Package onnx is the [nn.Backend] that runs networks with ONNX Runtime.
//
// [New] needs cgo, and at run time the library of ONNX Runtime 1.24 or later: [Library]
// says where it is searched. Without the library New returns [ErrNoLibrary], and a host
// can use another backend.
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
// A network has up to 16 inputs and 16 outputs, which may be scalars. If the first dimension
// of all is free, and no other, the network computes one session, or several as one batch.
// Other sizes of inputs that are free are those of the tensor that a session is given; such a network
// has no batches. The image of a [model.Model] with an image size is
// input 0; a model without one takes tensors only. Each network of fixed sizes runs once on zeros when it
// is loaded, which warms it up.
//
// Sessions have float32. Inputs of float16, float64, int64, int32, uint8 and bool are
// converted from it, and numbers that these types do not have are refused; outputs are
// converted to it, and whole numbers beyond 2^24 are rounded. An output of float16 needs
// sizes that are fixed.
//
// # Model files
//
// The bytes of a file must have the size and the digest of the model. ONNX Runtime's
// exceptions become errors that are [model.ErrModel], so that a damaged file does not end
// the process. It is not safe to load the models of strangers.
//
// # Concurrency
//
// A Backend may be used by many goroutines. At most Config.Nets sessions of a model
// compute at once, on one copy of its weights. When the context of a Compute ends, the
// Compute stops after the operation of the network that runs.
//
// # Limits
//
// The first New that finds the library loads it. It stays loaded until the process ends.
package onnx

import "errors"

// ErrNoLibrary says that the library of ONNX Runtime is missing or too old, or that the
// program was built without cgo.
var ErrNoLibrary = errors.New("ONNX Runtime cannot be used")

// ErrClosed says that a session, or its backend, was closed.
var ErrClosed = errors.New("onnx: closed")
