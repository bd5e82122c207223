package tfjs

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"strings"
	"testing"
)

func TestConvertIsDeterministic(t *testing.T) {
	m, outputs := everything()
	a, b := convert(t, m, outputs...), convert(t, m, outputs...)
	if !bytes.Equal(a, b) {
		t.Errorf("two conversions of one model differ: %d and %d bytes", len(a), len(b))
	}
}

// The bytes were taken apart by hand against onnx.proto.
func TestConvertGolden(t *testing.T) {
	m := &maker{}
	m.node("Relu", "r", nil, m.image(2, 3, 1))
	want := "0807" + // ir_version 7
		"1206" + hex.EncodeToString([]byte("bungee")) + // producer_name
		"3a59" + // graph
		"0a13" + "0a05" + hex.EncodeToString([]byte("image")) + "120172" + "1a0172" + "2204" + hex.EncodeToString([]byte("Relu")) + // node
		"1204" + hex.EncodeToString([]byte("tfjs")) + // name
		"5a1f" + "0a05" + hex.EncodeToString([]byte("image")) + "1216" + "0a14" + "0801" + "1210" + // input, float
		"0a020801" + "0a020801" + "0a020802" + "0a020803" + // 1, 1, 2, 3
		"621b" + "0a0172" + "1216" + "0a14" + "0801" + "1210" + "0a020801" + "0a020801" + "0a020802" + "0a020803" + // output
		"4204" + "0a00" + "100d" // opset 13 of the default domain
	if got := hex.EncodeToString(convert(t, m, "r")); got != want {
		t.Errorf("relu of a 3x2 image\ngot  %s\nwant %s", got, want)
	}
}

func TestConvertKeepsOnlyWhatOutputsNeed(t *testing.T) {
	m, _ := everything()
	m.node("NonMaxSuppression", "beyond", nil, "wide")
	onnx := convert(t, m, "gate")
	for name, want := range map[string]bool{"squeeze": true, "gate": true, "swish": false, "beyond": false} {
		if got := bytes.Contains(onnx, []byte(name)); got != want {
			t.Errorf("node %s is in the model: %v; want %v", name, got, want)
		}
	}
}

