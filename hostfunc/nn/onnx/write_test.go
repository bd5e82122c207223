//go:build cgo

package onnx

import (
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/bungee-xr/bungee/hostfunc/nn/model"
)

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

// Types of tensors, as onnx.proto numbers them.
const (
	floats = 1
	int64s = 7
)

// value describes an input or output. A dimension of 0 is free.
func value(name string, kind int64, shape ...int) proto {
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

// constant is a float tensor that is part of the network.
func constant(name string, shape []int, data ...float32) proto {
	var p proto
	for _, d := range shape {
		p = p.num(1, int64(d))
	}
	var raw []byte
	for _, v := range data {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
	}
	return p.num(2, floats).text(8, name).bytes(9, raw)
}

// node is an operation with one output.
func node(op, out string, in ...string) proto {
	var p proto
	for _, i := range in {
		p = p.text(1, i)
	}
	return p.text(2, out).text(4, op)
}

// A file collects the parts of a network.
type netFile struct{ nodes, consts, in, out []proto }

func (f netFile) encode() []byte {
	graph := proto{}.text(2, "test")
	for field, list := range map[int][]proto{1: f.nodes, 5: f.consts, 11: f.in, 12: f.out} {
		for _, p := range list {
			graph = graph.bytes(field, p)
		}
	}
	return proto{}.num(1, 8).bytes(7, graph).bytes(8, proto{}.text(1, "").num(2, 13))
}

// classifier gives softmax(x * w), three classes of four numbers. With n 0 the
// number of rows is free.
func classifier(n int) []byte {
	return netFile{
		nodes:  []proto{node("MatMul", "m", "x", "w"), node("Softmax", "y", "m")},
		consts: []proto{constant("w", []int{4, 3}, 1, 0, 0, 0, 1, 0, 0, 0, 1, .5, .25, 0)},
		in:     []proto{value("x", floats, n, 4)},
		out:    []proto{value("y", floats, n, 3)},
	}.encode()
}

// means gives the mean of each channel of images of 8x8 pixels, and the images.
func means() []byte {
	return netFile{
		nodes: []proto{node("GlobalAveragePool", "y", "x"), node("Identity", "same", "x")},
		in:    []proto{value("x", floats, 0, 3, 8, 8)},
		out:   []proto{value("y", floats, 0, 3, 1, 1), value("same", floats, 0, 3, 8, 8)},
	}.encode()
}

// save makes a model of an ONNX file's bytes. side is its image's, 0 for none.
func save(tb testing.TB, name string, onnx []byte, side int) model.Model {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), name+".onnx")
	if err := os.WriteFile(path, onnx, 0o600); err != nil {
		tb.Fatal(err)
	}
	return model.Model{Name: name, Files: []model.File{{Path: path}}, InputW: side, InputH: side}
}
