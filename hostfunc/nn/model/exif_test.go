package model

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"testing"
)

// tiff returns EXIF data that say an orientation.
func tiff(order binary.AppendByteOrder, mark string, o uint16) []byte {
	b := order.AppendUint16([]byte(mark), 42)
	b = order.AppendUint32(b, 8)
	b = order.AppendUint16(b, 2)
	for _, tag := range []uint16{0x0100, 0x0112} {
		b = order.AppendUint16(b, tag)
		b = order.AppendUint16(b, 3)
		b = order.AppendUint32(b, 1)
		b = order.AppendUint16(b, o)
		b = order.AppendUint16(b, 0)
	}
	return order.AppendUint32(b, 0)
}

// pngWith returns img as PNG that says an orientation.
func pngWith(t *testing.T, img image.Image, o uint16) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	data := append([]byte("eXIf"), tiff(binary.BigEndian, "MM", o)...)
	chunk := binary.BigEndian.AppendUint32(nil, uint32(len(data)-4))
	chunk = binary.BigEndian.AppendUint32(append(chunk, data...), crc32.ChecksumIEEE(data))
	const header = 8 + 25 // the signature and IHDR
	whole := b.Bytes()
	return append(append(bytes.Clone(whole[:header]), chunk...), whole[header:]...)
}

// The letters of a file, line by line, and what is seen when it is turned upright.
func TestOrientations(t *testing.T) {
	const file = "ab" + "cd" + "ef" // two wide, three high
	want := [...]struct {
		letters string
		w       int
	}{
		1: {"abcdef", 2}, 2: {"badcfe", 2}, 3: {"fedcba", 2}, 4: {"efcdab", 2},
		5: {"acebdf", 3}, 6: {"ecafdb", 3}, 7: {"fdbeca", 3}, 8: {"bdface", 3},
	}
	img := image.NewGray(image.Rect(0, 0, 2, 3))
	copy(img.Pix, file)
	for o := uint16(0); o < 12; o++ {
		w := want[1] // no such orientation: as it is
		if int(o) < len(want) && o > 0 {
			w = want[o]
		}
		m := Model{InputW: w.w, InputH: 6 / w.w}
		input := make([]float32, 18)
		fit, _, err := Prepare(&m, pngWith(t, img, o), input)
		if err != nil {
			t.Fatal(err)
		}
		var got []byte
		for _, v := range input[:6] {
			got = append(got, byte(v))
		}
		if string(got) != w.letters || fit.ImageW != w.w || fit.ImageH != 6/w.w {
			t.Errorf("orientation %d: %q in an image of %dx%d; want %q, %d wide", o, got, fit.ImageW, fit.ImageH, w.letters, w.w)
		}
	}
}

// jpegWith returns a JPEG with a segment in front of its pixels.
func jpegWith(t *testing.T, marker byte, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	img := image.NewRGBA(image.Rect(0, 0, 16, 8))
	img.Set(3, 3, color.White)
	if err := jpeg.Encode(&b, img, nil); err != nil {
		t.Fatal(err)
	}
	segment := binary.BigEndian.AppendUint16([]byte{0xff, marker}, uint16(2+len(data)))
	return append(append([]byte{0xff, 0xd8}, append(segment, data...)...), b.Bytes()[2:]...)
}

func TestOrientationOf(t *testing.T) {
	exif := func(b []byte) []byte { return append([]byte("Exif\x00\x00"), b...) }
	six := tiff(binary.LittleEndian, "II", 6)
	far := bytes.Clone(six)
	far[7] = 0xff // the directory lies beyond the end
	for why, tt := range map[string]struct {
		b    []byte
		want Orientation
	}{
		"little-endian":                {jpegWith(t, 0xe1, exif(six)), 6},
		"big-endian":                   {jpegWith(t, 0xe1, exif(tiff(binary.BigEndian, "MM", 8))), 8},
		"no such orientation":          {jpegWith(t, 0xe1, exif(tiff(binary.BigEndian, "MM", 9))), 1},
		"another application's":        {jpegWith(t, 0xe2, exif(six)), 1},
		"not EXIF":                     {jpegWith(t, 0xe1, six), 1},
		"cut off":                      {jpegWith(t, 0xe1, exif(six[:20])), 1},
		"a directory beyond the end":   {jpegWith(t, 0xe1, exif(far)), 1},
		"a segment beyond the end":     {[]byte("\xff\xd8\xff\xe1\xff\xffExif\x00\x00"), 1},
		"nothing":                      {nil, 1},
		"a PNG's chunk beyond the end": {[]byte("\x89PNG\r\n\x1a\n\xff\xff\xff\xffeXIf0000"), 1},
	} {
		if got := OrientationOf(tt.b); got != tt.want {
			t.Errorf("%s: orientation %d; want %d", why, got, tt.want)
		}
	}
}

func FuzzOrientation(f *testing.F) {
	f.Add([]byte("\xff\xd8\xff\xff\xe1\x00\x30Exif\x00\x00" + string(tiff(binary.LittleEndian, "II", 6))))
	f.Add([]byte("\x89PNG\r\n\x1a\n\x00\x00\x00\x08eXIfMM\x00*\x00\x00\x00\x08"))
	f.Add([]byte("\xff\xd8\xff\xe1\x00\x02\xff\xe1\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if o := OrientationOf(b); o < 1 || o > 8 {
			t.Errorf("orientation %d", o)
		}
	})
}
