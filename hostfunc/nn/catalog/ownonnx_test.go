package catalog

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bungee-xr/bungee/hostfunc/nn"
	"github.com/bungee-xr/bungee/hostfunc/nn/nntest"
)

// one is an output that nobody looks at here.
var one = nn.Tensor{Shape: []int{1, 1}, Data: []float32{0}}

// notes returns a detector's file with notes of its exporter: key, text, and so on.
func notes(f *nntest.ONNX, all ...string) []byte {
	for i := 0; i < len(all); i += 2 {
		f.Note(all[i], all[i+1])
	}
	return f.Encode()
}

// What a file says of its input, its labels and its task is taken.
func TestResolveReadsTheFile(t *testing.T) {
	detector := func(h, w int) *nntest.ONNX { return nntest.Detector(nntest.Float32, h, w, one) }
	speech := &nntest.ONNX{}
	speech.Input("input", nntest.Float32, 0, 0)
	speech.Input("sr", nntest.Int64)
	speech.Output("output", nntest.Float32, 0, 1)
	tests := []struct {
		onnx     []byte
		head     string
		size     int
		wantHead string
		w, h     int
		labels   []string // nil: COCO's
		why      string
	}{
		{notes(detector(192, 320)), "", 0, "", 320, 192, nil, "a fixed size that is no square"},
		{notes(detector(320, 320)), "", 320, "", 320, 320, nil, "a size that is given, and the same"},
		{notes(detector(0, 0)), "", 0, "", 640, 640, nil, "an open size"},
		{notes(detector(0, 0)), "", 416, "", 416, 416, nil, "an open size, given"},
		{notes(detector(0, 0)), "centernet", 0, "centernet", 512, 512, nil, "an open size of centernet"},
		{notes(detector(0, 320)), "", 192, "", 0, 0, nil, "a size of which a side is fixed to another"},
		{notes(detector(0, 0), "imgsz", "[384, 672]"), "", 0, "", 672, 384, nil, "an open size that is noted, height first"},
		{notes(nntest.Detector(nntest.Float16, 64, 64, one)), "", 0, "", 64, 64, nil, "half precision"},
		{notes(detector(64, 64), "task", "pose"), "", 0, "yolov8-pose", 64, 64, []string{"person"}, "the task"},
		{notes(detector(64, 64), "task", "pose"), "yolov8", 0, "yolov8", 64, 64, nil, "a head that is given"},
		{notes(detector(64, 64), "task", "obb", "names", `{0: 'plane', 1: "ship's deck"}`), "", 0, "yolov8-obb", 64, 64, []string{"plane", "ship's deck"}, "labels"},
		{notes(detector(64, 64), "names", `['a', 'b']`), "", 0, "", 64, 64, []string{"a", "b"}, "labels as a list"},
		{notes(detector(64, 64), "names", `{0: 'a', 2: 'b'}`), "", 0, "", 64, 64, nil, "labels with a gap are none"},
		{notes(speech), "", 0, "", 0, 0, nil, "no image at all"},
	}
	for _, tt := range tests {
		path := filepath.Join(t.TempDir(), "my.onnx")
		write(t, path, tt.onnx)
		f, err := Resolve(t.Context(), path, Options{Head: tt.head, InputSize: tt.size})
		if tt.w == 0 && tt.size != 0 {
			if err == nil || !strings.Contains(err.Error(), "320xany") {
				t.Errorf("%s: got %v; want the size that the file has", tt.why, err)
			}
			continue
		}
		labels := tt.labels
		if labels == nil {
			labels = COCO()
		}
		if err != nil || f.Head != tt.wantHead || f.Model.InputW != tt.w || f.Model.InputH != tt.h || !slices.Equal(f.Labels, labels) {
			t.Errorf("%s: got head %q, %dx%d, %d labels, %v; want %q, %dx%d, %d", tt.why, f.Head, f.Model.InputW, f.Model.InputH,
				len(f.Labels), err, tt.wantHead, tt.w, tt.h, len(labels))
		}
	}
}

func TestResolveRefusesWhatTheFileContradicts(t *testing.T) {
	classifier := &nntest.ONNX{}
	classifier.Input("x", nntest.Float32, 0, 4)
	classifier.Output("y", nntest.Float32, 0, 3)
	for why, tt := range map[string]struct {
		onnx []byte
		opt  Options
		says string
	}{
		"a size that the file fixes to another": {notes(nntest.Detector(nntest.Float32, 192, 320, one)), Options{InputSize: 320}, "320x192"},
		"a head of what takes no image":         {notes(classifier), Options{Head: "yolov8"}, `"x" of shape [-1 4]`},
		"no ONNX":                               {[]byte("nothing that is ONNX"), Options{}, "no ONNX file"},
	} {
		path := filepath.Join(t.TempDir(), "my.onnx")
		write(t, path, tt.onnx)
		if f, err := Resolve(t.Context(), path, tt.opt); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: got %q, %v; want an error with %q", why, f.Why, err, tt.says)
		}
	}
}

func FuzzNames(f *testing.F) {
	for _, s := range []string{`{0: 'a', 1: "b's"}`, `['a', 'b\'c']`, `{}`, `[`, `{0: 'a', 0: 'b'}`, `{0: '`, "{0: 'a'}}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if labels := parseNames(s); len(labels) > maxLabels {
			t.Errorf("parseNames(%q) gave %d labels", s, len(labels))
		}
		if sizes := parseInts(s); len(sizes) > 2 {
			t.Errorf("parseInts(%q) = %v", s, sizes)
		}
	})
}

// The heads that can be asked for are those that are described.
func TestHeadsAreDescribed(t *testing.T) {
	b, err := os.ReadFile("resolve.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range heads {
		if !strings.Contains(string(b), h) {
			t.Errorf("the comment of Options.Head does not name %s", h)
		}
	}
}
