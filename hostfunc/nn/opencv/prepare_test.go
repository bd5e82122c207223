//go:build cgo && opencv

package opencv

import (
	"bytes"
	"cmp"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/bungee-xr/bungee/hostfunc/nn"
	"github.com/bungee-xr/bungee/hostfunc/nn/model"
)

// rounding is what float32 arithmetic in another order may add, in levels.
const rounding = 1e-4

// noise returns an image of smooth colours and noise.
func noise(w, h int) image.Image {
	r := rand.New(rand.NewPCG(1, uint64(w*h)))
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			n := r.IntN(40)
			img.SetRGBA(x, y, color.RGBA{uint8(x*200/w + n), uint8(y*200/h + n), uint8(100 + n), 255})
		}
	}
	return img
}

// oriented returns a JPEG that says by EXIF how it is turned.
func oriented(jpeg []byte, o byte) []byte {
	segment := "\xff\xe1\x00\x22Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00" + string([]byte{o}) + "\x00\x00\x00\x00\x00\x00"
	return append([]byte("\xff\xd8"+segment), jpeg[2:]...)
}

// TestPreparersAgree compares the preparer of the standard library with OpenCV's,
// in levels of 0 to 255.
func TestPreparersAgree(t *testing.T) {
	encode := func(img image.Image, lossy bool) func(*testing.T) []byte {
		var b bytes.Buffer
		var err error
		if lossy {
			err = jpeg.Encode(&b, img, nil)
		} else {
			err = png.Encode(&b, img)
		}
		if err != nil {
			t.Fatal(err)
		}
		return func(*testing.T) []byte { return b.Bytes() }
	}
	gray := image.NewGray(image.Rect(0, 0, 33, 77))
	for i := range gray.Pix {
		gray.Pix[i] = uint8(i * 7)
	}
	tests := []struct {
		name, why string
		img       func(t *testing.T) []byte
		most      float64 // that a number may differ
		mean      float64 // that all may on average
	}{
		{"png, down", "resizing is the same to the bit", encode(noise(640, 480), false), 0, 0},
		{"png, up", "as is enlarging", encode(noise(61, 47), false), 0, 0},
		{"png, half", "OpenCV takes another way", encode(noise(832, 832), false), 0, 0},
		{"png, line", "one pixel high", encode(noise(300, 1), false), 0, 0},
		{"png, pixel", "no neighbours", encode(noise(1, 1), false), 0, 0},
		{"png, gray", "one channel", encode(gray, false), 0, 0},
		{"jpeg", "decoders round in their own ways", encode(noise(640, 480), true), 4, 0.3},
		{"jpeg, odd", "half a pixel of chroma at the end", encode(noise(415, 333), true), 4, 0.3},
		{"jpeg, gray", "no chroma", encode(gray, true), 4, 0.3},
		{"photograph", "as a camera gives it", func(t *testing.T) []byte { return read(t, file(t, "BUNGEE_MEDIA", "dog.jpg")) }, 4, 0.3},
	}
	for o := range byte(9) {
		turned := func(t *testing.T) []byte { return oriented(encode(noise(640, 480), true)(t), o) }
		tests = append(tests, tests[0])
		last := &tests[len(tests)-1]
		last.name, last.why, last.img, last.most, last.mean = fmt.Sprintf("orientation %d", o), "a phone's camera turns none", turned, 4, 0.3
	}
	models := []Model{
		{Name: "as it is", InputW: 416, InputH: 416, Pad: 114, Align: model.TopLeft},
		{Name: "scaled", InputW: 320, InputH: 256, Pad: 114, SwapRB: true, Scale: 1 / 255., Mean: [3]float64{120, 110, 100}},
	}
	for _, tt := range tests {
		for _, m := range models {
			t.Run(tt.name+", "+m.Name, func(t *testing.T) {
				most, mean := difference(t, &m, tt.img(t))
				t.Logf("numbers differ by at most %.4g levels, %.4g on average", most, mean)
				if most > tt.most+rounding || mean > tt.mean+rounding {
					t.Errorf("numbers differ by %.4g levels, %.4g on average; want at most %g and %g (%s)",
						most, mean, tt.most, tt.mean, tt.why)
				}
			})
		}
	}
}

// difference compares what both preparers make of an image.
func difference(t *testing.T, m *Model, img []byte) (most, mean float64) {
	ours, theirs := make([]float32, 3*m.InputW*m.InputH), make([]float32, 3*m.InputW*m.InputH)
	fit, _, err := model.Prepare(m, img, ours)
	if err != nil {
		t.Fatal(err)
	}
	want, _, err := Prepare(m, img, theirs)
	if err != nil || fit != want {
		t.Fatalf("fits %+v and %+v, %v; want equal ones", fit, want, err)
	}
	levels := 1 / cmp.Or(m.Scale, 1)
	for i, v := range ours {
		d := math.Abs(float64(v-theirs[i])) * levels
		most, mean = max(most, d), mean+d/float64(len(ours))
	}
	return most, mean
}

// BenchmarkPrepare compares the two on a photograph, in turn.
func BenchmarkPrepare(b *testing.B) {
	img := read(b, file(b, "BUNGEE_MEDIA", "dog.jpg"))
	m := Model{InputW: 416, InputH: 416, Pad: 114}
	input := make([]float32, 3*416*416)
	prepare := func(p model.Preparer, sum *nn.Timings) {
		_, t, err := p(&m, img, input)
		if err != nil {
			b.Fatal(err)
		}
		sum.Decode += t.Decode
		sum.Letterbox += t.Letterbox
	}
	var ours, theirs nn.Timings
	for b.Loop() {
		prepare(model.Prepare, &ours)
		prepare(Prepare, &theirs)
	}
	b.ReportMetric(ours.Decode.Seconds()/theirs.Decode.Seconds(), "times-decode")
	b.ReportMetric(ours.Letterbox.Seconds()/theirs.Letterbox.Seconds(), "times-letterbox")
	b.ReportMetric((ours.Decode+ours.Letterbox).Seconds()/(theirs.Decode+theirs.Letterbox).Seconds(), "times")
}
