package host

import (
	"bytes"
	"context"
	"image"
	"image/color"
	"image/jpeg"
	"sync"
	"time"

	"github.com/bungee-xr/bungee/hostfunc/nn"
)

// standInSide is the width and height of the image that stands for those of UEs, in pixels.
const standInSide = 640

// standInImage returns a JPEG with something to see everywhere: to decode a plain one takes less time.
var standInImage = sync.OnceValue(func() []byte {
	img := image.NewRGBA(image.Rect(0, 0, standInSide, standInSide))
	for y := range standInSide {
		for x := range standInSide {
			img.SetRGBA(x, y, color.RGBA{uint8(x), uint8(y), uint8(x * y >> 4), 255})
		}
	}
	var b bytes.Buffer
	if jpeg.Encode(&b, img, nil) != nil {
		return nil // a buffer takes all that is written
	}
	return b.Bytes()
})

// StandIn returns what stands for a call of a guest that may use the networks of b with names in models: an image of
// 640x640 pixels is decoded, fitted and goes through the first of them that takes an image. It returns how long that
// took, without making the session. The guest's own time is not in it. A pattern names no network. StandIn returns nil where
// there is none. It has b load a network that is not loaded yet.
func StandIn(b nn.Backend, models []string) func(context.Context) (time.Duration, error) {
	for _, name := range models {
		g, err := b.Graph(name)
		if err == nil && takesImage(g.Inputs()) {
			return func(ctx context.Context) (time.Duration, error) { return standIn(ctx, g) }
		}
	}
	return nil
}

// takesImage says whether a network with these inputs takes one image of three channels and nothing else.
func takesImage(inputs [][]int) bool {
	return len(inputs) == 1 && len(inputs[0]) == 4 && inputs[0][1] == 3
}

func standIn(ctx context.Context, g nn.BackendGraph) (took time.Duration, err error) {
	s, err := g.NewSession()
	if err != nil {
		return 0, err
	}
	defer s.Close() // nothing of it is needed any more
	encoded := standInImage()
	begin := time.Now()
	if _, err := s.SetImage(ctx, 0, encoded); err != nil {
		return 0, err
	}
	if err := s.Compute(ctx); err != nil {
		return 0, err
	}
	return time.Since(begin), nil
}
