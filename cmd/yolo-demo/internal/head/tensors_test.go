package head

import (
	"math"

	"github.com/bungee-xr/bungee/hostfunc/nn"
)

// The functions here write boxes into tensors the way each network does, by
// inverting its own formulas, so that a test can tell what Decode must find.

// inInput returns a box of the image as centre and size in input pixels.
func inInput(b Box, f nn.Fit) (cx, cy, w, h float32) {
	return (b.X+b.W/2)*f.Scale + f.PadX, (b.Y+b.H/2)*f.Scale + f.PadY, b.W * f.Scale, b.H * f.Scale
}

// makeDarknet puts boxes into two outputs by turns.
func makeDarknet(f nn.Fit, classes int, boxes []Box) []nn.Tensor {
	row := 5 + classes
	out := []nn.Tensor{
		{Shape: []int{30, row}, Data: make([]float32, 30*row)},
		{Shape: []int{20, row}, Data: make([]float32, 20*row)},
	}
	for i, b := range boxes {
		d := out[i%2].Data[i*row:]
		cx, cy, w, h := inInput(b, f)
		copy(d, []float32{cx / float32(f.InputW), cy / float32(f.InputH), w / float32(f.InputW), h / float32(f.InputH), 0.95})
		d[5+b.Class] = b.Score
	}
	return out
}

// makeYOLOX puts each box into the cell of stride 16 that has its centre.
func makeYOLOX(f nn.Fit, classes int, boxes []Box) []nn.Tensor {
	n, row := cells(f.InputW, f.InputH), 5+classes
	t := nn.Tensor{Shape: []int{1, n, row}, Data: make([]float32, n*row)}
	first := (f.InputW / 8) * (f.InputH / 8)
	for _, b := range boxes {
		cx, cy, w, h := inInput(b, f)
		x, y := int(cx/16), int(cy/16)
		copy(t.Data[(first+y*(f.InputW/16)+x)*row:], []float32{
			cx/16 - float32(x), cy/16 - float32(y),
			float32(math.Log(float64(w / 16))), float32(math.Log(float64(h / 16))), 0.96})
		t.Data[(first+y*(f.InputW/16)+x)*row+5+b.Class] = b.Score / 0.96
	}
	return []nn.Tensor{t}
}

// makeYOLOv8 gives each box an anchor of its own.
func makeYOLOv8(f nn.Fit, classes int, boxes []Box) []nn.Tensor {
	n := cells(f.InputW, f.InputH)
	t := nn.Tensor{Shape: []int{1, 4 + classes, n}, Data: make([]float32, n*(4+classes))}
	for i, b := range boxes {
		at := 17 * (i + 1)
		cx, cy, w, h := inInput(b, f)
		for c, v := range []float32{cx, cy, w, h} {
			t.Data[c*n+at] = v
		}
		t.Data[(4+b.Class)*n+at] = b.Score
	}
	return []nn.Tensor{t}
}

// makeCenterNet puts each box into the cell that has its centre, on a slope
// that falls off to all sides.
func makeCenterNet(f nn.Fit, classes int, boxes []Box) []nn.Tensor {
	w, h := f.InputW/4, f.InputH/4
	heat := nn.Tensor{Shape: []int{1, classes, h, w}, Data: make([]float32, classes*h*w)}
	edge := nn.Tensor{Shape: []int{1, 4, h, w}, Data: make([]float32, 4*h*w)}
	for _, b := range boxes {
		cx, cy, bw, bh := inInput(b, f)
		x, y := int(cx/4), int(cy/4)
		plane := heat.Data[b.Class*h*w:]
		for dy := -1; dy <= 1; dy++ {
			for dx := -1; dx <= 1; dx++ {
				plane[(y+dy)*w+x+dx] = b.Score * float32(1-0.1*math.Abs(float64(dx))-0.1*math.Abs(float64(dy)))
			}
		}
		left, top := float32(4*x)-(cx-bw/2), float32(4*y)-(cy-bh/2)
		for c, v := range []float32{left, top, bw - left, bh - top} {
			edge.Data[c*h*w+y*w+x] = v
		}
	}
	return []nn.Tensor{heat, edge}
}

