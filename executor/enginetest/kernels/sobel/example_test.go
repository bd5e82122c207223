package sobel_test

import (
	"fmt"

	"github.com/bungee-xr/bungee/executor/enginetest/kernels/sobel"
)

func ExampleEdges() {
	const pixels = sobel.Width * sobel.Height
	rgba := make([]byte, 4*pixels)
	for y := 200; y < 300; y++ { // a red square
		for x := 200; x < 300; x++ {
			rgba[4*(y*sobel.Width+x)] = 255
		}
	}
	edges, gray := make([]byte, pixels), make([]byte, pixels)
	sobel.Edges(edges, gray, rgba)
	row := edges[250*sobel.Width:]
	fmt.Println(row[198:203], row[250], gray[250*sobel.Width+250])
	// Output: [0 255 255 0 0] 0 76
}
