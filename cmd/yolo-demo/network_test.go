//go:build cgo && opencv

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bungee-xr/bungee/cmd/yolo-demo/internal/head"
	"github.com/bungee-xr/bungee/hostfunc/nn"
	"github.com/bungee-xr/bungee/hostfunc/nn/catalog"
	"github.com/bungee-xr/bungee/hostfunc/nn/model"
	"github.com/bungee-xr/bungee/hostfunc/nn/nntest"
	"github.com/bungee-xr/bungee/hostfunc/nn/onnx"
	"github.com/bungee-xr/bungee/hostfunc/nn/opencv"
)

// The networks of this test see one object, whatever the image of 96x96 pixels is: of class 1, at this place; of the only class where there is one.
var seen = head.Box{X: 22, Y: 16, W: 20, H: 16, Score: 0.9, Class: 1}

const (
	side   = 96
	cells  = 12*12 + 6*6 + 3*3
	coco   = 80
	anchor = 33
)

func tensorOf(shape ...int) nn.Tensor {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return nn.Tensor{Shape: shape, Data: make([]float32, n)}
}

// columns is an output of YOLOv8: the box, classes, and more numbers of each anchor.
func columns(classes, more int, value float32) nn.Tensor {
	t := tensorOf(1, 4+classes+more, cells)
	for i, v := range []float32{32, 24, 20, 16} {
		t.Data[i*cells+anchor] = v
	}
	t.Data[(4+min(seen.Class, classes-1))*cells+anchor] = seen.Score
	for i := (4 + classes) * cells; i < len(t.Data); i++ {
		t.Data[i] = value
	}
	return t
}

// rows is an output of YOLOv5, and of YOLOv6 and YOLOX, which have fewer rows.
func rows(n, classes int) nn.Tensor {
	t := tensorOf(1, n, 5+classes)
	copy(t.Data[anchor*(5+classes):], []float32{32, 24, 20, 16, 1, 0, seen.Score})
	return t
}

// boxes is an output that is suppressed already.
func boxes(n int, first ...float32) nn.Tensor {
	t := tensorOf(1, n, len(first))
	copy(t.Data, first)
	return t
}

// change changes an output's numbers.
func change(t nn.Tensor, f func(x float32) float32) nn.Tensor {
	for i, x := range t.Data {
		t.Data[i] = f(x)
	}
	return t
}

// export is an ONNX file shaped like what an exporter makes.
type export struct {
	name  string
	out   []nn.Tensor
	notes [][2]string // of the exporter
	ask   string      // -head
	want  head.Kind   // empty: it is refused
	says  string      // of the refusal
	h, w  int         // of the input, side where 0
	kind  int64       // of the input, float32 where 0
}

func exports() []export {
	of := func(t ...nn.Tensor) []nn.Tensor { return t }
	cocoNotes := [][2]string{{"description", "Ultralytics YOLOv8n model trained on coco.yaml"}, {"task", "detect"}, {"names", names(coco)}}
	task := func(task string, classes int) [][2]string {
		return [][2]string{{"task", task}, {"names", names(classes)}, {"imgsz", "[96, 96]"}}
	}
	logit := func(x float32) float32 { return float32(math.Log(float64(x+1e-4) / float64(1.0001-x))) }
	raw := columns(coco, 0, 0)
	copy(raw.Data[4*cells:], change(nn.Tensor{Data: raw.Data[4*cells:]}, logit).Data)
	return []export{
		{name: "yolov8n", out: of(columns(coco, 0, 0)), notes: cocoNotes, want: head.YOLOv8},
		{name: "yolov8n without notes", out: of(columns(coco, 0, 0)), want: head.YOLOv8},
		{name: "yolov8n in half precision", out: of(columns(coco, 0, 0)), kind: nntest.Float16, want: head.YOLOv8},
		{name: "yolov8n-pose", out: of(columns(1, 51, 300)), notes: task("pose", 1), want: head.Pose},
		{name: "yolov8n-pose without notes", out: of(columns(1, 51, 300)), says: "52 classes read as yolov8"},
		{name: "yolov8n-pose called yolov8", out: of(columns(1, 51, 300)), notes: task("pose", 1), ask: "yolov8", says: "52 classes"},
		{name: "yolov8n-obb", out: of(columns(15, 1, 0)), notes: task("obb", 15), want: head.OBB},
		{name: "yolov8n-obb without notes", out: of(columns(15, 1, 1.2)), says: "16 classes read as yolov8"},
		{name: "yolov8n-seg", out: of(columns(coco, 32, -2), tensorOf(1, 32, 24, 24)), notes: task("segment", coco), want: head.Segment},
		{name: "yolov8n-seg without notes", out: of(columns(coco, 32, -2), tensorOf(1, 32, 24, 24)), want: head.Segment},
		{name: "yolov8n-cls", out: of(tensorOf(1, 1000)), notes: task("classify", 1000), says: "995 classes read as darknet"},
		{name: "yolov8n without its sigmoid", out: of(raw), says: "not 0 to 1"},
		{name: "yolov8n of 3 classes, with the labels of 80", out: of(columns(3, 0, 0)), says: "3 classes read as yolov8"},
		{name: "yolov5n", out: of(rows(3*cells, coco)), notes: [][2]string{{"stride", "32"}, {"names", names(coco)}}, want: head.YOLOv5},
		{name: "yolov7-tiny", out: of(rows(3*cells, coco)), want: head.YOLOv5},
		{name: "yolov7-tiny without its last layer", out: of(tensorOf(1, 3, 12, 12, 85), tensorOf(1, 3, 6, 6, 85), tensorOf(1, 3, 3, 3, 85)), says: "no known head"},
		{name: "yolov6n", out: of(rows(cells, coco)), says: "yolox and of yolov6"},
		{name: "yolov6n, named", out: of(rows(cells, coco)), ask: "yolov6", want: head.YOLOv6},
		{name: "yolov6n called yolox", out: of(rows(cells, coco)), ask: "yolox", says: "four inputs"},
		{name: "yolov10n", out: of(boxes(300, 22, 16, 42, 32, seen.Score, 1)), notes: cocoNotes, want: head.EndToEnd},
		{name: "rt-detr of 2 classes", out: of(boxes(300, 0.5, 0.4, 0.3, 0.2, 0.9, 0.03)), says: "class is 0.03"},
		{name: "rt-detr", out: of(boxes(300, make([]float32, 84)...)), says: "no known head"},
	}
}

