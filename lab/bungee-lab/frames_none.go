//go:build !cgo || !opencv

package main

import "errors"

var errNoOpenCV = errors.New(`this bungee-lab was built without OpenCV; "make build" builds one with it`)

// writeFrames needs OpenCV.
func writeFrames(string, string, int) error { return errNoOpenCV }

// videoRate needs OpenCV.
func videoRate(string) (float64, error) { return 0, errNoOpenCV }
