package tfjs

import (
	"encoding/binary"
	"math"
)

// Numbers of onnx.proto, in its words.
const (
	irVersion = 7  // of ONNX 1.8
	opset     = 13 // the first whose Resize needs no region of interest

	elemFloat = 1
	elemInt64 = 7

	attrInt    = 2
	attrString = 3
	attrInts   = 7
)

// A message is a protobuf message in its encoding. Empty fields are left out.
type message []byte

func (m *message) key(field, wire int) {
	*m = binary.AppendUvarint(*m, uint64(field)<<3|uint64(wire))
}

func (m *message) int(field int, v int64) {
	m.key(field, 0)
	*m = binary.AppendUvarint(*m, uint64(v))
}

func (m *message) bytes(field int, v []byte) {
	m.key(field, 2)
	*m = binary.AppendUvarint(*m, uint64(len(v)))
	*m = append(*m, v...)
}

func (m *message) string(field int, v string) { m.bytes(field, []byte(v)) }

// A model collects the parts of an ONNX graph in the order they are added.
type model struct {
	nodes, inits, inputs, outputs []message
}

// node adds an operation.
func (g *model) node(op string, in []string, out string, attrs ...message) {
	var m message
	for _, s := range in {
		m.string(1, s)
	}
	m.string(2, out)
	m.string(3, out)
	m.string(4, op)
	for _, a := range attrs {
		m.bytes(5, a)
	}
	g.nodes = append(g.nodes, m)
}

// floats adds a constant tensor.
func (g *model) floats(name string, shape []int, data []float32) {
	raw := make([]byte, 0, 4*len(data))
	for _, v := range data {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
	}
	g.constant(name, elemFloat, shape, raw)
}

// int64s adds a constant vector.
func (g *model) int64s(name string, data ...int) {
	raw := make([]byte, 0, 8*len(data))
	for _, v := range data {
		raw = binary.LittleEndian.AppendUint64(raw, uint64(v))
	}
	g.constant(name, elemInt64, []int{len(data)}, raw)
}

func (g *model) constant(name string, elem int64, shape []int, raw []byte) {
	var m message
	for _, d := range shape {
		m.int(1, int64(d))
	}
	m.int(2, elem)
	m.string(8, name)
	m.bytes(9, raw)
	g.inits = append(g.inits, m)
}

// encode returns the ModelProto.
func (g *model) encode() []byte {
	var graph, set, m message
	for _, n := range g.nodes {
		graph.bytes(1, n)
	}
	graph.string(2, "tfjs")
	for _, t := range g.inits {
		graph.bytes(5, t)
	}
	for _, v := range g.inputs {
		graph.bytes(11, v)
	}
	for _, v := range g.outputs {
		graph.bytes(12, v)
	}
	set.string(1, "")
	set.int(2, opset)
	m.int(1, irVersion)
	m.string(2, "bungee")
	m.bytes(7, graph)
	m.bytes(8, set)
	return m
}

// valueInfo describes a float tensor that enters or leaves the graph.
func valueInfo(name string, shape []int) message {
	var dims, tensor, typ, m message
	for _, d := range shape {
		var dim message
		dim.int(1, int64(d))
		dims.bytes(1, dim)
	}
	tensor.int(1, elemFloat)
	tensor.bytes(2, dims)
	typ.bytes(1, tensor)
	m.string(1, name)
	m.bytes(2, typ)
	return m
}

func attribute(name string, kind int64) message {
	var m message
	m.string(1, name)
	m.int(20, kind)
	return m
}

func intAttr(name string, v int) message {
	m := attribute(name, attrInt)
	m.int(3, int64(v))
	return m
}

func stringAttr(name, v string) message {
	m := attribute(name, attrString)
	m.string(4, v)
	return m
}

func intsAttr(name string, v ...int) message {
	m := attribute(name, attrInts)
	for _, x := range v {
		m.int(8, int64(x))
	}
	return m
}
