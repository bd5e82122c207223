package tfjs

import (
	"fmt"
	"slices"
	"strings"
)

// Convert returns an ONNX model that computes the named nodes of a graph model.
//
// topology is the model.json and weights the bytes of its shards, joined in
// their order. Image tensors, inputs and outputs included, are NCHW; names are
// kept. Errors wrap [ErrUnsupported] or [ErrModel].
func Convert(topology, weights []byte, outputs ...string) ([]byte, error) {
	m, nodes, err := parse(topology)
	if err != nil {
		return nil, err
	}
	consts, err := readWeights(m, weights)
	if err != nil {
		return nil, err
	}
	if len(outputs) == 0 {
		return nil, fmt.Errorf("%w: no output was asked for", ErrModel)
	}
	c := &converter{nodes: nodes, consts: consts, shapes: map[string][]int{}, written: map[string]bool{}}
	for i, name := range outputs {
		if slices.Contains(outputs[:i], name) {
			return nil, fmt.Errorf("%w: output %.200q was asked for twice", ErrModel, name)
		}
		s, err := c.value(name)
		if err != nil {
			return nil, err
		}
		if n := c.nodes[name]; n.Op == "Placeholder" {
			return nil, n.unsupported("an input that is an output too")
		}
		c.out.outputs = append(c.out.outputs, valueInfo(name, s))
	}
	return c.out.encode(), nil
}

// A converter walks from the outputs to the inputs and writes each node once
// all it needs is written.
type converter struct {
	nodes   map[string]*node
	consts  map[string]*tensor
	shapes  map[string][]int // NCHW, of values written; nil while one is being written
	written map[string]bool  // constants
	out     model
}

// value makes sure that the node's result is in the model and returns its shape.
func (c *converter) value(name string) ([]int, error) {
	if s, seen := c.shapes[name]; seen {
		if s == nil {
			return nil, fmt.Errorf("%w: node %.200q needs its own result", ErrModel, name)
		}
		return s, nil
	}
	n := c.nodes[name]
	if n == nil {
		return nil, fmt.Errorf("%w: there is no node %.200q", ErrModel, name)
	}
	c.shapes[name] = nil
	s, err := c.convert(n)
	if err != nil {
		return nil, err
	}
	c.shapes[name] = s
	return s, nil
}

// convert writes a node and returns the shape of its result.
func (c *converter) convert(n *node) ([]int, error) {
	switch n.Op {
	case "Placeholder":
		return c.placeholder(n)
	case "Identity", "Relu", "Relu6", "Sigmoid":
		return c.unary(n)
	case "Add", "AddV2", "Sub", "Mul":
		return c.binary(n)
	case "Conv2D", "_FusedConv2D", "DepthwiseConv2dNative", "FusedDepthwiseConv2dNative":
		return c.conv(n)
	case "Mean":
		return c.mean(n)
	case "ConcatV2":
		return c.concat(n)
	case "ResizeBilinear":
		return c.resize(n)
	}
	return nil, n.unsupported("an operation that is not known")
}

func (c *converter) placeholder(n *node) ([]int, error) {
	s, err := n.shape()
	if err != nil {
		return nil, err
	}
	c.out.inputs = append(c.out.inputs, valueInfo(n.Name, s))
	return s, nil
}

// constant writes a constant unless it is there. Names that Convert makes have
// a colon, which no node's name has.
func (c *converter) constant(name string, shape []int, data func() []float32) {
	if !c.written[name] {
		c.written[name] = true
		c.out.floats(name, shape, data())
	}
}

// inputs returns the node's inputs, of which there must be low to high. Control
// inputs order side effects, of which there are none.
func (n *node) inputs(low, high int) ([]string, error) {
	in := make([]string, 0, len(n.Input))
	for _, s := range n.Input {
		if !strings.HasPrefix(s, "^") {
			in = append(in, strings.TrimSuffix(s, ":0"))
		}
	}
	if len(in) < low || len(in) > high {
		return nil, n.bad("it has %d inputs, want %d to %d", len(in), low, high)
	}
	return in, nil
}

func (c *converter) unary(n *node) ([]int, error) {
	in, err := n.inputs(1, 1)
	if err != nil {
		return nil, err
	}
	s, err := c.value(in[0])
	if err != nil {
		return nil, err
	}
	c.activate(n.Op, in[0], n.Name)
	return s, nil
}

// activate writes an operation of one input.
func (c *converter) activate(op, in, out string) {
	if op != "Relu6" {
		c.out.node(op, []string{in}, out)
		return
	}
	const six = ":6"
	c.constant(six, []int{1}, func() []float32 { return []float32{6} })
	c.out.node("Relu", []string{in}, out+":low")
	c.out.node("Sub", []string{in, six}, out+":past")
	c.out.node("Relu", []string{out + ":past"}, out+":above")
	c.out.node("Sub", []string{out + ":low", out + ":above"}, out)
}

