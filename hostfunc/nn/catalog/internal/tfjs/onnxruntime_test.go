//go:build cgo

package tfjs

import (
	"errors"
	"testing"

	"github.com/bungee-xr/bungee/hostfunc/nn"
	nnmodel "github.com/bungee-xr/bungee/hostfunc/nn/model"
	"github.com/bungee-xr/bungee/hostfunc/nn/onnx"
)

func TestONNXRuntimeComputesTheSame(t *testing.T) {
	computes(t, func(t *testing.T, models []nnmodel.Model) nn.Backend {
		b, err := onnx.New(onnx.Config{Threads: 1, Models: models})
		if errors.Is(err, onnx.ErrNoLibrary) {
			t.Skipf("%v; then go test ./hostfunc/nn/catalog/internal/tfjs", err)
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { b.Close() })
		return b
	})
}
