//go:build cgo && opencv

package onnx

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/hostfunc/nn"
	"github.com/bungee-xr/bungee/hostfunc/nn/model"
	"github.com/bungee-xr/bungee/hostfunc/nn/opencv"
)

// file returns a file under the folder that an environment variable names.
func file(tb testing.TB, env, name string) string {
	tb.Helper()
	dir := os.Getenv(env)
	if dir == "" {
		tb.Skipf("%s is not set; run %s=<folder with %s> go test -tags opencv ./hostfunc/nn/onnx", env, env, name)
	}
	return filepath.Join(dir, name)
}

func yoloxNano(tb testing.TB) model.Model {
	return model.Model{
		Name: "yolox_nano",
		Files: []model.File{{Path: file(tb, "BUNGEE_MODELS", "yolox_nano.onnx"),
			SHA256: "e8af074932d4ed7e232278e3055cefcdea3edf178874a3694ae292649fb464dd"}},
		InputW: 416, InputH: 416, Pad: 114, Align: model.TopLeft,
	}
}

// A box is what YOLOX says of a place: its centre and size in pixels of the input,
// and the score of its best class.
type box struct {
	x, y, w, h, score float64
	class             int
}

// boxes reads YOLOX's output [1, 3549, 85]: grids of 52, 26 and 13 cells a side.
func boxes(out nn.Tensor) []box {
	var all []box
	for _, cells := range []int{52, 26, 13} {
		stride := 416 / float64(cells)
		for i := range cells * cells {
			r := out.Data[85*len(all):][:85:85]
			b := box{
				x: (float64(r[0]) + float64(i%cells)) * stride, y: (float64(r[1]) + float64(i/cells)) * stride,
				w: math.Exp(float64(r[2])) * stride, h: math.Exp(float64(r[3])) * stride,
			}
			for c, p := range r[5:] {
				if s := float64(p * r[4]); s > b.score {
					b.score, b.class = s, c
				}
			}
			all = append(all, b)
		}
	}
	return all
}

// TestAgreesWithOpenCV compares the boxes of both backends, with OpenCV's image
// and with that of the standard library. Bounds are in pixels of an input of 416.
func TestAgreesWithOpenCV(t *testing.T) {
	m := yoloxNano(t)
	jpeg, err := os.ReadFile(file(t, "BUNGEE_MEDIA", "dog.jpg"))
	if err != nil {
		t.Fatal(err)
	}
	cv, err := opencv.New(opencv.Config{Threads: 1, Models: []model.Model{m}})
	if err != nil {
		t.Fatal(err)
	}
	defer cv.Close()
	want := see(t, cv, m.Name, jpeg)
	tests := []struct {
		name, why    string
		prepare      model.Preparer
		shift, score float64
	}{
		{"OpenCV's image", "the same numbers go in", opencv.Prepare, 0.01, 0.001},
		{"our image", "the decoders differ by up to 4 levels", model.Prepare, 3, 0.06},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := see(t, open(t, Config{Threads: 1, Prepare: tt.prepare, Models: []model.Model{m}}), m.Name, jpeg)
			seen, shift, score := differences(t, want, got)
			t.Logf("%d boxes, which differ by at most %.3g pixels and %.3g in score", seen, shift, score)
			if seen == 0 || shift > tt.shift || score > tt.score {
				t.Errorf("%d boxes differ by at most %.3g pixels and %.3g in score; want some, %v and %v (%s)",
					seen, shift, score, tt.shift, tt.score, tt.why)
			}
		})
	}
}

// differences compares the boxes that count.
func differences(t *testing.T, want, got []box) (seen int, shift, score float64) {
	t.Helper()
	for i, b := range want {
		if b.score < 0.25 {
			continue
		}
		g := got[i]
		seen++
		if g.class != b.class {
			t.Errorf("cell %d: class %d; want %d", i, g.class, b.class)
		}
		for _, d := range []float64{g.x - b.x, g.y - b.y, g.w - b.w, g.h - b.h} {
			shift = max(shift, math.Abs(d))
		}
		score = max(score, math.Abs(g.score-b.score))
	}
	return seen, shift, score
}

func see(t *testing.T, b nn.Backend, name string, jpeg []byte) []box {
	t.Helper()
	g, err := b.Graph(name)
	if err != nil {
		t.Fatal(err)
	}
	s := newSession(t, g)
	if _, err := s.SetImage(t.Context(), 0, jpeg); err != nil {
		t.Fatal(err)
	}
	if err := s.Compute(t.Context()); err != nil {
		t.Fatal(err)
	}
	return boxes(numbers(t, s, 0))
}

// BenchmarkYOLOX runs one network on both backends in turn and reports how many
// times faster ONNX Runtime is.
func BenchmarkYOLOX(b *testing.B) {
	m := yoloxNano(b)
	jpeg, err := os.ReadFile(file(b, "BUNGEE_MEDIA", "dog.jpg"))
	if err != nil {
		b.Fatal(err)
	}
	for _, threads := range []int{1, 2} {
		b.Run(fmt.Sprintf("threads=%d", threads), func(b *testing.B) {
			cv, err := opencv.New(opencv.Config{Threads: threads, Models: []model.Model{m}})
			if err != nil {
				b.Fatal(err)
			}
			defer cv.Close()
			rt := open(b, Config{Threads: threads, Prepare: opencv.Prepare, Models: []model.Model{m}})
			slow, fast := ready(b, cv, m.Name, jpeg), ready(b, rt, m.Name, jpeg)
			var ofSlow, ofFast time.Duration
			for b.Loop() {
				ofSlow += compute(b, slow)
				ofFast += compute(b, fast)
			}
			b.ReportMetric(ofSlow.Seconds()*1e3/float64(b.N), "opencv-ms")
			b.ReportMetric(ofFast.Seconds()*1e3/float64(b.N), "onnx-ms")
			b.ReportMetric(ofSlow.Seconds()/ofFast.Seconds(), "times")
		})
	}
}

// ready returns a session whose input is the image.
func ready(b *testing.B, backend nn.Backend, name string, jpeg []byte) nn.BackendSession {
	b.Helper()
	g, err := backend.Graph(name)
	if err != nil {
		b.Fatal(err)
	}
	s := newSession(b, g)
	if _, err := s.SetImage(context.Background(), 0, jpeg); err != nil {
		b.Fatal(err)
	}
	compute(b, s)
	return s
}

func compute(b *testing.B, s nn.BackendSession) time.Duration {
	start := time.Now()
	if err := s.Compute(context.Background()); err != nil {
		b.Fatal(err)
	}
	return time.Since(start)
}
