package head

import (
	"strconv"

	"github.com/bungee-xr/bungee/hostfunc/nn"
)

// A source is what is decoded: outputs whose shapes fit, and how many classes they
// have, 0 where that is not known.
type source struct {
	out     []nn.Tensor
	classes int
}

// strides of the three grids that YOLOX and YOLOv8 look at, in input pixels.
var strides = [...]int{8, 16, 32}

// cells is the number of cells of the three grids: 8400 at 640x640.
func cells(w, h int) int {
	n := 0
	for _, s := range strides {
		n += (w / s) * (h / s)
	}
	return n
}

func darknet(c *candidates, s source) {
	w, h := float32(c.fit.InputW), float32(c.fit.InputH)
	for _, t := range s.out {
		row := t.Shape[1]
		for d := t.Data; len(d) >= row; d = d[row:] {
			if !(d[4] >= c.score) { // no class score is above the objectness
				continue
			}
			if class, s := best(d[5:row]); s >= c.score && c.likely(s) {
				c.addCentred(float32(d[0]*w), float32(d[1]*h), d[2]*w, d[3]*h, s, class)
			}
		}
	}
}

func yolox(c *candidates, s source) {
	row, d := s.out[0].Shape[2], s.out[0].Data
	for _, stride := range strides {
		gw, gh := c.fit.InputW/stride, c.fit.InputH/stride
		for y := range gh {
			for x := range gw {
				c.addYOLOX(d[:row], x, y, float32(stride))
				d = d[row:]
			}
		}
	}
}

// addYOLOX adds the box of the cell at column x, row y, if it is one.
func (c *candidates) addYOLOX(d []float32, x, y int, stride float32) {
	class, s, ok := c.objectness(d)
	if !ok {
		return
	}
	cx, cy := float32((d[0]+float32(x))*stride), float32((d[1]+float32(y))*stride)
	c.addCentred(cx, cy, exp(d[2])*stride, exp(d[3])*stride, s, class)
}

// objectness returns the best class of a row with an objectness, and their product,
// if that is likely.
func (c *candidates) objectness(d []float32) (class int, score float32, ok bool) {
	if !(d[4] >= c.score) { // class scores are at most 1
		return 0, 0, false
	}
	class, s := best(d[5:])
	product := float32(s * d[4])
	return class, product, product >= c.score && c.likely(d[4]) && c.likely(s)
}

// objectRows reads rows of a box in pixels, objectness, and class scores.
func objectRows(c *candidates, s source) {
	row := s.out[0].Shape[2]
	for d := s.out[0].Data; len(d) >= row; d = d[row:] {
		if class, score, ok := c.objectness(d[:row]); ok {
			c.addCentred(d[0], d[1], d[2], d[3], score, class)
		}
	}
}

// yolov8 adds the upright boxes of YOLOv8.
func yolov8(c *candidates, s source) {
	n, d := s.out[0].Shape[2], s.out[0].Data
	score, class := c.anchors(s)
	for i, s := range score {
		if s >= c.score && c.likely(s) {
			c.addCentred(d[i], d[n+i], d[2*n+i], d[3*n+i], s, int(class[i]))
		}
	}
}

// obb adds the upright boxes around turned ones, and their corners.
func obb(c *candidates, s source) {
	n, d := s.out[0].Shape[2], s.out[0].Data
	angles := d[(4+s.classes)*n:]
	score, class := c.anchors(s)
	for i, s := range score {
		if !(s >= c.score) || !c.likely(s) {
			continue
		}
		sin, cos := sincos(angles[i])
		w, h := d[2*n+i], d[3*n+i]
		c.shape = turned(&c.fit, d[i], d[n+i], w, h, sin, cos)
		sin, cos = max(sin, -sin), max(cos, -cos)
		c.addCentred(d[i], d[n+i], float32(w*cos)+float32(h*sin), float32(w*sin)+float32(h*cos), s, int(class[i]))
		c.shape = nil
	}
}

