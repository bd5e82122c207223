package head

import "github.com/bungee-xr/bungee/hostfunc/nn"

// A Shape is what a network tells of an object beyond its upright box, in pixels of the image and not clipped to it.
type Shape struct {
	// Corners are those of a turned box, in their order around it; else there are none.
	Corners []Point
	// Keypoints are a pose's, in the network's order.
	Keypoints []Keypoint
	// Mask is where in its box the object is.
	Mask Mask
}

// A Point is a place in the image.
type Point struct{ X, Y float32 }

// A Keypoint is a part of a body.
type Keypoint struct {
	X, Y float32
	// Score is the confidence that it can be seen, 0 to 1; 1 where the network does not tell.
	Score float32
}

// A Mask is a grid of cells over a part of the image. The zero Mask has none.
type Mask struct {
	// X, Y is the top left corner of the grid; W, H its size.
	X, Y, W, H float32
	// Cols and Rows are how many cells it has.
	Cols, Rows int
	// Bits has a bit for each cell that is the object's, row by row, the lowest of a byte first.
	Bits []byte
}

// At says whether a place in the image is the object's.
func (m *Mask) At(x, y float32) bool {
	if !(x >= m.X && y >= m.Y && x < m.X+m.W && y < m.Y+m.H) {
		return false
	}
	col, row := int((x-m.X)/m.W*float32(m.Cols)), int((y-m.Y)/m.H*float32(m.Rows))
	if col < 0 || row < 0 || col >= m.Cols || row >= m.Rows {
		return false
	}
	i := row*m.Cols + col // which overflows where a host says what it likes
	return i >= 0 && i/8 < len(m.Bits) && m.Bits[i/8]>>(i%8)&1 == 1
}

// Scaled returns the shape in an image that is so many times as wide and high. It may be nil, and is not changed.
func (s *Shape) Scaled(dx, dy float32) *Shape {
	if s == nil {
		return nil
	}
	to := &Shape{Mask: s.Mask}
	for _, p := range s.Corners {
		to.Corners = append(to.Corners, Point{p.X * dx, p.Y * dy})
	}
	for _, k := range s.Keypoints {
		to.Keypoints = append(to.Keypoints, Keypoint{k.X * dx, k.Y * dy, k.Score})
	}
	m := &to.Mask
	m.X, m.Y, m.W, m.H = m.X*dx, m.Y*dy, m.W*dx, m.H*dy
	return to
}

// inImage returns a place of the input in pixels of the image.
func inImage(f *nn.Fit, x, y float32) Point {
	return Point{(x - f.PadX) / f.Scale, (y - f.PadY) / f.Scale}
}

// turned returns the corners of a box that is turned by an angle around its centre.
func turned(f *nn.Fit, cx, cy, w, h, sin, cos float32) *Shape {
	wx, wy, hx, hy := float32(w*cos)/2, float32(w*sin)/2, float32(-h*sin)/2, float32(h*cos)/2
	return &Shape{Corners: []Point{
		inImage(f, cx-wx-hx, cy-wy-hy), inImage(f, cx+wx-hx, cy+wy-hy), inImage(f, cx+wx+hx, cy+wy+hy), inImage(f, cx-wx+hx, cy-wy+hy),
	}}
}

// pose adds boxes with keypoints, of three numbers each, or of two where three do not divide them.
func pose(c *candidates, s source) {
	n, d := s.out[0].Shape[2], s.out[0].Data
	behind := d[(4+s.classes)*n:]
	size := 3
	if columns := len(behind) / n; columns%3 != 0 {
		size = 2
	}
	score, class := c.anchors(s)
	for i, s := range score {
		if !(s >= c.score) || !c.likely(s) {
			continue
		}
		c.shape = &Shape{Keypoints: make([]Keypoint, 0, len(behind)/n/size)}
		for k := behind; len(k) >= size*n; k = k[size*n:] {
			c.shape.Keypoints = append(c.shape.Keypoints, c.keypoint(k, n, i, size))
		}
		c.addCentred(d[i], d[n+i], d[2*n+i], d[3*n+i], s, int(class[i]))
		c.shape = nil
	}
}