func (c *converter) binary(n *node) ([]int, error) {
	in, err := n.inputs(2, 2)
	if err != nil {
		return nil, err
	}
	a, err := c.operand(n, in[0])
	if err != nil {
		return nil, err
	}
	b, err := c.operand(n, in[1])
	if err != nil {
		return nil, err
	}
	s, ok := broadcast(a, b)
	if !ok || len(s) != 4 {
		return nil, n.unsupported("shapes %v and %v", a, b)
	}
	op := strings.TrimSuffix(n.Op, "V2")
	if op == "Sub" && c.consts[in[0]] == nil && size(a) < size(b) {
		return nil, n.unsupported("shape %v less shape %v", a, b) // by OpenCV
	}
	if op != "Sub" && (c.consts[in[0]] != nil || size(a) < size(b)) {
		in[0], in[1] = in[1], in[0] // OpenCV wants the greater first
	}
	c.out.node(op, in, n.Name)
	return s, nil
}

// operand returns the shape of an input that may be a constant: one number, or
// one a channel.
func (c *converter) operand(n *node, name string) ([]int, error) {
	t := c.consts[name]
	if t == nil {
		return c.value(name)
	}
	s := []int{1}
	switch {
	case t.floats == nil || len(t.shape) > 1:
		return nil, n.unsupported("constant %.200q of shape %v", name, t.shape)
	case len(t.shape) == 1 && t.shape[0] > 1:
		s = []int{1, t.shape[0], 1, 1}
	}
	c.constant(name, s, func() []float32 { return t.floats })
	return s, nil
}

// broadcast returns the shape of a and b combined: they are equal, or one of
// them is one number, or one a channel. OpenCV spreads no other shape.
func broadcast(a, b []int) ([]int, bool) {
	if size(a) < size(b) {
		a, b = b, a
	}
	ok := len(b) == 1 || slices.Equal(a, b) || len(a) == 4 && slices.Equal(b, []int{1, a[1], 1, 1})
	return a, ok
}

func size(s []int) int {
	n := 1
	for _, d := range s {
		n *= d
	}
	return n
}

// mean of height and width is what remains of a feature map in a squeeze.
func (c *converter) mean(n *node) ([]int, error) {
	in, err := n.inputs(2, 2)
	if err != nil {
		return nil, err
	}
	axes := c.consts[in[1]]
	if axes == nil || !slices.Equal(axes.ints, []int32{1, 2}) || !n.Attr["keep_dims"].B {
		return nil, n.unsupported("other than over height and width, dimensions kept")
	}
	s, err := c.value(in[0])
	if err != nil {
		return nil, err
	}
	c.out.node("GlobalAveragePool", in[:1], n.Name)
	return []int{1, s[1], 1, 1}, nil
}

func (c *converter) concat(n *node) ([]int, error) {
	in, err := n.inputs(2, maxInputs)
	if err != nil {
		return nil, err
	}
	in, last := in[:len(in)-1], in[len(in)-1]
	if axis := c.consts[last]; axis == nil || !slices.Contains([]string{"[3]", "[-1]"}, fmt.Sprint(axis.ints)) {
		return nil, n.unsupported("along another axis than the channels")
	}
	var res []int
	for _, name := range in {
		s, err := c.value(name)
		switch {
		case err != nil:
			return nil, err
		case res == nil:
			res = slices.Clone(s)
		case s[2] != res[2] || s[3] != res[3] || res[1]+s[1] > maxChannel:
			return nil, n.bad("an input of shape %v after %v", s, res)
		default:
			res[1] += s[1]
		}
	}
	c.out.node("Concat", in, n.Name, intAttr("axis", 1))
	return res, nil
}

func (c *converter) resize(n *node) ([]int, error) {
	in, err := n.inputs(2, 2)
	if err != nil {
		return nil, err
	}
	t := c.consts[in[1]]
	switch {
	case n.Attr["align_corners"].B || n.Attr["half_pixel_centers"].B:
		return nil, n.unsupported("aligned corners or half pixel centres")
	case t == nil || len(t.ints) != 2 || !within(number(t.ints[0]), maxSide) || !within(number(t.ints[1]), maxSide):
		return nil, n.unsupported("a size that is not two constants of 1 to %d", maxSide)
	}
	s, err := c.value(in[0])
	if err != nil {
		return nil, err
	}
	res := []int{1, s[1], int(t.ints[0]), int(t.ints[1])}
	sizes := n.Name + ":sizes" // beside it, no region of interest and no scales
	c.out.int64s(sizes, res...)
	c.out.node("Resize", []string{in[0], "", "", sizes}, n.Name,
		stringAttr("mode", "linear"), stringAttr("coordinate_transformation_mode", "asymmetric"))
	return res, nil
}