func TestConvertRefuses(t *testing.T) {
	tests := []struct {
		why  string
		make func(m *maker) string
		want error
		says string
	}{
		{"an operation that is not known", func(m *maker) string {
			return m.node("LSTM", "cell", nil, m.image(4, 4, 3))
		}, ErrUnsupported, `operation "LSTM" of node "cell"`},
		{"it lies below the output", func(m *maker) string {
			return m.node("Relu", "r", nil, m.node("TopKV2", "top", nil, m.image(4, 4, 3)))
		}, ErrUnsupported, `operation "TopKV2" of node "top"`},
		{"a node that is not there", func(m *maker) string {
			return m.node("Relu", "r", nil, "nowhere")
		}, ErrModel, `no node "nowhere"`},
		{"a circle", func(m *maker) string {
			m.node("Relu", "a", nil, "b")
			return m.node("Relu", "b", nil, "a")
		}, ErrModel, "its own result"},
		{"a second output of an operation", func(m *maker) string {
			return m.node("Relu", "r", nil, m.image(4, 4, 3)+":1")
		}, ErrModel, "image:1"},
		{"two inputs for one", func(m *maker) string {
			return m.node("Relu", "r", nil, m.image(4, 4, 3), "image")
		}, ErrModel, "2 inputs"},
		{"weights for another number of channels", func(m *maker) string {
			return m.node("Conv2D", "c", convAttrs("SAME", 1), m.image(4, 4, 3), m.floats("w", []int{1, 1, 2, 1}, 1, 2))
		}, ErrModel, `"c"`},
		{"a bias for another number of channels", func(m *maker) string {
			return m.node("_FusedConv2D", "c", convAttrs("SAME", 1, "BiasAdd"), m.image(4, 4, 1),
				m.floats("w", []int{1, 1, 1, 1}, 1), m.floats("b", []int{2}, 1, 2))
		}, ErrModel, "bias of 1"},
		{"a kernel larger than the image", func(m *maker) string {
			return m.node("Conv2D", "c", convAttrs("VALID", 1), m.image(1, 1, 1), m.floats("w", []int{2, 1, 1, 1}, 1, 2))
		}, ErrModel, "1x0"},
		{"weights that are computed", func(m *maker) string {
			return m.node("Conv2D", "c", convAttrs("SAME", 1), m.image(4, 4, 3), "image")
		}, ErrUnsupported, "constant"},
		{"a fused operation that is not known", func(m *maker) string {
			return m.node("_FusedConv2D", "c", convAttrs("SAME", 1, "Elu"), m.image(4, 4, 1), m.floats("w", []int{1, 1, 1, 1}, 1))
		}, ErrUnsupported, "Elu"},
		{"explicit padding", func(m *maker) string {
			return m.node("Conv2D", "c", convAttrs("EXPLICIT", 1), m.image(4, 4, 1), m.floats("w", []int{1, 1, 1, 1}, 1))
		}, ErrUnsupported, "EXPLICIT"},
		{"a stride of 0", func(m *maker) string {
			return m.node("Conv2D", "c", convAttrs("SAME", 0), m.image(4, 4, 1), m.floats("w", []int{1, 1, 1, 1}, 1))
		}, ErrModel, "strides"},
		{"shapes that do not combine", func(m *maker) string {
			x := m.image(4, 4, 3)
			return m.node("Add", "a", nil, x, m.floats("w", []int{2}, 1, 2))
		}, ErrUnsupported, "[1 3 4 4] and [1 2 1 1]"},
		{"two constants", func(m *maker) string {
			return m.node("Add", "a", nil, m.floats("v", nil, 1), m.floats("w", nil, 1))
		}, ErrUnsupported, "[1] and [1]"},
		{"a mean over the channels", func(m *maker) string {
			return m.node("Mean", "m", flag("keep_dims", true), m.image(4, 4, 3), m.ints("i", []int{1}, 3))
		}, ErrUnsupported, `"m"`},
		{"concatenated along the height", func(m *maker) string {
			return m.node("ConcatV2", "c", nil, m.image(4, 4, 3), "image", m.ints("i", nil, 1))
		}, ErrUnsupported, "axis"},
		{"half pixel centres", func(m *maker) string {
			return m.node("ResizeBilinear", "r", flag("half_pixel_centers", true), m.image(4, 4, 3), m.ints("i", []int{2}, 8, 8))
		}, ErrUnsupported, "half pixel"},
		{"a size of a thousand million", func(m *maker) string {
			return m.node("ResizeBilinear", "r", nil, m.image(4, 4, 3), m.ints("i", []int{2}, 1e9, 1e9))
		}, ErrUnsupported, "size"},
		{"an input of any size", func(m *maker) string { return m.node("Relu", "r", nil, m.image(-1, -1, 3)) }, ErrUnsupported, "fixed size"},
		{"an input that is an output", func(m *maker) string { return m.image(4, 4, 3) }, ErrUnsupported, "an output too"},
		{"one number a column", func(m *maker) string {
			x := m.image(4, 4, 3)
			row := m.node("Conv2D", "row", convAttrs("VALID", 1), x, m.floats("w", []int{4, 1, 3, 3}, ramp(36)...))
			return m.node("Add", "a", nil, x, row)
		}, ErrUnsupported, "[1 3 4 4] and [1 3 1 4]"},
		{"the smaller less the larger", func(m *maker) string {
			x := m.image(4, 4, 3)
			return m.node("Sub", "s", nil, m.node("Mean", "m", flag("keep_dims", true), x, m.ints("i", []int{2}, 1, 2)), x)
		}, ErrUnsupported, "[1 3 1 1] less shape [1 3 4 4]"},
		{"no output", func(m *maker) string { return "" }, ErrModel, "no node"},
	}
	for _, tt := range tests {
		m := &maker{}
		out := tt.make(m)
		got, err := Convert(m.topology(), m.data, out)
		if !errors.Is(err, tt.want) || got != nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: got %d bytes, %v; want an error with %q that wraps %q", tt.why, len(got), err, tt.says, tt.want)
		}
	}
}

func TestConvertChecksWeights(t *testing.T) {
	tests := []struct {
		why     string
		weights string
		bytes   int
		want    error
	}{
		{"all there", `{"name":"w","shape":[2,3],"dtype":"float32"}`, 24, nil},
		{"no dimensions, one number", `{"name":"w","shape":[],"dtype":"int32"}`, 4, nil},
		{"two bytes a number", `{"name":"w","shape":[3],"dtype":"float32","quantization":{"dtype":"float16"}}`, 6, nil},
		{"a byte short", `{"name":"w","shape":[2,3],"dtype":"float32"}`, 23, ErrModel},
		{"a byte over", `{"name":"w","shape":[2,3],"dtype":"float32"}`, 25, ErrModel},
		{"a product that overflows", `{"name":"w","shape":[4294967296,4294967296,1],"dtype":"float32"}`, 24, ErrModel},
		{"negative", `{"name":"w","shape":[-2,-3],"dtype":"float32"}`, 24, ErrModel},
		{"empty", `{"name":"w","shape":[0],"dtype":"float32"}`, 0, ErrModel},
		{"a fraction", `{"name":"w","shape":[1.5],"dtype":"float32"}`, 8, ErrModel},
		{"five dimensions", `{"name":"w","shape":[1,1,1,1,1],"dtype":"float32"}`, 4, ErrUnsupported},
		{"eight bits", `{"name":"w","shape":[4],"dtype":"float32","quantization":{"dtype":"uint8"}}`, 4, ErrUnsupported},
		{"text", `{"name":"w","shape":[4],"dtype":"string"}`, 4, ErrUnsupported},
		{"a name twice", `{"name":"w","shape":[1],"dtype":"int32"},{"name":"w","shape":[1],"dtype":"int32"}`, 8, ErrModel},
	}
	for _, tt := range tests {
		m := &maker{}
		m.node("Relu", "r", nil, m.image(2, 2, 1))
		topology := bytes.Replace(m.topology(), []byte(`"weights":null`), []byte(`"weights":[`+tt.weights+`]`), 1)
		if _, err := Convert(topology, make([]byte, tt.bytes), "r"); !errors.Is(err, tt.want) {
			t.Errorf("%s: %s with %d bytes: got %v, want %v", tt.why, tt.weights, tt.bytes, err, tt.want)
		}
	}
}

