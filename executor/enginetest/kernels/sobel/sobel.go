// Package sobel finds the edges of an image, in plain Go: natively and in a Go guest it
// is what the C guest of package kernels is measured against.
package sobel

// Width and Height are those of the images, in pixels.
const (
	Width  = 640
	Height = 480
)

// Edges computes the gray image of rgba, which has 4 bytes a pixel, and from
// it the strength of its edges: |horizontal| + |vertical| Sobel, at most 255, 0 at
// the border. gray and edges have a byte a pixel.
func Edges(edges, gray, rgba []byte) {
	toGray(gray[:Width*Height], rgba[:Width*Height*4])
	clear(edges[:Width])
	clear(edges[(Height-1)*Width : Height*Width])
	for y := 1; y < Height-1; y++ {
		rows := gray[(y-1)*Width : (y+2)*Width]
		sobelRow(edges[y*Width:(y+1)*Width], rows[:Width], rows[Width:2*Width], rows[2*Width:])
	}
}

func toGray(gray, rgba []byte) {
	for i := range gray {
		p := rgba[4*i : 4*i+4 : 4*i+4]
		gray[i] = byte((77*uint32(p[0]) + 150*uint32(p[1]) + 29*uint32(p[2])) >> 8)
	}
}

// sobelRow computes the edges of the row between a and c.
func sobelRow(edges, a, b, c []byte) {
	a, b, c = a[:len(edges)], b[:len(edges)], c[:len(edges)]
	edges[0], edges[len(edges)-1] = 0, 0
	for x := 1; x < len(edges)-1; x++ {
		a0, a1, a2 := int(a[x-1]), int(a[x]), int(a[x+1])
		b0, b2 := int(b[x-1]), int(b[x+1])
		c0, c1, c2 := int(c[x-1]), int(c[x]), int(c[x+1])
		gx := a2 - a0 + 2*(b2-b0) + c2 - c0
		gy := c0 - a0 + 2*(c1-a1) + c2 - a2
		edges[x] = byte(min(255, max(gx, -gx)+max(gy, -gy)))
	}
}
