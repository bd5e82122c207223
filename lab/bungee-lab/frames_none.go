//go:build !cgo || !opencv

package main

import "errors"

// writeFrames needs OpenCV.
func writeFrames(string, string, int) error {
	return errors.New(`this bungee-lab was built without OpenCV; "make build" builds one with it`)
}
