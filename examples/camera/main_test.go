package main

import (
	"bytes"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"io"
	"strings"
	"testing"

	"github.com/bungee-xr/bungee/examples/internal/edgetest"
)

// shot returns a black picture with a white square.
func shot(t testing.TB, square image.Rectangle) []byte {
	t.Helper()
	m := image.NewGray(image.Rect(0, 0, 160, 120))
	draw.Draw(m, square, image.NewUniform(color.White), image.Point{}, draw.Src)
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestFindMotion(t *testing.T) {
	still, moved := image.Rect(16, 16, 32, 32), image.Rect(48, 16, 64, 32)
	tests := []struct {
		why         string
		before, now []byte
		box         image.Rectangle
		ok          bool
	}{
		{"nothing moves", shot(t, still), shot(t, still), image.Rectangle{}, true},
		{"a square moves: where it was, and where it is", shot(t, still), shot(t, moved), still.Union(moved), true},
		{"no picture", nil, shot(t, still), image.Rectangle{}, false},
		{"half a picture", shot(t, still), shot(t, moved)[:300], image.Rectangle{}, false},
	}
	for _, tt := range tests {
		m, err := FindMotion(t.Context(), tt.before, tt.now)
		if m.Box != tt.box || (err == nil) != tt.ok {
			t.Errorf("%s: %v, %v; want %v", tt.why, m, err, tt.box)
		}
	}
}

// The newest picture counts, junk between pictures does not, and the end of a stream is the end of the pictures.
func TestNewest(t *testing.T) {
	a, b := shot(t, image.Rect(16, 16, 32, 32)), shot(t, image.Rect(48, 16, 64, 32))
	tests := []struct {
		why    string
		stream []byte
		number int // of the last picture; 0: none
		want   []byte
	}{
		{"two pictures", bytes.Join([][]byte{a, b}, nil), 2, b},
		{"parts of a multipart stream between them", bytes.Join([][]byte{a, b}, []byte("\r\n--frame\r\nContent-Type: image/jpeg\r\n\r\n")), 2, b},
		{"it ends within the second", append(bytes.Clone(a), b[:100]...), 1, a},
		{"no picture", []byte("\xff\xff\x00 nothing"), 0, nil},
		{"nothing", nil, 0, nil},
	}
	for _, tt := range tests {
		pictures, ended := newest(bytes.NewReader(tt.stream))
		if err := <-ended; err != nil {
			t.Errorf("%s: %v", tt.why, err)
		}
		got := <-pictures
		if got.number != tt.number || !bytes.Equal(got.jpeg, tt.want) {
			t.Errorf("%s: picture %d of %d bytes, want %d of %d", tt.why, got.number, len(got.jpeg), tt.number, len(tt.want))
		}
	}
}

func TestEndlessPicture(t *testing.T) {
	_, ended := newest(io.MultiReader(strings.NewReader("\xff\xd8"), io.LimitReader(zeros{}, 2*maxPicture)))
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "no end") {
		t.Errorf("a picture without an end: %v", err)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// FuzzNewest holds that no stream is read for ever, and that a picture begins and ends as one.
func FuzzNewest(f *testing.F) {
	f.Add([]byte("\xff\xd8\xff\xd9"))
	f.Add([]byte("\xff\xff\xd8\xd9\xff\xd9\xff\xd8"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		pictures, ended := newest(bytes.NewReader(stream))
		<-ended
		if p, ok := <-pictures; ok && (!bytes.HasPrefix(p.jpeg, []byte{0xff, 0xd8}) || !bytes.HasSuffix(p.jpeg, []byte{0xff, 0xd9})) {
			t.Errorf("a picture of % x", p.jpeg)
		}
	})
}

// At the edge host the same is seen.
func TestAtTheEdge(t *testing.T) {
	edgetest.Prepare(t, &findMotionFunc.Desc)
	still, moved := image.Rect(16, 16, 32, 32), image.Rect(48, 16, 64, 32)
	pictures := make(chan picture)
	go func() {
		defer close(pictures)
		for i, at := range []image.Rectangle{still, still, moved} {
			pictures <- picture{i + 1, shot(t, at)}
		}
	}()
	var said bytes.Buffer
	if err := watch(t.Context(), pictures, &said); err != nil {
		t.Fatal(err)
	}
	want := "within (16,16)-(64,32), seen on " + edgetest.Name + "\n2 pictures compared, 2 of them on the edge host\n"
	if s := said.String(); !strings.HasPrefix(s, "picture 3: ") || !strings.HasSuffix(s, want) {
		t.Errorf("it said:\n%s\nwant one line of picture 3, and at the end\n%s", s, want)
	}
}