func TestConvertRefusesTopology(t *testing.T) {
	for _, s := range []string{
		``, `[]`, `{}`, `{"format":"layers-model"}`,
		`{"format":"graph-model","modelTopology":{"node":[null]}}`,
		`{"format":"graph-model","modelTopology":{"node":[{"op":"Relu"}]}}`,
		`{"format":"graph-model","modelTopology":{"node":[{"name":"a"},{"name":"a"}]}}`,
		`{"format":"graph-model","modelTopology":{"node":[{"name":"a:oihw"}]}}`,
		`{"format":"graph-model","modelTopology":{"node":[{"name":"a","attr":{"i":{"i":"x"}}}]}}`,
	} {
		if _, err := Convert([]byte(s), nil, "a"); !errors.Is(err, ErrModel) {
			t.Errorf("Convert(%q): got %v, want %v", s, err, ErrModel)
		}
	}
	m := &maker{}
	m.node("Relu", "r", nil, m.image(2, 2, 1))
	if _, err := Convert(m.topology(), nil, "r", "r"); !errors.Is(err, ErrModel) {
		t.Errorf("Convert with one output twice: got %v, want %v", err, ErrModel)
	}
	if _, err := Convert([]byte(`{"format":"graph-model"}`), nil); !errors.Is(err, ErrModel) {
		t.Errorf("Convert with no outputs: got %v, want %v", err, ErrModel)
	}
}

func TestHalf(t *testing.T) {
	tests := []struct {
		bits uint16
		want float32
		why  string
	}{
		{0x0000, 0, "zero"},
		{0x3c00, 1, "one"},
		{0xc000, -2, "a negative number"},
		{0x3155, 0.16662598, "a sixth, nearest"},
		{0x7bff, 65504, "the greatest"},
		{0x0400, 1. / 16384, "the least normal number"},
		{0x0001, 1. / (1 << 24), "the least subnormal number"},
		{0x83ff, -1023. / (1 << 24), "the greatest subnormal number, negative"},
		{0x7c00, float32(math.Inf(1)), "infinity"},
		{0xfc00, float32(math.Inf(-1)), "negative infinity"},
	}
	for _, tt := range tests {
		if got := half(tt.bits); got != tt.want {
			t.Errorf("half(%#04x) = %v, want %v: %s", tt.bits, got, tt.want, tt.why)
		}
	}
	if got := half(0x8000); got != 0 || !math.Signbit(float64(got)) {
		t.Errorf("half(0x8000) = %v, want -0", got)
	}
	if got := half(0x7e00); !math.IsNaN(float64(got)) {
		t.Errorf("half(0x7e00) = %v, want NaN", got)
	}
}

func TestLayouts(t *testing.T) {
	w := &tensor{shape: []int{1, 2, 2, 3}, floats: []float32{
		111, 112, 113, 121, 122, 123, // x 1: from channel 1 to 1, 2, 3; from 2
		211, 212, 213, 221, 222, 223,
	}}
	check := func(name string, got []float32, want ...float32) {
		for i := range want {
			if len(got) != len(want) || got[i] != want[i] {
				t.Errorf("%s of %v: got %v, want %v", name, w.floats, got, want)
				return
			}
		}
	}
	check("oihw", w.oihw(), 111, 211, 121, 221, 112, 212, 122, 222, 113, 213, 123, 223)
	check("depthwise", w.depthwise(), 111, 211, 112, 212, 113, 213, 121, 221, 122, 222, 123, 223)
}

func FuzzConvert(f *testing.F) {
	m, outputs := everything()
	f.Add(m.topology(), m.data, outputs[0])
	small := &maker{}
	small.node("Relu6", "r", nil, small.node("Conv2D", "c", convAttrs("SAME", 2), small.image(4, 4, 1),
		small.floats("w", []int{1, 1, 1, 1}, 2)))
	f.Add(small.topology(), small.data, "r")
	f.Add([]byte(`{"format":"graph-model"}`), []byte{}, "")
	f.Fuzz(func(t *testing.T, topology, weights []byte, output string) {
		onnx, err := Convert(topology, weights, output)
		if (err == nil) != (onnx != nil) {
			t.Fatalf("got %d bytes and %v; want one of them", len(onnx), err)
		}
		if err != nil && !errors.Is(err, ErrModel) && !errors.Is(err, ErrUnsupported) {
			t.Fatalf("error %v wraps neither %v nor %v", err, ErrModel, ErrUnsupported)
		}
	})
}

func BenchmarkConvert(b *testing.B) {
	m, outputs := everything()
	topology := m.topology()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Convert(topology, m.data, outputs...); err != nil {
			b.Fatal(err)
		}
	}
}
