//go:build !cgo || !opencv

package main

import (
	"context"
	"fmt"

	"github.com/bungee-xr/bungee/hostfunc/nn/model"
)

// withOpenCV says whether the default network can run in this program.
const withOpenCV = false

// prepare is nil: Go's own decoders.
var prepare model.Preparer

// newOpenCV says what can be done without OpenCV.
func newOpenCV(_ context.Context, _ *nnOptions, models []model.Model, _ int) (served, error) {
	return served{}, fmt.Errorf("%q needs OpenCV, and this program was built without: build it with cgo and -tags opencv, or serve an ONNX file and install ONNX Runtime with scripts/onnxruntime.sh",
		models[0].Name)
}
