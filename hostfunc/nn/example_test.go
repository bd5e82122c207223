//go:build !wasip1

package nn_test

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/png"

	"github.com/bungee-xr/bungee/hostfunc/nn"
	"github.com/bungee-xr/bungee/hostfunc/nn/nntest"
)

// meanColour compiles natively and to Wasm.
func meanColour(ctx context.Context, encoded []byte) ([]float32, error) {
	g, err := nn.Load("mean")
	if err != nil {
		return nil, err
	}
	s, err := g.NewSession()
	if err != nil {
		return nil, err
	}
	defer s.Close()
	if _, err := s.SetImage(ctx, 0, encoded); err != nil {
		return nil, err
	}
	if err := s.Compute(ctx); err != nil {
		return nil, err
	}
	out, err := s.Outputs()
	if err != nil {
		return nil, err
	}
	return append([]float32(nil), out[0].Data...), nil // it outlives s
}

func Example() {
	nn.Use(nntest.Mean()) // opencv.New for real networks

	img := image.NewRGBA(image.Rect(0, 0, 8, 8))
	for i := range 64 {
		img.SetRGBA(i%8, i/8, color.RGBA{R: 200, G: 100, B: 50, A: 255})
	}
	var encoded bytes.Buffer
	png.Encode(&encoded, img)

	fmt.Println(meanColour(context.Background(), encoded.Bytes()))
	_, err := meanColour(context.Background(), []byte("no image"))
	fmt.Println(err)
	// Output:
	// [200 100 50] <nil>
	// nn: not an image that can be decoded: 8 bytes: image: unknown format
}
