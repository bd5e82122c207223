//go:build cgo && opencv

package catalog

import (
	"bytes"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/bungee-xr/bungee/hostfunc/nn"
	"github.com/bungee-xr/bungee/hostfunc/nn/model"
	"github.com/bungee-xr/bungee/hostfunc/nn/onnx"
	"github.com/bungee-xr/bungee/hostfunc/nn/opencv"
)

// Both backends load the converted CenterNet and see the same in an image.
func TestCenterNetOnEachBackend(t *testing.T) {
	e, err := Entries()[3].in(centernet(t))
	if err != nil {
		t.Fatal(err)
	}
	models := []model.Model{e.Model}
	cv, err := opencv.New(opencv.Config{Threads: 1, Models: models})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cv.Close() })
	rt, err := onnx.New(onnx.Config{Threads: 1, Prepare: opencv.Prepare, Models: models})
	if errors.Is(err, onnx.ErrNoLibrary) {
		t.Skipf("%v; then run go test -tags opencv -run CenterNet ./hostfunc/nn/catalog", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { rt.Close() })
	img := picture(t)
	want, got := see(t, cv, e.Name, img), see(t, rt, e.Name, img)
	for _, shape := range [][]int{{1, 80, 128, 128}, {1, 4, 128, 128}} {
		w, g := output(t, want, shape), output(t, got, shape)
		worst := 0.
		for i := range w.Data {
			worst = max(worst, math.Abs(float64(w.Data[i]-g.Data[i]))/max(1, math.Abs(float64(w.Data[i]))))
		}
		t.Logf("output %v: up to %.2g apart", shape, worst)
		if worst > 1e-2 {
			t.Errorf("output %v: OpenCV and ONNX Runtime are up to %v apart; want 0.01", shape, worst)
		}
	}
}

// picture returns dog.jpg, or a square before a slope where it is not there.
func picture(t *testing.T) []byte {
	t.Helper()
	if dir := os.Getenv("BUNGEE_MEDIA"); dir != "" {
		b, err := os.ReadFile(filepath.Join(dir, "dog.jpg"))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	img := image.NewRGBA(image.Rect(0, 0, 320, 240))
	for i := range 320 * 240 {
		x, y := i%320, i/320
		c := color.RGBA{uint8(x), uint8(y), 90, 255}
		if x > 100 && x < 200 && y > 60 && y < 200 {
			c = color.RGBA{200, 160, 40, 255}
		}
		img.SetRGBA(x, y, c)
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// see returns what a network gives of an image.
func see(t *testing.T, b nn.Backend, name string, img []byte) []nn.Tensor {
	t.Helper()
	g, err := b.Graph(name)
	if err != nil {
		t.Fatal(err)
	}
	s, err := g.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if _, err := s.SetImage(t.Context(), 0, img); err != nil {
		t.Fatal(err)
	}
	if err := s.Compute(t.Context()); err != nil {
		t.Fatal(err)
	}
	out, err := s.Outputs()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func output(t *testing.T, out []nn.Tensor, shape []int) nn.Tensor {
	t.Helper()
	i := slices.IndexFunc(out, func(o nn.Tensor) bool { return slices.Equal(o.Shape, shape) })
	if i < 0 {
		t.Fatalf("no output has shape %v; there are %d", shape, len(out))
	}
	return out[i]
}
