//go:build cgo && opencv

package main

import (
	"context"
	"errors"
	"fmt"
	"math"

	"gocv.io/x/gocv"
)

// errVideoEnd says that a video which is not looped has no more frames.
var errVideoEnd = errors.New("the video has ended")

// A camera gives frames: those of a video file or of pictures in a folder, each once and in order, or those of
// a live source, the newest first.
type camera struct {
	path  string
	loop  bool
	src   source
	mat   gocv.Mat // the current frame
	small gocv.Mat // it, at a fidelity that has fewer pixels

	ready bool // mat is the first frame, which was read to see whether there is one
	read  int  // frames of this pass
	short int  // frames that the first pass lacked; 0 also where it has not ended
	ended bool // the first pass has
}

// A source is where frames come from.
type source interface {
	// next reads the next frame into m. It returns errVideoEnd behind the last one.
	next(ctx context.Context, m *gocv.Mat) error
	// again begins at the first frame. A live source goes on.
	again() error
	// told returns how many frames a second there are, and how many in all, as the
	// source says; 0 where it does not.
	told() (fps float64, frames int)
	live() bool
	Close()
}

// openCamera opens what a name stands for, and reads its first frame, so that what is no video fails before the run.
func openCamera(ctx context.Context, name string, loop bool) (*camera, error) {
	src, err := openSource(name)
	if err != nil {
		return nil, fmt.Errorf("video: %w", err)
	}
	c := &camera{path: name, loop: loop, src: src, mat: gocv.NewMat(), small: gocv.NewMat()}
	switch err := src.next(ctx, &c.mat); {
	case errors.Is(err, errVideoEnd):
		c.Close()
		return nil, fmt.Errorf("video: %s has no frame that OpenCV can decode", shown(name))
	case err != nil:
		c.Close()
		return nil, fmt.Errorf("video: %w", err)
	}
	c.ready = true
	return c, nil
}

// next makes the next frame the current one. A looped video begins again.
func (c *camera) next(ctx context.Context) error {
	if c.ready {
		c.ready, c.read = false, 1
		return nil
	}
	err := c.src.next(ctx, &c.mat)
	if err == nil {
		c.read++
		return nil
	}
	if !errors.Is(err, errVideoEnd) {
		return fmt.Errorf("video: %w", err)
	}
	c.passed()
	if !c.loop {
		return errVideoEnd
	}
	if err := c.src.again(); err != nil {
		return fmt.Errorf("video: %w", err)
	}
	if err := c.src.next(ctx, &c.mat); err != nil {
		return fmt.Errorf("video: %s cannot be read again from its begin: %w", shown(c.path), err)
	}
	c.read = 1
	return nil
}

// passed notes what the first pass lacked of what the video says that it has.
func (c *camera) passed() {
	if _, frames := c.src.told(); !c.ended && frames > c.read {
		c.short = frames - c.read
	}
	c.ended = true
}

// fps returns the video's own rate, 10 where it tells none.
func (c *camera) fps() float64 {
	if f, _ := c.src.told(); f >= 1 && f <= 1000 && !math.IsNaN(f) {
		return f
	}
	return 10
}

func (c *camera) Close() {
	c.mat.Close()
	c.small.Close()
	c.src.Close()
}

// jpeg returns the current frame as JPEG.
func (c *camera) jpeg(quality int) ([]byte, error) { return encode(c.mat, quality) }

func encode(m gocv.Mat, quality int) ([]byte, error) {
	b, err := gocv.IMEncodeWithParams(gocv.JPEGFileExt, m, []int{gocv.IMWriteJpegQuality, quality})
	if err != nil {
		return nil, fmt.Errorf("encode frame: %w", err)
	}
	defer b.Close()
	return append([]byte(nil), b.GetBytes()...), nil // b's bytes are OpenCV's
}