// anchors returns the best score of each anchor of YOLOv8, and its class. It goes class
// by class, as the numbers lie in memory.
func (c *candidates) anchors(s source) (score []float32, class []int32) {
	n, d := s.out[0].Shape[2], s.out[0].Data
	score, class = make([]float32, n), make([]int32, n)
	for k := range s.classes {
		plane := d[(4+k)*n : (5+k)*n]
		c.sample(plane)
		for i, s := range plane {
			if s > score[i] {
				score[i], class[i] = s, int32(k)
			}
		}
	}
	return score, class
}

// sample looks at a few scores of a plane, whether one is negative: what is no share
// but a logarithm of one, or an angle, is so about every second time.
func (c *candidates) sample(plane []float32) {
	const every = 17
	for i := 0; i < len(plane); i += every {
		if plane[i] < -slack {
			c.refuse("a score is " + number(plane[i]) + ", not 0 to 1")
			return
		}
	}
}

// endToEnd reads boxes that the network has suppressed itself.
func endToEnd(c *candidates, s source) {
	t := s.out[0]
	row := t.Shape[len(t.Shape)-1]
	box, score, class := 0, 4, 5
	if row == 7 {
		box, score, class = 1, 6, 5
	}
	for d := t.Data; len(d) >= row; d = d[row:] {
		if !(d[score] >= c.score) || !c.likely(d[score]) {
			continue
		}
		k := int(min(max(d[class], -1), 1<<20))
		if float32(k) != d[class] || k < 0 || s.classes > 0 && k >= s.classes {
			c.refuse("a class is " + number(d[class]) + ", and there are " + strconv.Itoa(s.classes) + " labels")
			continue
		}
		b := d[box:]
		c.add(b[0], b[1], b[2], b[3], d[score], k)
	}
}

// centerNet takes each cell that no neighbour of its class exceeds.
func centerNet(c *candidates, s source) {
	heat, edge := s.out[0], s.out[1]
	if edge.Shape[1] != 4 {
		heat, edge = edge, heat
	}
	w, h := heat.Shape[3], heat.Shape[2]
	n := w * h
	l, t, r, b := edge.Data[:n], edge.Data[n:2*n], edge.Data[2*n:3*n], edge.Data[3*n:]
	sx, sy := float32(c.fit.InputW)/float32(w), float32(c.fit.InputH)/float32(h)
	for class := range heat.Shape[1] {
		plane := heat.Data[class*n : (class+1)*n]
		c.sample(plane)
		for i := nextAtLeast(plane, 0, c.score); i < n; i = nextAtLeast(plane, i+1, c.score) {
			if peak(plane, w, i) && c.likely(plane[i]) {
				x, y := float32(float32(i%w)*sx), float32(float32(i/w)*sy)
				c.add(x-l[i], y-t[i], x+r[i], y+b[i], plane[i], class)
			}
		}
	}
}

// nextAtLeast returns the index of the first value from i on that is at least
// score, len(plane) when there is none. A heat map has 1.3 million values and a
// few such, so it passes over eight at a time: in Wasm that is most of the time.
func nextAtLeast(plane []float32, i int, score float32) int {
	for i < len(plane) && !(plane[i] >= score) {
		if i+8 <= len(plane) && allBelow((*[8]float32)(plane[i:]), score) {
			i += 8
		} else {
			i++
		}
	}
	return i
}

func allBelow(p *[8]float32, score float32) bool {
	return p[0] < score && p[1] < score && p[2] < score && p[3] < score &&
		p[4] < score && p[5] < score && p[6] < score && p[7] < score
}

// peak reports whether no neighbour of cell i, of 8, is greater.
func peak(plane []float32, w, i int) bool {
	x, y, h := i%w, i/w, len(plane)/w
	for ny := max(y-1, 0); ny <= min(y+1, h-1); ny++ {
		for _, v := range plane[ny*w+max(x-1, 0) : ny*w+min(x+1, w-1)+1] {
			if v > plane[i] {
				return false
			}
		}
	}
	return true
}

// best returns the greatest score and its class, the first of equals. Scores
// that are no number or not positive are passed over.
func best(scores []float32) (class int, score float32) {
	for i, s := range scores {
		if s > score {
			class, score = i, s
		}
	}
	return class, score
}

func number(x float32) string { return strconv.FormatFloat(float64(x), 'g', 4, 32) }
