//go:build cgo && opencv

package tfjs

import (
	"testing"

	"github.com/bungee-xr/bungee/hostfunc/nn"
	nnmodel "github.com/bungee-xr/bungee/hostfunc/nn/model"
	"github.com/bungee-xr/bungee/hostfunc/nn/opencv"
)

func TestOpenCVComputesTheSame(t *testing.T) {
	computes(t, func(t *testing.T, models []nnmodel.Model) nn.Backend {
		b, err := opencv.New(opencv.Config{Threads: 1, Models: models})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { b.Close() })
		return b
	})
}
