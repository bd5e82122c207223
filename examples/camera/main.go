// Camera looks for motion in the pictures of your own camera, here or on an edge host. The pictures come as JPEG, one after the other, from any program:
//
//	ffmpeg -v error -f v4l2 -i /dev/video0 -f mjpeg - | go run ./examples/camera -edge 127.0.0.1:4433
//	ffmpeg -v error -re -i video.mp4 -f mjpeg - | go run ./examples/camera
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"image"
	"image/draw"
	"image/jpeg"
	"io"
	"log"
	"os"

	"github.com/bungee-xr/bungee/examples/internal/start"
	"github.com/bungee-xr/bungee/offload"
)

//go:generate go tool offloadgen

// A Motion is where a picture differs from the one before it.
type Motion struct {
	Box   image.Rectangle // empty: nowhere
	Share float64         // of the pixels that differ
}

// noise is by how much a pixel may differ without motion.
const noise = 24

// findMotion compares two pictures of one camera. Pictures come compressed: that is a twentieth of the bytes.
//
//offload:func deadline=200ms idempotent
func findMotion(_ context.Context, before, now []byte) (Motion, error) {
	a, err := gray(before)
	if err != nil {
		return Motion{}, err
	}
	b, err := gray(now)
	if err != nil {
		return Motion{}, err
	}
	if a.Rect != b.Rect {
		return Motion{}, fmt.Errorf("a picture of %v follows one of %v", b.Rect.Size(), a.Rect.Size())
	}
	var m Motion
	differ := 0
	for y := range b.Rect.Dy() {
		for x := range b.Rect.Dx() {
			if d := int(a.Pix[y*a.Stride+x]) - int(b.Pix[y*b.Stride+x]); max(d, -d) > noise {
				m.Box = m.Box.Union(image.Rect(x, y, x+1, y+1))
				differ++
			}
		}
	}
	if len(b.Pix) > 0 {
		m.Share = float64(differ) / float64(len(b.Pix))
	}
	return m, nil
}

// gray decodes a picture.
func gray(picture []byte) (*image.Gray, error) {
	m, err := jpeg.Decode(bytes.NewReader(picture))
	if err != nil {
		return nil, err
	}
	g := image.NewGray(image.Rectangle{Max: m.Bounds().Size()})
	draw.Draw(g, g.Rect, m, m.Bounds().Min, draw.Src)
	return g, nil
}

func main() {
	flags := start.Register()
	flag.Parse()
	ctx := context.Background()
	h, err := flags.Handler(ctx, &findMotionFunc.Desc)
	if err != nil {
		log.Fatal("camera: ", err)
	}
	defer h.Close()
	pictures, ended := newest(os.Stdin)
	err = watch(ctx, pictures, os.Stdout)
	if err == nil {
		err = <-ended
	}
	if err != nil {
		log.Fatal("camera: ", err)
	}
}

// watch writes where there is motion, until there are no more pictures.
func watch(ctx context.Context, pictures <-chan picture, w io.Writer) error {
	var before []byte
	edge, seen := 0, 0
	for now := range pictures {
		if before != nil {
			var t offload.Trace
			m, err := FindMotion(offload.WithTrace(ctx, &t), before, now.jpeg)
			if err != nil {
				return fmt.Errorf("picture %d: %w", now.number, err)
			}
			if !m.Box.Empty() {
				fmt.Fprintf(w, "picture %d: %.1f %% moves, within %v, seen %s\n", now.number, 100*m.Share, m.Box, start.Where(&t))
			}
			if t.Host != "" {
				edge++
			}
			seen++
		}
		before = now.jpeg
	}
	fmt.Fprintf(w, "%d pictures compared, %d of them on the edge host\n", seen, edge)
	return nil
}
