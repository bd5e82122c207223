//go:build !cgo || !opencv

// Command yolo-demo, built without OpenCV, only says how to build it.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, `yolo-demo: built without OpenCV; run "make demo", or build with cgo and -tags opencv`)
	os.Exit(1)
}
