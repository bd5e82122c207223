package tfjs

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"testing"
)

// A maker builds a graph model as the TensorFlow.js converter writes it.
type maker struct {
	nodes   []map[string]any
	weights []map[string]any
	data    []byte
}

type attrs map[string]any

func (m *maker) node(op, name string, a attrs, inputs ...string) string {
	m.nodes = append(m.nodes, map[string]any{"op": op, "name": name, "input": inputs, "attr": a})
	return name
}

// image adds the input.
func (m *maker) image(h, w, c int) string {
	var dims []any
	for _, d := range []int{-1, h, w, c} {
		dims = append(dims, map[string]any{"size": d})
	}
	return m.node("Placeholder", "image", attrs{"shape": map[string]any{"shape": map[string]any{"dim": dims}}})
}

// floats adds a constant.
func (m *maker) floats(name string, shape []int, data ...float32) string {
	for _, v := range data {
		m.data = binary.LittleEndian.AppendUint32(m.data, math.Float32bits(v))
	}
	m.weights = append(m.weights, map[string]any{"name": name, "shape": shape, "dtype": "float32"})
	return m.node("Const", name, nil)
}

// halves adds a constant as the bits of half precision numbers.
func (m *maker) halves(name string, shape []int, data ...uint16) string {
	for _, v := range data {
		m.data = binary.LittleEndian.AppendUint16(m.data, v)
	}
	m.weights = append(m.weights, map[string]any{"name": name, "shape": shape, "dtype": "float32",
		"quantization": map[string]any{"dtype": "float16", "original_dtype": "float32"}})
	return m.node("Const", name, nil)
}

func (m *maker) ints(name string, shape []int, data ...int32) string {
	for _, v := range data {
		m.data = binary.LittleEndian.AppendUint32(m.data, uint32(v))
	}
	m.weights = append(m.weights, map[string]any{"name": name, "shape": shape, "dtype": "int32"})
	return m.node("Const", name, nil)
}

func (m *maker) topology() []byte {
	b, err := json.Marshal(map[string]any{
		"format":          "graph-model",
		"modelTopology":   map[string]any{"node": m.nodes},
		"weightsManifest": []any{map[string]any{"paths": []string{"model.bin"}, "weights": m.weights}},
	})
	if err != nil {
		panic(err) // made of strings, numbers, slices and maps
	}
	return b
}

func list(v ...int) map[string]any { return map[string]any{"list": map[string]any{"i": v}} }

// convAttrs describes a convolution; fused are the operations fused with it.
func convAttrs(padding string, stride int, fused ...string) attrs {
	var ops [][]byte
	for _, s := range fused {
		ops = append(ops, []byte(s))
	}
	return attrs{
		"data_format": map[string]any{"s": []byte("NHWC")},
		"padding":     map[string]any{"s": []byte(padding)},
		"strides":     list(1, stride, stride, 1),
		"dilations":   map[string]any{"list": map[string]any{"i": []string{"1", "1", "1", "1"}}},
		"fused_ops":   map[string]any{"list": map[string]any{"s": ops}},
	}
}

// windowAttrs describes a convolution with the window w.
func windowAttrs(padding string, w window) attrs {
	a := convAttrs(padding, 1)
	a["strides"], a["dilations"] = list(1, w.sy, w.sx, 1), list(1, w.dy, w.dx, 1)
	return a
}

func flag(name string, v bool) attrs { return attrs{name: map[string]any{"b": v}} }

// ramp returns n numbers between -1 and 1 without much of a pattern.
func ramp(n int) []float32 {
	out := make([]float32, n)
	for i := range out {
		out[i] = float32((i*7919+13)%257)/128.5 - 1
	}
	return out
}

// everything returns a model that uses all that Convert knows: 3 channels in,
// two outputs.
func everything() (m *maker, outputs []string) {
	m = &maker{}
	x := m.image(9, 12, 3)
	x = m.node("_FusedConv2D", "stem", convAttrs("SAME", 2, "BiasAdd", "Relu"), x,
		m.floats("stem/w", []int{3, 3, 3, 4}, ramp(108)...), m.floats("stem/b", []int{4}, 0.5, -0.5, 0.25, 1))
	d := m.node("FusedDepthwiseConv2dNative", "wise", convAttrs("SAME", 1, "BiasAdd", "Relu6"), x,
		m.floats("wise/w", []int{3, 3, 4, 2}, ramp(72)...), m.floats("wise/b", []int{8}, ramp(8)...))
	p := m.node("Conv2D", "point", convAttrs("VALID", 1), d, m.floats("point/w", []int{1, 1, 8, 4}, ramp(32)...))
	q := m.node("DepthwiseConv2dNative", "plain", convAttrs("SAME", 1), p, m.floats("plain/w", []int{3, 3, 4, 1}, ramp(36)...))
	s := m.node("AddV2", "skip", nil, q, x)
	mean := m.node("Mean", "squeeze", flag("keep_dims", true), s, m.ints("axes", []int{2}, 1, 2))
	gate := m.node("Sigmoid", "gate", nil, mean)
	e := m.node("Mul", "excite", nil, gate, s) // the smaller first
	h := m.node("Relu6", "six", nil, m.node("Add", "three", nil, e, m.halves("c3", nil, 0x4200)))
	h = m.node("Mul", "swish", nil, m.floats("sixth", nil, 1./6), h)
	r := m.node("ResizeBilinear", "up", attrs{"align_corners": map[string]any{"b": false}}, h, m.ints("size", []int{2}, 10, 12))
	u := m.node("ResizeBilinear", "up2", nil, e, "size")
	cat := m.node("ConcatV2", "cat", nil, r, u, m.ints("axis", nil, 3))
	cat = m.node("Relu", "relu", nil, m.node("Sub", "sub", nil, cat, m.floats("per", []int{8}, ramp(8)...)))
	return m, []string{m.node("Identity", "wide", nil, cat), m.node("Identity", "small", nil, h)}
}

func convert(t *testing.T, m *maker, outputs ...string) []byte {
	t.Helper()
	onnx, err := Convert(m.topology(), m.data, outputs...)
	if err != nil {
		t.Fatal(err)
	}
	return onnx
}
