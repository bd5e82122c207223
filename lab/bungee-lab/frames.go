//go:build cgo && opencv

package main

import (
	"fmt"
	"os"
	"path/filepath"

	"gocv.io/x/gocv"
)

// frameQuality is the quality of the frames' JPEG, yolo-demo's.
const frameQuality = 75

// writeFrames encodes the first n frames of a video into a folder, a file each.
func writeFrames(video, dir string, n int) error {
	src, err := gocv.VideoCaptureFile(video)
	if err != nil {
		return fmt.Errorf("%s: %w", video, err)
	}
	defer src.Close()
	m := gocv.NewMat()
	defer m.Close()
	for i := range n {
		if !src.Read(&m) || m.Empty() {
			return fmt.Errorf("%s has %d frames, and %d are wanted", video, i, n)
		}
		b, err := gocv.IMEncodeWithParams(gocv.JPEGFileExt, m, []int{gocv.IMWriteJpegQuality, frameQuality})
		if err != nil {
			return err
		}
		err = os.WriteFile(filepath.Join(dir, fmt.Sprintf("frame-%03d.jpg", i)), b.GetBytes(), 0o644)
		b.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// videoRate returns how many frames a second a video has.
func videoRate(video string) (float64, error) {
	src, err := gocv.VideoCaptureFile(video)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", video, err)
	}
	defer src.Close()
	rate := src.Get(gocv.VideoCaptureFPS)
	if !(rate > 0 && rate < 1000) {
		return 0, fmt.Errorf("%s does not say how many frames a second it has", video)
	}
	return rate, nil
}
