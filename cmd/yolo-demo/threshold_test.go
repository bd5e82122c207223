//go:build cgo && opencv

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/bungee-xr/bungee/cmd/yolo-demo/internal/accuracy"
	"github.com/bungee-xr/bungee/cmd/yolo-demo/internal/head"
	"github.com/bungee-xr/bungee/hostfunc/nn"
	"github.com/bungee-xr/bungee/hostfunc/nn/catalog"
	"github.com/bungee-xr/bungee/hostfunc/nn/opencv"
)

// What the demo's network finds from some confidence on, beside what a better one finds: the table is printed with -v, and
// leastScore is chosen by it.
func TestThreshold(t *testing.T) {
	media := os.Getenv("BUNGEE_MEDIA")
	if os.Getenv("BUNGEE_THRESHOLD") == "" || os.Getenv("BUNGEE_MODELS") == "" || media == "" {
		t.Skip("a measurement, which judges nothing: BUNGEE_THRESHOLD=1 BUNGEE_MODELS=dir BUNGEE_MEDIA=dir go test -tags opencv -run Threshold -v ./cmd/yolo-demo")
	}
	frames := everyNth(t, filepath.Join(media, "street.mp4"), 16)
	truth := find(t, "yolox_nano", frames, 0.4)
	all := find(t, catalog.Default, frames, 0.05)
	table := fmt.Sprintf("%d frames; what yolox_nano finds counts as true\n%10s %10s %10s %10s\n", len(frames), "from", "boxes", "precision", "recall")
	best := [2]float64{} // the threshold with the best F1, and that
	for _, from := range []float32{0.1, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6} {
		kept, n := make([][]head.Box, len(all)), 0
		for i, boxes := range all {
			kept[i] = slices.DeleteFunc(slices.Clone(boxes), func(b head.Box) bool { return b.Score < from })
			n += len(kept[i])
		}
		precision, recall := accuracy.Judge(kept, truth).Kept, accuracy.Judge(truth, kept).Kept
		table += fmt.Sprintf("%10.2f %10d %10.2f %10.2f\n", from, n, precision, recall)
		if f := 2 * precision * recall / (precision + recall); f > best[1] {
			best = [2]float64{float64(from), f}
		}
	}
	t.Logf("%sthe best F1 is %.2f, from %.2f on", table, best[1], best[0])
}

// everyNth returns every nth frame of a video, as JPEG.
func everyNth(t *testing.T, path string, every int) (frames [][]byte) {
	t.Helper()
	c, err := openCamera(t.Context(), path, false)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for n := 0; c.next(t.Context()) == nil; n++ {
		if n%every == 0 {
			b, err := c.jpeg(90)
			if err != nil {
				t.Fatal(err)
			}
			frames = append(frames, b)
		}
	}
	return frames
}

// find returns what a network finds in each picture from a confidence on.
func find(t *testing.T, name string, pictures [][]byte, from float32) (all [][]head.Box) {
	t.Helper()
	found, err := catalog.Resolve(t.Context(), name, catalog.Options{Offline: true})
	if err != nil {
		t.Fatal(err)
	}
	b, err := opencv.New(opencv.Config{Nets: 1, Models: []opencv.Model{found.Model}})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	g, err := b.Graph(found.Model.Name)
	if err != nil {
		t.Fatal(err)
	}
	s, err := g.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, picture := range pictures {
		all = append(all, boxesIn(t, s, &found, picture, from))
	}
	return all
}

func boxesIn(t *testing.T, s nn.BackendSession, found *catalog.Found, picture []byte, from float32) []head.Box {
	t.Helper()
	fit, err := s.SetImage(t.Context(), 0, picture)
	if err == nil {
		err = s.Compute(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	out, err := s.Outputs()
	if err != nil {
		t.Fatal(err)
	}
	boxes, err := head.Decode(head.Kind(found.Head), out, fit, head.Options{Score: from, Classes: len(found.Labels)})
	if err != nil {
		t.Fatal(err)
	}
	return boxes
}
