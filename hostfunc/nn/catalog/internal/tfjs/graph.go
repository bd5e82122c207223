package tfjs

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Errors of [Convert].
var (
	// ErrUnsupported is wrapped where the model is sound and uses something
	// that Convert does not know; the error names the operation and the node.
	ErrUnsupported = errors.New("not supported")
	// ErrModel is wrapped where the model contradicts itself or a bound.
	ErrModel = errors.New("not a usable graph model")
)

// Bounds on a model. All are well above any detector a UE could run.
const (
	maxJSON    = 32 << 20  // bytes of the topology
	maxBytes   = 256 << 20 // bytes of the weights
	maxNodes   = 1 << 14
	maxInputs  = 1 << 6 // of a node
	maxRank    = 4
	maxSide    = 1 << 13 // of an image or a kernel
	maxChannel = 1 << 16
)

// A graphModel is the part of model.json that is used.
type graphModel struct {
	Format   string `json:"format"`
	Topology struct {
		Node []*node `json:"node"`
	} `json:"modelTopology"`
	Manifest []struct {
		Weights []weightSpec `json:"weights"`
	} `json:"weightsManifest"`
}

// A node is a NodeDef in protobuf's JSON.
type node struct {
	Name  string          `json:"name"`
	Op    string          `json:"op"`
	Input []string        `json:"input"`
	Attr  map[string]attr `json:"attr"`
}

// An attr is an AttrValue. Bytes are base64, which is what JSON does.
type attr struct {
	S     []byte   `json:"s"`
	I     number   `json:"i"`
	B     bool     `json:"b"`
	Shape shapeDef `json:"shape"`
	List  struct {
		S [][]byte `json:"s"`
		I []number `json:"i"`
	} `json:"list"`
}

type shapeDef struct {
	Dim []struct {
		Size number `json:"size"`
	} `json:"dim"`
}

// A number is an int64, which protobuf's JSON writes as a string and some
// converters as a number.
type number int64

// UnmarshalJSON accepts 3 and "3".
func (n *number) UnmarshalJSON(b []byte) error {
	s := string(b)
	if len(s) > 1 && s[0] == '"' {
		s = s[1 : len(s)-1]
	}
	v, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return fmt.Errorf("%.40q is no whole number", b)
	}
	*n = number(v)
	return nil
}

// parse reads the topology and indexes its nodes by name.
func parse(topology []byte) (*graphModel, map[string]*node, error) {
	if len(topology) > maxJSON {
		return nil, nil, fmt.Errorf("%w: the topology has %d bytes, more than %d", ErrModel, len(topology), maxJSON)
	}
	var m graphModel
	if err := json.Unmarshal(topology, &m); err != nil {
		return nil, nil, fmt.Errorf("%w: the topology is not the JSON expected: %w", ErrModel, err)
	}
	if m.Format != "graph-model" {
		return nil, nil, fmt.Errorf("%w: its format is %.40q, want \"graph-model\"", ErrModel, m.Format)
	}
	if len(m.Topology.Node) > maxNodes {
		return nil, nil, fmt.Errorf("%w: it has %d nodes, more than %d", ErrModel, len(m.Topology.Node), maxNodes)
	}
	byName := make(map[string]*node, len(m.Topology.Node))
	for i, n := range m.Topology.Node {
		if n == nil || n.Name == "" || byName[n.Name] != nil || strings.Contains(n.Name, ":") || len(n.Input) > maxInputs {
			return nil, nil, fmt.Errorf("%w: node %d has no name, one that is taken or has a colon, or over %d inputs", ErrModel, i, maxInputs)
		}
		byName[n.Name] = n
	}
	return &m, byName, nil
}

// unsupported returns an error about the node, which names its operation.
func (n *node) unsupported(format string, args ...any) error {
	return fmt.Errorf("operation %.60q of node %.200q: %s: %w", n.Op, n.Name, fmt.Sprintf(format, args...), ErrUnsupported)
}

// bad returns an error about the node where the model contradicts itself.
func (n *node) bad(format string, args ...any) error {
	return fmt.Errorf("%w: operation %.60q of node %.200q: %s", ErrModel, n.Op, n.Name, fmt.Sprintf(format, args...))
}

// pair returns an attribute of the form [1, y, x, 1], as strides are; absent
// means 1, 1.
func (n *node) pair(name string) (y, x int, err error) {
	l := n.Attr[name].List.I
	if len(l) == 0 {
		return 1, 1, nil
	}
	if len(l) != 4 || l[0] != 1 || l[3] != 1 || !within(l[1], maxSide) || !within(l[2], maxSide) {
		return 0, 0, n.bad("%s is %v; want 1, y, x, 1", name, l)
	}
	return int(l[1]), int(l[2]), nil
}

// same reports whether the padding is SAME; the other one is VALID.
func (n *node) same() (bool, error) {
	switch p := string(n.Attr["padding"].S); p {
	case "SAME":
		return true, nil
	case "VALID":
		return false, nil
	default:
		return false, n.unsupported("padding %.20q", p)
	}
}

// nhwc returns an error if the node computes on another layout.
func (n *node) nhwc() error {
	if f := string(n.Attr["data_format"].S); f != "" && f != "NHWC" {
		return n.unsupported("data format %.20q", f)
	}
	return nil
}

// shape returns the NCHW shape of a placeholder for one image. A batch of
// unknown size is 1.
func (n *node) shape() ([]int, error) {
	d := n.Attr["shape"].Shape.Dim
	if len(d) != 4 || !slices.Contains([]number{-1, 1}, d[0].Size) ||
		!within(d[1].Size, maxSide) || !within(d[2].Size, maxSide) || !within(d[3].Size, maxChannel) {
		return nil, n.unsupported("shape %v; want one image of a fixed size", d)
	}
	return []int{1, int(d[3].Size), int(d[1].Size), int(d[2].Size)}, nil
}

func within(v number, limit int) bool { return v >= 1 && v <= number(limit) }
