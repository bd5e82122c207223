//go:build cgo && opencv

package opencv

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bungee-xr/bungee/hostfunc/nn"
	"github.com/bungee-xr/bungee/hostfunc/nn/model"
	"github.com/bungee-xr/bungee/hostfunc/nn/nntest"
)

// A network whose input is fixed runs at that size only: at another, OpenCV gives numbers that mean nothing.
func TestInputOfAnotherSize(t *testing.T) {
	path := filepath.Join(t.TempDir(), "wide.onnx")
	out := nn.Tensor{Shape: []int{1, 2, 3}, Data: []float32{1, 2, 3, 4, 5, 6}}
	if err := os.WriteFile(path, nntest.Detector(nntest.Float32, 192, 320, out).Encode(), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ w, h, wrong int }{{320, 192, 0}, {320, 320, 1}, {192, 320, 1}} {
		b, err := New(Config{Threads: 1, Models: []Model{{Name: "wide", InputW: tt.w, InputH: tt.h, Files: []model.File{{Path: path}}}}})
		if err != nil {
			t.Fatal(err)
		}
		err = b.Warm(t.Context(), "wide", 1)
		if (err != nil) != (tt.wrong == 1) || err != nil && (!errors.Is(err, model.ErrModel) || !strings.Contains(err.Error(), "192 320")) {
			t.Errorf("%dx%d: %v; want an error that names the size, where it is another", tt.w, tt.h, err)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
}
