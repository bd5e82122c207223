package model

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/bungee-xr/bungee/hostfunc/nn"
	"github.com/bungee-xr/bungee/hostfunc/nn/nntest"
)

// speech has inputs like those of a detector of speech: a free size, a state, and a scalar.
func speech() []byte {
	f := &nntest.ONNX{}
	f.Constant("weights", []int{2, 3}, 1, 2, 3, 4, 5, 6)
	f.Input("input", nntest.Float32, 0, 0)
	f.Input("weights", nntest.Float32, 2, 3) // as older files have it
	f.Input("state", nntest.Float16, 2, 1, 128)
	f.Input("sr", nntest.Int64)
	f.Node("Identity", "output", "input")
	f.Output("output", nntest.Float32, 0, 1)
	f.Note("task", "speech")
	f.Note("names", "{0: 'silence'}")
	return f.Encode()
}

func TestReadONNX(t *testing.T) {
	path := filepath.Join(t.TempDir(), "speech.onnx")
	if err := os.WriteFile(path, speech(), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := ReadONNX(path)
	want := &ONNX{
		Inputs: []Port{
			{"input", Float32, []int{AnySize, AnySize}}, {"state", Float16, []int{2, 1, 128}}, {"sr", Int64, nil},
		},
		Outputs:  []Port{{"output", Float32, []int{AnySize, 1}}},
		Metadata: map[string]string{"task": "speech", "names": "{0: 'silence'}"},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("ReadONNX:\ngot  %+v, %v\nwant %+v", got, err, want)
	}
}

// The file of a real exporter, PyTorch's.
func TestReadONNXOfYOLOX(t *testing.T) {
	dir := os.Getenv("BUNGEE_MODELS")
	if dir == "" {
		t.Skip("needs a model: BUNGEE_MODELS=dir go test ./hostfunc/nn/model -run YOLOX")
	}
	got, err := ReadONNX(filepath.Join(dir, "yolox_nano.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	in, out := []int{1, 3, 416, 416}, []int{1, 3549, 85}
	if len(got.Inputs) != 1 || len(got.Outputs) != 1 || !reflect.DeepEqual(got.Inputs[0].Shape, in) ||
		!reflect.DeepEqual(got.Outputs[0].Shape, out) || got.Inputs[0].Type != Float32 {
		t.Errorf("got %+v; want one input of %v and one output of %v", got, in, out)
	}
}

func TestReadONNXRefuses(t *testing.T) {
	whole := speech()
	for why, b := range map[string][]byte{
		"nothing":                 {},
		"no protobuf":             []byte("no model at all"),
		"cut off":                 whole[:len(whole)/2],
		"a size beyond the end":   {7<<3 | 2, 0xff, 0xff, 0xff, 0xff, 0x0f},
		"a number without an end": bytes.Repeat([]byte{0xff}, 20),
		"a graph without outputs": {7<<3 | 2, 0},
		"no graph":                {1 << 3, 8},
	} {
		path := filepath.Join(t.TempDir(), "bad.onnx")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := ReadONNX(path); !errors.Is(err, ErrModel) || !strings.Contains(err.Error(), "bad.onnx") {
			t.Errorf("%s: got %+v, %v; want an error that names the file", why, got, err)
		}
	}
}

// A file of nothing but small fields is given up, however large it is.
func TestReadONNXIsBounded(t *testing.T) {
	b := bytes.Repeat([]byte{1 << 3, 8}, maxFields+1)
	if _, err := parseONNX(bytes.NewReader(b), int64(len(b))); err == nil || !strings.Contains(err.Error(), "fields") {
		t.Errorf("%d fields: got %v; want to be refused", maxFields+1, err)
	}
}

func FuzzONNX(f *testing.F) {
	f.Add(speech())
	f.Add(nntest.Detector(nntest.Float16, 64, 0, nn.Tensor{Shape: []int{1, 2}, Data: []float32{1, 2}}).Encode())
	f.Add([]byte{7<<3 | 2, 4, 12<<3 | 2, 2, 1<<3 | 2, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := parseONNX(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		for _, p := range append(o.Inputs, o.Outputs...) {
			if len(p.Shape) > nn.MaxRank {
				t.Errorf("%q has %d dimensions", p.Name, len(p.Shape))
			}
			for _, d := range p.Shape {
				if d != AnySize && (d < 1 || d > nn.MaxTensor) {
					t.Errorf("%q has shape %v", p.Name, p.Shape)
				}
			}
		}
	})
}