// names are labels as Python writes a dictionary.
func names(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, ", %d: 'thing %d'", i, i)
	}
	return "{" + strings.TrimPrefix(b.String(), ", ") + "}"
}

// write writes the file and returns its path.
func (e *export) write(t *testing.T) string {
	t.Helper()
	if e.kind == 0 {
		e.kind = nntest.Float32
	}
	f := nntest.Detector(e.kind, max(e.h, side), max(e.w, side), e.out...)
	for _, n := range e.notes {
		f.Note(n[0], n[1])
	}
	path := filepath.Join(t.TempDir(), "export.onnx")
	if err := os.WriteFile(path, f.Encode(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// backends are what can run the networks of this test.
func backends(t *testing.T, m model.Model) map[string]nn.Backend {
	t.Helper()
	all := map[string]nn.Backend{}
	cv, err := opencv.New(opencv.Config{Threads: 1, Nets: 1, Models: []model.Model{m}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cv.Close() })
	all["OpenCV"] = cv
	rt, err := onnx.New(onnx.Config{Threads: 1, Models: []model.Model{m}})
	if errors.Is(err, onnx.ErrNoLibrary) {
		return all
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { rt.Close() })
	all["ONNX Runtime"] = rt
	return all
}

// look returns what a network is recognised as, and what it finds in an image.
func look(ctx context.Context, b nn.Backend, found catalog.Found) (head.Kind, []head.Box, error) {
	nn.Use(b)
	if err := recognise(ctx, &found); err != nil {
		return "", nil, err
	}
	var blank bytes.Buffer
	if err := png.Encode(&blank, image.NewRGBA(image.Rect(0, 0, side, side))); err != nil {
		return "", nil, err
	}
	d := &demo{model: found}
	got, err := detectObjects(ctx, d.question(1, blank.Bytes()))
	return head.Kind(found.Head), got.Boxes, err
}

// No network is read as one of another kind without a word: it is read right, or refused with what to do. The table is printed with -v.
func TestExports(t *testing.T) {
	wrong := 0
	for _, e := range exports() {
		found, err := catalog.Resolve(t.Context(), e.write(t), catalog.Options{Head: e.ask})
		if err != nil {
			t.Errorf("%s: %v", e.name, err)
			continue
		}
		for name, b := range backends(t, found.Model) {
			kind, got, err := look(t.Context(), b, found)
			switch {
			case err == nil && kind != e.want:
				wrong++
				t.Errorf("%s on %s: taken for %s, with boxes %v; want %q", e.name, name, kind, got, e.want)
			case err == nil && (len(got) != 1 || !sameBox(got[0], seen, len(found.Labels))):
				t.Errorf("%s on %s: boxes %v; want %v", e.name, name, got, seen)
			case err != nil && (e.want != "" || !strings.Contains(err.Error(), e.says)):
				t.Errorf("%s on %s: %v; want %q, %q", e.name, name, err, e.want, e.says)
			}
			t.Logf("%-46s %-12s read as %-12q %v", e.name, name, kind, err)
		}
	}
	t.Logf("%d of %d files accepted as another kind than they are", wrong, len(exports()))
}

// sameBox says whether boxes are the same but for rounding.
func sameBox(a, b head.Box, classes int) bool {
	near := func(x, y float32) bool { return math.Abs(float64(x-y)) < 1e-2 }
	return a.Class == min(b.Class, classes-1) && near(a.X, b.X) && near(a.Y, b.Y) && near(a.W, b.W) && near(a.H, b.H) && near(a.Score, b.Score)
}

// The networks that were read wrong once: a pose network, and one whose input is no square.
func TestCasesOfNetworks(t *testing.T) {
	dir := os.Getenv("BUNGEE_CASES")
	if dir == "" {
		t.Skip("needs files of the cases: BUNGEE_CASES=dir go test -tags opencv -run CasesOfNetworks ./cmd/yolo-demo")
	}
	for file, want := range map[string]string{"pose64.onnx": "52 classes", "det320x192.onnx": ""} {
		found, err := catalog.Resolve(t.Context(), filepath.Join(dir, file), catalog.Options{})
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		for name, b := range backends(t, found.Model) {
			kind, _, err := look(t.Context(), b, found)
			t.Logf("%s on %s: %dx%d, read as %q, %v", file, name, found.Model.InputW, found.Model.InputH, kind, err)
			if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("%s on %s: %q, %v; want %q", file, name, kind, err, want)
			}
		}
	}
}
