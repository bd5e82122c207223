package main

import (
	"bytes"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"testing"

	"github.com/bungee-xr/bungee/examples/internal/edgetest"
	"github.com/bungee-xr/bungee/offload"
)

// gray returns an image of rows.
func gray(rows ...string) image.Gray {
	g := *image.NewGray(image.Rect(0, 0, len(rows[0]), len(rows)))
	for y, row := range rows {
		copy(g.Pix[y*g.Stride:], row)
	}
	return g
}

func TestOutline(t *testing.T) {
	tests := []struct {
		why  string
		in   image.Gray
		want []byte // the middle row of the outlines
	}{
		{"a plain has none", gray("\x09\x09\x09\x09", "\x09\x09\x09\x09", "\x09\x09\x09\x09"), []byte{0, 0, 0, 0}},
		{"a step to the right", gray("\x00\x00\x0a\x0a", "\x00\x00\x0a\x0a", "\x00\x00\x0a\x0a"), []byte{0, 40, 40, 0}},
		{"a step down", gray("\x00\x00\x00", "\x00\x00\x00", "\x0a\x0a\x0a"), []byte{0, 40, 0}},
		{"more than a byte is white", gray("\x00\x00\xff", "\x00\x00\xff", "\x00\x00\xff"), []byte{0, 255, 0}},
		{"a part of a larger image", *moonPart(), []byte{0, 0, 0}},
	}
	for _, tt := range tests {
		got, err := Outline(t.Context(), tt.in)
		if err != nil {
			t.Errorf("%s: %v", tt.why, err)
			continue
		}
		if row := got.Pix[got.Stride:][:got.Rect.Dx()]; !bytes.Equal(row, tt.want) {
			t.Errorf("%s: the middle row is % x, want % x", tt.why, row, tt.want)
		}
	}
	if _, err := Outline(t.Context(), image.Gray{Pix: []byte{1}, Stride: 9, Rect: image.Rect(0, 0, 9, 9)}); err == nil {
		t.Error("an image with too few bytes has outlines")
	}
}

// moonPart is a part of the moon without its edge, in rows of the whole image.
func moonPart() *image.Gray {
	m := moon()
	return m.SubImage(image.Rect(120, 120, 123, 123)).(*image.Gray)
}

// The edge host makes the same picture, to the byte.
func TestAtTheEdge(t *testing.T) {
	here, err := outline(t.Context(), moon())
	if err != nil {
		t.Fatal(err)
	}
	edgetest.Prepare(t, &outlineFunc.Desc)
	var at offload.Trace
	there, err := Outline(offload.WithTrace(t.Context(), &at), moon())
	if err != nil || at.Host != edgetest.Name {
		t.Fatalf("computed on %q: %v", at.Host, err)
	}
	if !bytes.Equal(here.Pix, there.Pix) || here.Rect != there.Rect || here.Stride != there.Stride {
		t.Error("the edge host makes another picture")
	}
}

func TestFilter(t *testing.T) {
	out := filepath.Join(t.TempDir(), "edges.png")
	if err := filter(t.Context(), "", out); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, err := png.Decode(f)
	if err != nil || m.Bounds() != image.Rect(0, 0, 256, 256) {
		t.Errorf("%v, %v", m.Bounds(), err)
	}
	if err := filter(t.Context(), filepath.Join(t.TempDir(), "none.png"), out); err == nil {
		t.Error("an image that is not there has outlines")
	}
}
