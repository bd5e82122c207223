//go:build cgo && opencv

package head_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/bungee-xr/bungee/cmd/yolo-demo/internal/head"
	"github.com/bungee-xr/bungee/hostfunc/nn"
	"github.com/bungee-xr/bungee/hostfunc/nn/catalog"
	"github.com/bungee-xr/bungee/hostfunc/nn/opencv"
)

const howToRun = "run BUNGEE_MODELS=<folder with yolo-fastest-1.1-xl and yolox_nano> BUNGEE_MEDIA=<folder with dog.jpg> " +
	"go test -tags opencv ./cmd/yolo-demo/internal/head"

// env returns the folder that a variable names.
func env(tb testing.TB, name string) string {
	tb.Helper()
	dir := os.Getenv(name)
	if dir == "" {
		tb.Skipf("%s is not set; %s", name, howToRun)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		tb.Fatal(err)
	}
	return dir
}

// session opens a model of the catalog.
func session(tb testing.TB, name string) (*nn.Session, catalog.Found) {
	tb.Helper()
	found, err := catalog.Resolve(tb.Context(), name, catalog.Options{CacheDir: tb.TempDir(), Dir: env(tb, "BUNGEE_MODELS")})
	if errors.Is(err, catalog.ErrNotFound) {
		tb.Skipf("%v; %s", err, howToRun)
	}
	if err != nil {
		tb.Fatal(err)
	}
	b, err := opencv.New(opencv.Config{Threads: 1, Models: []opencv.Model{found.Model}})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { b.Close() })
	nn.Use(b)
	g, err := nn.Load(found.Name)
	if err != nil {
		tb.Fatal(err)
	}
	s, err := g.NewSession()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { s.Close() })
	return s, found
}

// Where the dog, the bicycle and the car are in dog.jpg, 768x576 pixels, by eye.
var scene = []struct {
	labels []string
	box    head.Box
}{
	{[]string{"dog"}, head.Box{X: 130, Y: 220, W: 185, H: 320}},
	{[]string{"bicycle"}, head.Box{X: 120, Y: 130, W: 450, H: 290}},
	{[]string{"car", "truck"}, head.Box{X: 465, Y: 75, W: 220, H: 95}},
}

func TestDetectorsFindTheDog(t *testing.T) {
	jpeg, err := os.ReadFile(filepath.Join(env(t, "BUNGEE_MEDIA"), "dog.jpg"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"yolo-fastest-1.1-xl", "yolo-fastest-1.1", "yolox_nano", "centernet"} {
		t.Run(name, func(t *testing.T) {
			s, found := session(t, name)
			fit, err := s.SetImage(t.Context(), 0, jpeg)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Compute(t.Context()); err != nil {
				t.Fatal(err)
			}
			out, err := s.Outputs()
			if err != nil {
				t.Fatal(err)
			}
			boxes, err := head.Decode(head.Kind(found.Head), out, fit, head.Options{Classes: len(found.Labels)})
			if err != nil {
				t.Fatal(err)
			}
			look(t, boxes, found.Labels)
			var ambiguous *head.AmbiguousError
			if _, err := head.Decode("", out, fit, head.Options{}); !errors.As(err, &ambiguous) {
				t.Errorf("without its head's name: %v; want an AmbiguousError", err)
			}
		})
	}
}

// look checks that each object of the scene is among the boxes.
func look(t *testing.T, boxes []head.Box, labels []string) {
	t.Helper()
	for _, b := range boxes {
		t.Logf("%-8s %.2f at %.0f,%.0f, %.0fx%.0f", labels[b.Class], b.Score, b.X, b.Y, b.W, b.H)
	}
	for _, want := range scene {
		best := float32(0)
		for _, b := range boxes {
			for _, l := range want.labels {
				if labels[b.Class] == l {
					best = max(best, iou(b, want.box))
				}
			}
		}
		if best < 0.5 {
			t.Errorf("%v at %+v: the best box of that class overlaps it by %.2f, want 0.5; boxes %v", want.labels, want.box, best, boxes)
		}
	}
}

func iou(a, b head.Box) float32 {
	w := min(a.X+a.W, b.X+b.W) - max(a.X, b.X)
	h := min(a.Y+a.H, b.Y+b.H) - max(a.Y, b.Y)
	if w <= 0 || h <= 0 {
		return 0
	}
	return w * h / (a.W*a.H + b.W*b.H - w*h)
}
