//go:build !wasip1

package nntest

import (
	"encoding/binary"
	"math"

	"github.com/bungee-xr/bungee/hostfunc/nn"
)

// An ONNX is an ONNX file under construction, for tests that need a network of a certain
// shape. Its methods add parts in any order; [ONNX.Encode] gives the bytes. Nothing is
// checked.
type ONNX struct{ nodes, constants, inputs, outputs, metadata []proto }

// Types of tensors, as ONNX numbers them.
const (
	Float32 = 1
	Int64   = 7
	Float16 = 10
)

// Input adds an input. A dimension of 0 is free; none at all is a scalar.
func (f *ONNX) Input(name string, kind int64, shape ...int) {
	f.inputs = append(f.inputs, value(name, kind, shape))
}

// Output adds an output, like Input.
func (f *ONNX) Output(name string, kind int64, shape ...int) {
	f.outputs = append(f.outputs, value(name, kind, shape))
}

// Constant adds a tensor of float32.
func (f *ONNX) Constant(name string, shape []int, data ...float32) {
	var raw []byte
	for _, v := range data {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
	}
	f.constant(name, Float32, shape, raw)
}

// Integers adds a tensor of int64 of one dimension.
func (f *ONNX) Integers(name string, data ...int) {
	var raw []byte
	for _, v := range data {
		raw = binary.LittleEndian.AppendUint64(raw, uint64(v))
	}
	f.constant(name, Int64, []int{len(data)}, raw)
}

func (f *ONNX) constant(name string, kind int64, shape []int, raw []byte) {
	var p proto
	for _, d := range shape {
		p = p.num(1, int64(d))
	}
	f.constants = append(f.constants, p.num(2, kind).text(8, name).bytes(9, raw))
}

// Node adds an operation with one output.
func (f *ONNX) Node(op, out string, in ...string) { f.node(op, out, nil, in) }

// Cast adds a conversion of in to a type.
func (f *ONNX) Cast(out string, to int64, in string) {
	f.node("Cast", out, proto{}.text(1, "to").num(3, to).num(20, 2), []string{in})
}

func (f *ONNX) node(op, out string, attribute proto, in []string) {
	var p proto
	for _, i := range in {
		p = p.text(1, i)
	}
	p = p.text(2, out).text(3, out).text(4, op)
	if attribute != nil {
		p = p.bytes(5, attribute)
	}
	f.nodes = append(f.nodes, p)
}

// Note adds an entry of the metadata, where exporters say what the network is.
func (f *ONNX) Note(key, text string) {
	f.metadata = append(f.metadata, proto{}.text(1, key).text(2, text))
}

// Encode returns the file.
func (f *ONNX) Encode() []byte {
	graph := proto{}
	for field, list := range [...][]proto{1: f.nodes, 5: f.constants, 11: f.inputs, 12: f.outputs} {
		for _, p := range list {
			graph = graph.bytes(field, p)
		}
	}
	file := proto{}.num(1, 8).bytes(7, graph.text(2, "test")).bytes(8, proto{}.text(1, "").num(2, 13))
	for _, p := range f.metadata {
		file = file.bytes(14, p)
	}
	return file
}

// Detector returns a network that takes an image tensor "images" of h x w pixels, 0 for
// sizes that are left open, and gives out, whatever it sees.
func Detector(kind int64, h, w int, out ...nn.Tensor) *ONNX {
	f := &ONNX{}
	f.Input("images", kind, 1, 3, h, w)
	image := "images"
	if kind != Float32 {
		f.Cast("float", Float32, image)
		image = "float"
	}
	f.Node("GlobalAveragePool", "seen", image)
	for i, t := range out {
		name := "output" + string(rune('0'+i))
		f.Output(name, Float32, t.Shape...)
		f.Constant("w"+name, []int{len(t.Data), 3, 1, 1}, make([]float32, 3*len(t.Data))...)
		f.Constant("b"+name, []int{len(t.Data)}, t.Data...)
		kernel := proto{}.text(1, "kernel_shape").num(8, 1).num(8, 1).num(20, 7)
		f.node("Conv", "c"+name, kernel, []string{"seen", "w" + name, "b" + name})
		f.Integers("s"+name, t.Shape...)
		f.Node("Reshape", name, "c"+name, "s"+name)
	}
	return f
}

// value describes an input or output.
func value(name string, kind int64, shape []int) proto {
	var dims proto
	for _, d := range shape {
		if d == 0 {
			dims = dims.bytes(1, proto{}.text(2, "N"))
			continue
		}
		dims = dims.bytes(1, proto{}.num(1, int64(d)))
	}
	tensor := proto{}.num(1, kind).bytes(2, dims)
	return proto{}.text(1, name).bytes(2, proto{}.bytes(1, tensor))
}

// proto is a protobuf message, for the few messages of onnx.proto that a small
// network needs.
type proto []byte

func (p proto) num(field int, v int64) proto {
	p = binary.AppendUvarint(p, uint64(field)<<3)
	return binary.AppendUvarint(p, uint64(v))
}

func (p proto) bytes(field int, v []byte) proto {
	p = binary.AppendUvarint(p, uint64(field)<<3|2)
	p = binary.AppendUvarint(p, uint64(len(v)))
	return append(p, v...)
}

func (p proto) text(field int, v string) proto { return p.bytes(field, []byte(v)) }
