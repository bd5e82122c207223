package model

import (
	"image"
	"math"

	"github.com/bungee-xr/bungee/hostfunc/nn"
)

// letterbox fills input with img: scaled to fit with its aspect kept, the rest
// padded.
func (m *Model) letterbox(img image.Image, input []float32) nn.Fit {
	at := img.Bounds()
	fit, w, h := m.Fit(at.Dx(), at.Dy())
	levels := m.levels()
	plane := m.InputW * m.InputH
	for c := range levels {
		fill(input[c*plane:][:plane], levels[c][m.Pad])
	}
	left, top := int(fit.PadX), int(fit.PadY)
	s := newScaler(img, w, h)
	line := make([]uint8, 3*w)
	for y := range h {
		s.line(line, y)
		for c := range 3 {
			from := c
			if !m.SwapRB {
				from = 2 - c // the network wants blue first
			}
			dst := input[c*plane+(top+y)*m.InputW+left:][:w]
			for x := range dst {
				dst[x] = levels[c][line[3*x+from]]
			}
		}
	}
	return fit
}

// levels returns, for each channel, what the network sees of the 256 levels.
func (m *Model) levels() (t [3][256]float32) {
	scale := m.Scale
	if scale == 0 {
		scale = 1
	}
	for c := range t {
		for v := range t[c] {
			t[c][v] = (float32(v) - float32(m.Mean[c])) * float32(scale)
		}
	}
	return t
}

func fill(dst []float32, v float32) {
	for i := range dst {
		dst[i] = v
	}
}

// A tap is where a pixel of the scaled image comes from: the source's pixels at
// and next, by weights that sum up to 1<<weightBits.
type tap struct{ at, next, a, b int32 }

const weightBits = 11

// taps returns the taps of one dimension. Pixels are squares: their centres are
// mapped, and what is beyond the first and the last centre takes their colour.
func taps(from, to int) []tap {
	t := make([]tap, to)
	scale := 1 / (float64(to) / float64(from))
	for i := range t {
		f := float32((float64(i)+0.5)*scale - 0.5)
		at := int32(math.Floor(float64(f)))
		f -= float32(at)
		t[i] = tap{
			at: max(at, 0), next: min(at+1, int32(from)-1),
			a: int32(math.RoundToEven(float64((1 - f) * (1 << weightBits)))),
			b: int32(math.RoundToEven(float64(f * (1 << weightBits)))),
		}
	}
	return t
}

// A scaler makes the lines of a scaled image, from top to bottom. It interpolates
// each line of the source along x once, and between two of them along y.
type scaler struct {
	rgb  func(dst []uint8, y int) // writes line y of the source
	x, y []tap
	src  []uint8
	wide [2]wideLine
}

// A wideLine is a line of the source scaled along x, with weightBits more bits.
type wideLine struct {
	y    int
	data []int32
}

func newScaler(img image.Image, w, h int) *scaler {
	at := img.Bounds()
	s := &scaler{rgb: lines(img), x: taps(at.Dx(), w), y: taps(at.Dy(), h), src: make([]uint8, 3*at.Dx())}
	for i := range s.wide {
		s.wide[i] = wideLine{y: -1, data: make([]int32, 3*w)}
	}
	return s
}

// line writes line y of the scaled image. It rounds as OpenCV does, which keeps 7
// bits of what the interpolation along x gave.
func (s *scaler) line(dst []uint8, y int) {
	t := s.y[y]
	up := s.scaled(t.at)
	down := s.scaled(t.next)
	for i := range dst {
		dst[i] = uint8((t.a*(up[i]>>4)>>16 + t.b*(down[i]>>4)>>16 + 2) >> 2)
	}
}

// scaled returns line y of the source, scaled along x. Two lines are kept: those of
// even and of odd numbers never push each other out.
func (s *scaler) scaled(y int32) []int32 {
	l := &s.wide[y&1]
	if l.y == int(y) {
		return l.data
	}
	l.y = int(y)
	s.rgb(s.src, l.y)
	for i, t := range s.x {
		p, q := s.src[3*t.at:][:3], s.src[3*t.next:][:3]
		d := l.data[3*i:][:3]
		for c := range d {
			d[c] = int32(p[c])*t.a + int32(q[c])*t.b
		}
	}
	return l.data
}
