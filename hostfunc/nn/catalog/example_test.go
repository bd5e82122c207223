package catalog_test

import (
	"fmt"

	"github.com/bungee-xr/bungee/hostfunc/nn/catalog"
)

func Example() {
	for _, e := range catalog.Entries() {
		fmt.Printf("%s: head %s, input %dx%d, %d classes\n", e.Name, e.Head, e.Model.InputW, e.Model.InputH, len(e.Labels))
	}
	// Output:
	// yolo-fastest-1.1-xl: head darknet, input 320x320, 80 classes
	// yolo-fastest-1.1: head darknet, input 320x320, 80 classes
	// yolox_nano: head yolox, input 416x416, 80 classes
	// centernet: head centernet, input 512x512, 80 classes
}
