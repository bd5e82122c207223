package head

import "github.com/bungee-xr/bungee/hostfunc/nn"

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

func darknetFits(out []nn.Tensor, _ nn.Fit) bool {
	for _, t := range out {
		if len(t.Shape) != 2 || t.Shape[1] < 6 || t.Shape[1] != out[0].Shape[1] {
			return false
		}
	}
	return len(out) > 0
}

func darknet(c *candidates, out []nn.Tensor) {
	w, h := float32(c.fit.InputW), float32(c.fit.InputH)
	for _, t := range out {
		row := t.Shape[1]
		for d := t.Data; len(d) >= row; d = d[row:] {
			if !(d[4] >= c.score) { // no class score is above the objectness
				continue
			}
			if class, s := best(d[5:row]); s >= c.score {
				c.addCentred(float32(d[0]*w), float32(d[1]*h), d[2]*w, d[3]*h, s, class)
			}
		}
	}
}

func yoloxFits(out []nn.Tensor, fit nn.Fit) bool {
	if len(out) != 1 || len(out[0].Shape) != 3 {
		return false
	}
	s := out[0].Shape
	return s[0] == 1 && s[1] == cells(fit.InputW, fit.InputH) && s[2] >= 6
}

func yolox(c *candidates, out []nn.Tensor) {
	row, d := out[0].Shape[2], out[0].Data
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
	if !(d[4] >= c.score) { // class scores are at most 1
		return
	}
	class, s := best(d[5:])
	if s *= d[4]; !(s >= c.score) {
		return
	}
	cx, cy := float32((d[0]+float32(x))*stride), float32((d[1]+float32(y))*stride)
	c.addCentred(cx, cy, exp(d[2])*stride, exp(d[3])*stride, s, class)
}

func yolov8Fits(out []nn.Tensor, fit nn.Fit) bool {
	if len(out) != 1 || len(out[0].Shape) != 3 {
		return false
	}
	s := out[0].Shape
	return s[0] == 1 && s[1] >= 5 && s[2] == cells(fit.InputW, fit.InputH)
}

// yolov8 goes class by class, as the numbers lie in memory.
func yolov8(c *candidates, out []nn.Tensor) {
	n, d := out[0].Shape[2], out[0].Data
	score, class := make([]float32, n), make([]int32, n)
	for k := range out[0].Shape[1] - 4 {
		for i, s := range d[(4+k)*n : (5+k)*n] {
			if s > score[i] {
				score[i], class[i] = s, int32(k)
			}
		}
	}
	for i, s := range score {
		if s >= c.score {
			c.addCentred(d[i], d[n+i], d[2*n+i], d[3*n+i], s, int(class[i]))
		}
	}
}

func centerNetFits(out []nn.Tensor, _ nn.Fit) bool {
	if len(out) != 2 || len(out[0].Shape) != 4 || len(out[1].Shape) != 4 {
		return false
	}
	a, b := out[0].Shape, out[1].Shape
	return a[0] == 1 && b[0] == 1 && a[2] == b[2] && a[3] == b[3] &&
		a[1] > 0 && b[1] > 0 && (a[1] == 4 || b[1] == 4) && a[2] > 0 && a[3] > 0
}

// centerNet takes each cell that no neighbour of its class exceeds.
func centerNet(c *candidates, out []nn.Tensor) {
	heat, edge := out[0], out[1]
	if edge.Shape[1] != 4 {
		heat, edge = edge, heat
	}
	w, h := heat.Shape[3], heat.Shape[2]
	n := w * h
	l, t, r, b := edge.Data[:n], edge.Data[n:2*n], edge.Data[2*n:3*n], edge.Data[3*n:]
	sx, sy := float32(c.fit.InputW)/float32(w), float32(c.fit.InputH)/float32(h)
	for class := range heat.Shape[1] {
		plane := heat.Data[class*n : (class+1)*n]
		for i := nextAtLeast(plane, 0, c.score); i < n; i = nextAtLeast(plane, i+1, c.score) {
			if peak(plane, w, i) {
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
