package model

import (
	"bytes"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/bungee-xr/bungee/hostfunc/nn"
)

func encodePNG(tb testing.TB, img image.Image) []byte {
	tb.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// filled returns an image of one colour.
func filled(w, h int, c color.Color) *image.NRGBA {
	img := image.NewNRGBA(image.Rect(0, 0, w, h))
	for i := range w * h {
		img.Set(i%w, i/w, c)
	}
	return img
}

// TestPrepare looks at single numbers of input tensors.
func TestPrepare(t *testing.T) {
	orange := color.NRGBA{200, 100, 50, 255}
	at := func(m *Model, c, x, y int) int { return (c*m.InputH+y)*m.InputW + x }
	tests := []struct {
		name, why string
		m         Model
		img       image.Image
		x, y      int
		want      [3]float32
	}{
		{"blue first", "decoded images are BGR", Model{InputW: 8, InputH: 8}, filled(8, 8, orange), 3, 3, [3]float32{50, 100, 200}},
		{"red first", "SwapRB", Model{InputW: 8, InputH: 8, SwapRB: true}, filled(8, 8, orange), 3, 3, [3]float32{200, 100, 50}},
		{"scaled", "mean, then scale", Model{InputW: 8, InputH: 8, SwapRB: true, Mean: [3]float64{100, 50, 0}, Scale: .5}, filled(8, 8, orange), 3, 3, [3]float32{50, 25, 25}},
		{"padding", "above a wide image", Model{InputW: 8, InputH: 8, Pad: 114}, filled(8, 4, orange), 3, 1, [3]float32{114, 114, 114}},
		{"below padding", "the image begins", Model{InputW: 8, InputH: 8, Pad: 114}, filled(8, 4, orange), 3, 2, [3]float32{50, 100, 200}},
		{"top left", "no padding above", Model{InputW: 8, InputH: 8, Align: TopLeft}, filled(8, 4, orange), 3, 0, [3]float32{50, 100, 200}},
		{"padding, scaled", "it is a colour as others", Model{InputW: 8, InputH: 8, Pad: 100, Scale: .5}, filled(8, 4, orange), 0, 0, [3]float32{50, 50, 50}},
		{"alpha", "it is left out", Model{InputW: 8, InputH: 8}, filled(8, 8, color.NRGBA{200, 100, 50, 3}), 3, 3, [3]float32{50, 100, 200}},
		{"enlarged", "one pixel everywhere", Model{InputW: 8, InputH: 8}, filled(1, 1, orange), 7, 7, [3]float32{50, 100, 200}},
		{"halved", "the mean of four pixels", Model{InputW: 1, InputH: 1}, &image.Gray{Pix: []uint8{0, 40, 80, 120}, Stride: 2, Rect: image.Rect(0, 0, 2, 2)}, 0, 0, [3]float32{60, 60, 60}},
		{"16 bits", "the high ones", Model{InputW: 2, InputH: 2}, filled16(2, 2, 0x3456), 1, 1, [3]float32{0x34, 0x34, 0x34}},
	}
	for _, tt := range tests {
		input := make([]float32, 3*tt.m.InputW*tt.m.InputH)
		for i := range input {
			input[i] = float32(math.NaN()) // every number must be written
		}
		fit, timings, err := Prepare(&tt.m, encodePNG(t, tt.img), input)
		if err != nil {
			t.Fatal(err)
		}
		if got := [3]float32{input[at(&tt.m, 0, tt.x, tt.y)], input[at(&tt.m, 1, tt.x, tt.y)], input[at(&tt.m, 2, tt.x, tt.y)]}; got != tt.want {
			t.Errorf("%s: at (%d, %d) there is %v; want %v (%s)", tt.name, tt.x, tt.y, got, tt.want, tt.why)
		}
		for i, v := range input {
			if v != v {
				t.Fatalf("%s: number %d was not written", tt.name, i)
			}
		}
		if fit.ImageW != tt.img.Bounds().Dx() || timings.Decode <= 0 || timings.Letterbox <= 0 {
			t.Errorf("%s: fit %+v, timings %+v; want the image's size and times", tt.name, fit, timings)
		}
	}
}

func filled16(w, h int, v uint16) image.Image {
	img := image.NewGray16(image.Rect(0, 0, w, h))
	for i := range w * h {
		img.SetGray16(i%w, i/w, color.Gray16{v})
	}
	return img
}

// TestChroma compares lines of all ways to halve chroma with colours that change
// slowly: interpolated, they are where they should be.
func TestChroma(t *testing.T) {
	const w, h = 33, 21
	for _, ratio := range []image.YCbCrSubsampleRatio{image.YCbCrSubsampleRatio444, image.YCbCrSubsampleRatio422,
		image.YCbCrSubsampleRatio440, image.YCbCrSubsampleRatio420, image.YCbCrSubsampleRatio411, image.YCbCrSubsampleRatio410} {
		img := image.NewYCbCr(image.Rect(0, 0, w, h), ratio)
		across, down := 2, 1
		switch ratio {
		case image.YCbCrSubsampleRatio444, image.YCbCrSubsampleRatio440:
			across = 1
		case image.YCbCrSubsampleRatio411, image.YCbCrSubsampleRatio410:
			across = 4
		}
		switch ratio {
		case image.YCbCrSubsampleRatio440, image.YCbCrSubsampleRatio420, image.YCbCrSubsampleRatio410:
			down = 2
		}
		for i := range img.Y {
			img.Y[i] = 128
		}
		// Chroma is 2*x + 3*y, at the centre of the pixels that share it.
		level := func(x, y float64) float64 { return 40 + 2*x + 3*y }
		for i := range img.Cb {
			x, y := i%img.CStride, i/img.CStride
			v := level((float64(x)+.5)*float64(across)-.5, (float64(y)+.5)*float64(down)-.5)
			img.Cb[i], img.Cr[i] = uint8(math.Round(v)), 128
		}
		j := &ycbcr{img: img, cb: make([]uint8, w+1), cr: make([]uint8, w+1)}
		worst := 0.
		for y := 1; y < h-1; y++ {
			j.chroma(j.cb, img.Cb, y)
			for x := 1; x < w-1; x++ {
				worst = max(worst, math.Abs(float64(j.cb[x])-level(float64(x), float64(y))))
			}
		}
		most := 2. // rounding, twice
		if across == 4 {
			most = 5 // a box of four pixels
		}
		if worst > most {
			t.Errorf("%v: chroma is off by %.1f levels; want at most %.0f", ratio, worst, most)
		}
	}
}

func TestBound(t *testing.T) {
	bomb := encodePNG(t, filled(8, 8, color.White))
	copy(bomb[16:], []byte{0, 1, 0, 0, 0, 1, 0, 0}) // 65536x65536
	var scans bytes.Buffer
	if err := jpeg.Encode(&scans, image.NewGray(image.Rect(0, 0, 4096, 4096)), nil); err != nil {
		t.Fatal(err)
	}
	good := scans.Len()
	scans.Write(bytes.Repeat([]byte{0xff, 0xda}, 99))
	tests := []struct {
		name, why string
		img       []byte
		ok        bool
	}{
		{"good", "a large gray image", scans.Bytes()[:good], true},
		{"empty", "no bytes", nil, false},
		{"text", "no image", []byte("hello"), false},
		{"gif", "a format that is not promised", []byte("GIF89a\x01\x00\x01\x00\x00\x00\x00;"), false},
		{"huge", "a bomb: its header is 33 bytes", bomb, false},
		{"many scans", "each passes over all pixels", scans.Bytes(), false},
		{"too long", "over MaxImage", make([]byte, nn.MaxImage+1), false},
	}
	for _, tt := range tests {
		err := Bound(tt.img)
		if (err == nil) != tt.ok || err != nil && !errors.Is(err, nn.ErrBadImage) {
			t.Errorf("%s: Bound = %v; want ok %t, else ErrBadImage (%s)", tt.name, err, tt.ok, tt.why)
		}
	}
}

// FuzzPrepare looks for bytes that end the process or are half done.
func FuzzPrepare(f *testing.F) {
	var jpg bytes.Buffer
	if err := jpeg.Encode(&jpg, filled(9, 5, color.NRGBA{200, 100, 50, 255}), nil); err != nil {
		f.Fatal(err)
	}
	f.Add(jpg.Bytes(), uint8(32), uint8(32))
	f.Add(jpg.Bytes()[:jpg.Len()/2], uint8(1), uint8(200))
	f.Add(encodePNG(f, filled(7, 3, color.White)), uint8(3), uint8(3))
	f.Add([]byte("\x89PNG\r\n\x1a\n"), uint8(1), uint8(1))
	f.Fuzz(func(t *testing.T, b []byte, w, h uint8) {
		if c, _, err := image.DecodeConfig(bytes.NewReader(b)); err == nil && c.Width*c.Height > 1<<20 {
			return // right, but slow
		}
		m := Model{InputW: int(w) + 1, InputH: int(h) + 1}
		input := make([]float32, 3*m.InputW*m.InputH)
		fit, _, err := Prepare(&m, b, input)
		if err != nil {
			if !errors.Is(err, nn.ErrBadImage) {
				t.Errorf("Prepare(%x) = %v; want ErrBadImage", b, err)
			}
			return
		}
		for _, v := range input {
			if v < 0 || v > 255 {
				t.Errorf("Prepare(%x) gave %v, fit %+v; want levels of 0 to 255", b, v, fit)
			}
		}
	})
}

// BenchmarkPrepare has a video frame become the input of a detector.
func BenchmarkPrepare(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	img := image.NewYCbCr(image.Rect(0, 0, 640, 480), image.YCbCrSubsampleRatio420)
	for i := range img.Y {
		img.Y[i] = uint8(i/640/2 + r.IntN(16))
	}
	var jpg bytes.Buffer
	if err := jpeg.Encode(&jpg, img, nil); err != nil {
		b.Fatal(err)
	}
	m := Model{InputW: 416, InputH: 416, Pad: 114}
	input := make([]float32, 3*416*416)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := Prepare(&m, jpg.Bytes(), input); err != nil {
			b.Fatal(err)
		}
	}
}
