//go:build cgo && opencv

package main

import (
	"errors"
	"fmt"
	"image"
	"image/color"
	"os"
	"path/filepath"

	"gocv.io/x/gocv"

	"github.com/bungee-xr/bungee/cmd/yolo-demo/internal/head"
)

// errVideoEnd says that a video which is not looped has no more frames.
var errVideoEnd = errors.New("the video has ended")

// A camera reads the frames of a video file.
type camera struct {
	path  string
	loop  bool
	src   *gocv.VideoCapture
	mat   gocv.Mat // the current frame
	small gocv.Mat // it, at a fidelity that has fewer pixels
}

func openCamera(path string, loop bool) (*camera, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("video: %w", err)
	}
	src, err := gocv.VideoCaptureFile(path)
	if err != nil {
		return nil, fmt.Errorf("video: %s is not one that OpenCV can read: %w", path, err)
	}
	c := &camera{path: path, loop: loop, src: src, mat: gocv.NewMat(), small: gocv.NewMat()}
	if err := c.probe(); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// probe reads a frame, so that a file which is no video fails before the run.
func (c *camera) probe() error {
	if !c.src.Read(&c.mat) || c.mat.Empty() {
		return fmt.Errorf("video: %s has no frame that OpenCV can decode", c.path)
	}
	c.src.Set(gocv.VideoCapturePosFrames, 0)
	return nil
}

// next makes the next frame the current one. A looped video begins again.
func (c *camera) next() error {
	if c.src.Read(&c.mat) && !c.mat.Empty() {
		return nil
	}
	if !c.loop {
		return errVideoEnd
	}
	c.src.Set(gocv.VideoCapturePosFrames, 0)
	if c.src.Read(&c.mat) && !c.mat.Empty() {
		return nil
	}
	return fmt.Errorf("video: %s cannot be read again from its begin", c.path)
}

// fps returns the video's own rate, 10 where it tells none.
func (c *camera) fps() float64 {
	if f := c.src.Get(gocv.VideoCaptureFPS); f >= 1 && f <= 1000 {
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

// A picture is what is drawn on a frame.
type picture struct {
	boxes   []head.Box
	labels  []string
	caption string
	edge    bool
}

var (
	ueColour   = color.RGBA{R: 230, G: 126, B: 34, A: 255}
	edgeColour = color.RGBA{R: 47, G: 111, B: 214, A: 255}
	ink        = color.RGBA{R: 255, G: 255, B: 255, A: 255}
)

// draw draws p on the current frame.
func (c *camera) draw(p picture) { p.on(&c.mat) }

func (p picture) on(m *gocv.Mat) {
	colour := ueColour
	if p.edge {
		colour = edgeColour
	}
	for _, b := range p.boxes {
		r := image.Rect(int(b.X), int(b.Y), int(b.X+b.W), int(b.Y+b.H))
		gocv.Rectangle(m, r, colour, 2)
		tag(m, fmt.Sprintf("%s %.0f%%", label(p.labels, b.Class), 100*b.Score), r.Min, colour)
	}
	tag(m, p.caption, image.Pt(0, 20), colour)
}

// tag writes text on a filled box above at.
func tag(m *gocv.Mat, text string, at image.Point, colour color.RGBA) {
	const scale, pad = 0.45, 3
	size := gocv.GetTextSize(text, gocv.FontHersheySimplex, scale, 1)
	at.Y = max(at.Y, size.Y+2*pad)
	gocv.Rectangle(m, image.Rect(at.X, at.Y-size.Y-2*pad, at.X+size.X+2*pad, at.Y), colour, -1)
	gocv.PutText(m, text, at.Add(image.Pt(pad, -pad)), gocv.FontHersheySimplex, scale, ink, 1)
}

func label(labels []string, class int) string {
	if class >= 0 && class < len(labels) {
		return labels[class]
	}
	return fmt.Sprintf("class %d", class)
}

// A window shows pictures on the desktop.
type window struct{ w *gocv.Window }

// openWindow opens a window as large as the frames of c.
func openWindow(c *camera) (*window, error) {
	if os.Getenv("DISPLAY") == "" && os.Getenv("WAYLAND_DISPLAY") == "" {
		return nil, errors.New("-display needs a desktop, and there is none here (DISPLAY is not set); look at the page instead")
	}
	w := gocv.NewWindow("yolo-demo")
	w.ResizeWindow(c.mat.Cols(), c.mat.Rows())
	return &window{w}, nil
}

func (w *window) show(c *camera) {
	w.w.IMShow(c.mat)
	w.w.WaitKey(1)
}

func (w *window) Close() { w.w.Close() }

// writeVideo writes the annotated video to path: the frames of c's video again,
// each with its picture.
func writeVideo(path string, c *camera, pictures []picture, progress func(done int)) (err error) {
	again, err := openCamera(c.path, true)
	if err != nil {
		return err
	}
	defer again.Close()
	// VideoWriter tells of no error, a full disk included; the size does.
	tmp := filepath.Join(filepath.Dir(path), ".annotated.tmp.mp4")
	defer os.Remove(tmp)
	w, err := gocv.VideoWriterFile(tmp, "mp4v", c.fps(), again.mat.Cols(), again.mat.Rows(), true)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	for i, p := range pictures {
		if err = again.next(); err != nil {
			break
		}
		again.draw(p)
		if err = w.Write(again.mat); err != nil {
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