// keypoint returns one of anchor i. A place that is no number cannot be seen.
func (c *candidates) keypoint(d []float32, n, i, size int) Keypoint {
	p := inImage(&c.fit, d[i], d[n+i])
	if !finite(p.X) || !finite(p.Y) {
		return Keypoint{}
	}
	k := Keypoint{X: p.X, Y: p.Y, Score: 1}
	if size == 3 {
		if k.Score = d[2*n+i]; !(k.Score > 0) {
			k.Score = 0
		}
		k.Score = min(k.Score, 1)
	}
	return k
}

// segment adds boxes whose masks are made when it is known which are kept.
func segment(c *candidates, s source) {
	n, d := s.out[0].Shape[2], s.out[0].Data
	score, class := c.anchors(s)
	c.anchor = map[*Shape]int{}
	for i, s := range score {
		if s >= c.score && c.likely(s) {
			c.shape = &Shape{}
			c.anchor[c.shape] = i
			c.addCentred(d[i], d[n+i], d[2*n+i], d[3*n+i], s, int(class[i]))
			c.shape = nil
		}
	}
}

// maxMasks is how many boxes have a mask, the best. One of the whole image takes 0.8 million products, and 3 KB to send.
const maxMasks = 50

// addMasks gives the boxes that are kept their masks.
func (c *candidates) addMasks(kept []Box, s source) {
	for i := range kept[:min(len(kept), maxMasks)] {
		b := &kept[i]
		if at, ok := c.anchor[b.Shape]; ok {
			b.Shape.Mask = c.mask(b, s, at)
		}
	}
}

// mask returns the mask of a box: in each cell of the prototypes that it touches their sum, weighted as the anchor says, is
// above zero, where the sigmoid of it is above a half.
func (c *candidates) mask(b *Box, s source, anchor int) Mask {
	n, protos := s.out[0].Shape[2], s.out[1]
	count, h, w := protos.Shape[1], protos.Shape[2], protos.Shape[3]
	weights := s.out[0].Data[(4+s.classes)*n:]
	f := &c.fit
	sx, sy := float32(w)/float32(f.InputW), float32(h)/float32(f.InputH) // cells a pixel of the input
	x0, x1 := touched(float32(b.X*f.Scale)+f.PadX, float32((b.X+b.W)*f.Scale)+f.PadX, sx, w)
	y0, y1 := touched(float32(b.Y*f.Scale)+f.PadY, float32((b.Y+b.H)*f.Scale)+f.PadY, sy, h)
	if x1 <= x0 || y1 <= y0 {
		return Mask{}
	}
	from, to := inImage(f, float32(x0)/sx, float32(y0)/sy), inImage(f, float32(x1)/sx, float32(y1)/sy)
	m := Mask{X: from.X, Y: from.Y, W: to.X - from.X, H: to.Y - from.Y, Cols: x1 - x0, Rows: y1 - y0}
	m.Bits = make([]byte, (m.Cols*m.Rows+7)/8)
	sums := make([]float32, m.Cols)
	for row := range m.Rows {
		clear(sums)
		for k := range count {
			weight := weights[k*n+anchor]
			plane := protos.Data[(k*h+y0+row)*w+x0:]
			for col := range sums {
				sums[col] += float32(weight * plane[col])
			}
		}
		for col, sum := range sums {
			if i := row*m.Cols + col; sum > 0 {
				m.Bits[i/8] |= 1 << (i % 8)
			}
		}
	}
	return m
}

// touched returns the cells that a side from and to touches, of so many.
func touched(from, to, scale float32, cells int) (first, end int) {
	first, end = int(max(from*scale, 0)), int(min(to*scale, float32(cells)))
	if float32(end) < to*scale {
		end++
	}
	return min(first, cells), min(end, cells)
}
