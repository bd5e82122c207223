//go:build cgo && opencv

package main

import (
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"os"
	"path/filepath"

	"gocv.io/x/gocv"
)

// codecs are the codecs of the annotated video, the best first. All browsers play H.264. An OpenCV that has
// no encoder of it may have the next.
var codecs = []string{"avc1", "vp09", "mp4v"}

// writeVideo writes the annotated video to path: the frames of c's video again,
// each with its picture.
func writeVideo(ctx context.Context, path string, c *camera, pictures []picture, progress func(done int)) (err error) {
	again, err := openCamera(ctx, c.path, true)
	if err != nil {
		return err
	}
	defer again.Close()
	// VideoWriter tells of no error, a full disk included; the size does.
	tmp := filepath.Join(filepath.Dir(path), ".annotated.tmp.mp4")
	defer os.Remove(tmp)
	w, err := newWriter(tmp, c.fps(), again.mat.Cols(), again.mat.Rows())
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer w.even.Close()
	for i, p := range pictures {
		if err = again.next(ctx); err != nil {
			break
		}
		again.draw(p)
		if err = w.write(again.mat); err != nil {
			break
		}
		progress(i + 1)
	}
	w.Close()
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := checkVideo(tmp, len(pictures)); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return os.Rename(tmp, path)
}

// A writer writes frames of one size, whose sides are even: colours are stored for two pixels each way.
type writer struct {
	*gocv.VideoWriter
	w, h int
	even gocv.Mat
}

func newWriter(path string, fps float64, w, h int) (*writer, error) {
	w, h = w+w%2, h+h%2
	for _, codec := range codecs {
		v, err := gocv.VideoWriterFile(path, codec, fps, w, h, true)
		if err == nil && v.IsOpened() {
			return &writer{v, w, h, gocv.NewMat()}, nil
		}
		if v != nil {
			v.Close()
		}
	}
	return nil, errors.New("this OpenCV writes neither H.264 nor VP9 nor MPEG-4")
}

// write writes a frame. One of another size than the first, as some videos have, is scaled.
func (w *writer) write(m gocv.Mat) error {
	right, bottom := w.w-m.Cols(), w.h-m.Rows()
	switch {
	case right == 0 && bottom == 0:
		return w.Write(m)
	case right|bottom|1 == 1: // a pixel more
		gocv.CopyMakeBorder(m, &w.even, 0, bottom, 0, right, gocv.BorderReplicate, color.RGBA{})
	default:
		gocv.Resize(m, &w.even, image.Pt(w.w, w.h), 0, 0, gocv.InterpolationArea)
	}
	return w.Write(w.even)
}

// checkVideo looks whether a video that was written holds its frames.
func checkVideo(path string, frames int) error {
	src, err := gocv.VideoCaptureFile(path)
	if err != nil {
		return errors.New("the file is not whole; is the disk full?")
	}
	defer src.Close()
	if n := int(src.Get(gocv.VideoCaptureFrameCount)); n < frames {
		return fmt.Errorf("the file holds %d of %d frames; is the disk full?", n, frames)
	}
	return nil
}
