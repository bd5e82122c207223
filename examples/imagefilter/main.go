// Imagefilter draws the edges of what an image shows, here or on an edge host.
//
//	go run ./examples/imagefilter -out edges.png                             # of an image that it makes up
//	go run ./examples/imagefilter -in photo.jpg -out edges.png -edge 127.0.0.1:4433
package main

import (
	"context"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	_ "image/jpeg"
	"image/png"
	"log"
	"os"

	"github.com/bungee-xr/bungee/examples/internal/start"
	"github.com/bungee-xr/bungee/offload"
)

//go:generate go tool offloadgen

// outline returns how much each pixel of a grey image differs from its neighbours (Sobel's operator). The pixels of the border have too few, and are 0.
//
//offload:func deadline=2s idempotent
func outline(_ context.Context, g image.Gray) (image.Gray, error) {
	w, h := g.Rect.Dx(), g.Rect.Dy()
	if w < 0 || h < 0 || g.Stride < w || len(g.Pix) < g.Stride*h {
		return image.Gray{}, fmt.Errorf("an image of %dx%d pixels in rows of %d bytes has %d bytes", w, h, g.Stride, len(g.Pix))
	}
	out := image.Gray{Pix: make([]byte, w*h), Stride: w, Rect: image.Rect(0, 0, w, h)}
	for y := 1; y < h-1; y++ {
		above, here, below := g.Pix[(y-1)*g.Stride:], g.Pix[y*g.Stride:], g.Pix[(y+1)*g.Stride:]
		for x := 1; x < w-1; x++ {
			dx := int(above[x+1]) + 2*int(here[x+1]) + int(below[x+1]) - int(above[x-1]) - 2*int(here[x-1]) - int(below[x-1])
			dy := int(below[x-1]) + 2*int(below[x]) + int(below[x+1]) - int(above[x-1]) - 2*int(above[x]) - int(above[x+1])
			out.Pix[y*w+x] = byte(min(255, max(dx, -dx)+max(dy, -dy)))
		}
	}
	return out, nil
}

func main() {
	flags := start.Register()
	in := flag.String("in", "", "image to read, PNG or JPEG (default: one that is made up)")
	out := flag.String("out", "edges.png", "image to write, PNG")
	flag.Parse()
	ctx := context.Background()
	h, err := flags.Handler(ctx, &outlineFunc.Desc)
	if err != nil {
		log.Fatal("imagefilter: ", err)
	}
	defer h.Close()
	if err := filter(ctx, *in, *out); err != nil {
		log.Fatal("imagefilter: ", err)
	}
}

// filter reads an image, and writes its outlines.
func filter(ctx context.Context, in, out string) error {
	g, err := read(in)
	if err != nil {
		return err
	}
	var t offload.Trace
	edges, err := Outline(offload.WithTrace(ctx, &t), g)
	if err != nil {
		return err
	}
	f, err := os.Create(out)
	if err != nil {
		return err
	}
	if err := png.Encode(f, &edges); err != nil {
		f.Close()
		return err
	}
	fmt.Printf("%s has the outlines of %dx%d pixels, computed %s\n", out, edges.Rect.Dx(), edges.Rect.Dy(), start.Where(&t))
	return f.Close()
}

// read returns an image in grey.
func read(name string) (image.Gray, error) {
	if name == "" {
		return moon(), nil
	}
	f, err := os.Open(name)
	if err != nil {
		return image.Gray{}, err
	}
	defer f.Close()
	m, _, err := image.Decode(f)
	if err != nil {
		return image.Gray{}, fmt.Errorf("%s: %w", name, err)
	}
	g := image.NewGray(m.Bounds())
	draw.Draw(g, g.Rect, m, m.Bounds().Min, draw.Src)
	return *g, nil
}

// moon is an image of a bright disc.
func moon() image.Gray {
	const side, radius = 256, 80
	g := image.NewGray(image.Rect(0, 0, side, side))
	for y := range side {
		for x := range side {
			if dx, dy := x-side/2, y-side/2; dx*dx+dy*dy < radius*radius {
				g.SetGray(x, y, color.Gray{Y: 200})
			}
		}
	}
	return *g
}
