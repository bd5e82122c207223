package tfjs

import "strings"

// A window is how a kernel goes over an image.
type window struct {
	kh, kw, sy, sx, dy, dx int
	same                   bool
}

func (n *node) window(kernel []int) (w window, err error) {
	w.kh, w.kw = kernel[0], kernel[1]
	if err = n.nhwc(); err != nil {
		return w, err
	}
	if w.sy, w.sx, err = n.pair("strides"); err != nil {
		return w, err
	}
	if w.dy, w.dx, err = n.pair("dilations"); err != nil {
		return w, err
	}
	w.same, err = n.same()
	return w, err
}

// over returns the size of the result for an image of h by w, less than 1
// where the kernel does not fit.
func (w window) over(h, wd int) (int, int) {
	if !w.same {
		h, wd = h-(w.kh-1)*w.dy, wd-(w.kw-1)*w.dx
	}
	return ceilDiv(h, w.sy), ceilDiv(wd, w.sx)
}

func ceilDiv(a, b int) int { return (a + b - 1) / b }

// attrs describes the window over an image of h by wd in ONNX's words. ONNX
// Runtime takes no dilation together with auto_pad; OpenCV is slower where
// explicit pads differ on two sides. So only dilated windows have them.
func (w window) attrs(groups, h, wd int) []message {
	attrs := []message{
		intsAttr("dilations", w.dy, w.dx),
		intAttr("group", groups),
		intsAttr("kernel_shape", w.kh, w.kw),
		intsAttr("strides", w.sy, w.sx),
	}
	switch {
	case !w.same:
		return append(attrs, stringAttr("auto_pad", "VALID"))
	case w.dy == 1 && w.dx == 1:
		return append(attrs, stringAttr("auto_pad", "SAME_UPPER")) // where TensorFlow puts the odd one too
	}
	y, x := padding(h, w.kh, w.sy, w.dy), padding(wd, w.kw, w.sx, w.dx)
	return append(attrs, intsAttr("pads", y/2, x/2, y-y/2, x-x/2))
}

// padding returns how many zeros SAME adds to a side of length n.
func padding(n, kernel, stride, dilation int) int {
	return max((ceilDiv(n, stride)-1)*stride+(kernel-1)*dilation+1-n, 0)
}

// conv writes a convolution of any kind and what is fused with it.
func (c *converter) conv(n *node) ([]int, error) {
	fused := n.fused()
	want := 2
	if len(fused) > 0 && fused[0] == "BiasAdd" {
		fused, want = fused[1:], 3
	}
	if len(fused) > 1 || len(fused) == 1 && fused[0] != "Relu" && fused[0] != "Relu6" {
		return nil, n.unsupported("fused with %.100q", n.fused())
	}
	in, err := n.inputs(want, want)
	if err != nil {
		return nil, err
	}
	s, err := c.value(in[0])
	if err != nil {
		return nil, err
	}
	out := n.Name
	if len(fused) == 1 {
		out += ":linear"
	}
	s, err = c.kernel(n, in, s, out)
	if err == nil && len(fused) == 1 {
		c.activate(fused[0], out, n.Name)
	}
	return s, err
}

// fused returns the operations fused into the node.
func (n *node) fused() []string {
	var ops []string
	for _, s := range n.Attr["fused_ops"].List.S {
		ops = append(ops, string(s))
	}
	return ops
}

// kernel writes the convolution itself, with weights in[1] and bias in[2] if
// there is one, over a value of shape s, and returns the result's shape.
func (c *converter) kernel(n *node, in []string, s []int, out string) ([]int, error) {
	k := c.consts[in[1]]
	switch {
	case k == nil || k.floats == nil || len(k.shape) != 4:
		return nil, n.unsupported("weights that are not a constant of rank 4")
	case len(s) != 4 || k.shape[2] != s[1]:
		return nil, n.bad("weights of shape %v for an input of shape %v (NCHW)", k.shape, s)
	}
	w, err := n.window(k.shape)
	if err != nil {
		return nil, err
	}
	h, wd := w.over(s[2], s[3])
	channels, groups := k.shape[3], 1
	layout, data, shape := ":oihw", k.oihw, []int{channels, k.shape[2], w.kh, w.kw}
	if strings.Contains(n.Op, "Depthwise") {
		groups = k.shape[2]
		channels *= groups
		layout, data, shape = ":depthwise", k.depthwise, []int{channels, 1, w.kh, w.kw}
	}
	if h < 1 || wd < 1 || channels > maxChannel {
		return nil, n.bad("a result of %d channels of %dx%d", channels, wd, h)
	}
	args := []string{in[0], in[1] + layout}
	c.constant(args[1], shape, data)
	if len(in) == 3 {
		b := c.consts[in[2]]
		if b == nil || len(b.shape) != 1 || len(b.floats) != channels {
			return nil, n.bad("no constant bias of %d numbers", channels)
		}
		args = append(args, in[2]+":bias")
		c.constant(args[2], b.shape, func() []float32 { return b.floats })
	}
	c.out.node("Conv", args, out, w.attrs(groups, s[2], s[3])...)
	return []int{1, channels, h, wd}, nil
}