// makeYOLOv6 is makeYOLOX with boxes in pixels.
func makeYOLOv6(f nn.Fit, classes int, boxes []Box) []nn.Tensor {
	return makeRows(f, cells(f.InputW, f.InputH), classes, boxes)
}

// makeYOLOv5 gives each box an anchor of its own, and adds the maps that older exports have besides.
func makeYOLOv5(f nn.Fit, classes int, boxes []Box) []nn.Tensor {
	w, h := f.InputW/8, f.InputH/8
	raw := nn.Tensor{Shape: []int{1, 3, h, w, 5 + classes}, Data: make([]float32, 3*h*w*(5+classes))}
	return append(makeRows(f, 3*cells(f.InputW, f.InputH), classes, boxes), raw)
}

func makeRows(f nn.Fit, n, classes int, boxes []Box) []nn.Tensor {
	row := 5 + classes
	t := nn.Tensor{Shape: []int{1, n, row}, Data: make([]float32, n*row)}
	for i, b := range boxes {
		d := t.Data[13*(i+1)*row:]
		cx, cy, w, h := inInput(b, f)
		copy(d, []float32{cx, cy, w, h, 0.96})
		d[5+b.Class] = b.Score / 0.96
	}
	return []nn.Tensor{t}
}

// makePose adds 17 keypoints of three numbers.
func makePose(f nn.Fit, classes int, boxes []Box) []nn.Tensor {
	return widen(makeYOLOv8(f, classes, boxes), 51, 300)
}

// makeSegment adds the weights of 32 masks, which have any sign, and the masks.
func makeSegment(f nn.Fit, classes int, boxes []Box) []nn.Tensor {
	w, h := f.InputW/4, f.InputH/4
	masks := nn.Tensor{Shape: []int{1, 32, h, w}, Data: make([]float32, 32*h*w)}
	return append(widen(makeYOLOv8(f, classes, boxes), 32, -1.5), masks)
}

// makeOBB turns each box by a right angle.
func makeOBB(f nn.Fit, classes int, boxes []Box) []nn.Tensor {
	out := widen(makeYOLOv8(f, classes, boxes), 1, math.Pi/2)
	n := out[0].Shape[2]
	w, h := out[0].Data[2*n:3*n], out[0].Data[3*n:4*n]
	for i := range w {
		w[i], h[i] = h[i], w[i]
	}
	return out
}

// widen adds numbers to each anchor of YOLOv8.
func widen(out []nn.Tensor, columns int, value float32) []nn.Tensor {
	t := &out[0]
	for range columns * t.Shape[2] {
		t.Data = append(t.Data, value)
	}
	t.Shape[1] += columns
	return out
}

func makeEndToEnd(f nn.Fit, _ int, boxes []Box) []nn.Tensor {
	t := nn.Tensor{Shape: []int{1, 300, 6}, Data: make([]float32, 300*6)}
	for i, b := range boxes {
		copy(t.Data[6*i:], append(corners(b, f), b.Score, float32(b.Class)))
	}
	return []nn.Tensor{t}
}

func makeEndToEnd7(f nn.Fit, _ int, boxes []Box) []nn.Tensor {
	t := nn.Tensor{Shape: []int{len(boxes), 7}}
	for _, b := range boxes {
		t.Data = append(t.Data, append(append([]float32{0}, corners(b, f)...), float32(b.Class), b.Score)...)
	}
	return []nn.Tensor{t}
}

func corners(b Box, f nn.Fit) []float32 {
	cx, cy, w, h := inInput(b, f)
	return []float32{cx - w/2, cy - h/2, cx + w/2, cy + h/2}
}
