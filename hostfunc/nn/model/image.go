package model

import (
	"bytes"
	"fmt"
	"image"
	_ "image/jpeg" // formats that Prepare takes
	_ "image/png"
	"time"

	"github.com/bungee-xr/bungee/hostfunc/nn"
)

// Bounds on an image. A pixel takes 3 bytes decoded, so the largest takes
// 192 MB; a side longer than 65535 is beyond JPEG, and OpenCV throws at 1<<20.
// A scan of a progressive JPEG takes a few bytes and passes over all pixels,
// and nothing ends a decoder early: so the product is bounded. A photograph
// has about 10 scans, and one more in its thumbnail.
const (
	MaxPixels    = 64 << 20
	maxImageSide = 1<<16 - 1
	maxPasses    = 16 * MaxPixels // pixels x scans
)

// Bound returns an error when an encoded image should not be decoded: it has too many
// bytes or pixels, or would take too long. Its errors wrap [nn.ErrBadImage].
func Bound(encoded []byte) error {
	if err := bound(encoded); err != nil {
		return fmt.Errorf("%w: %d bytes: %w", nn.ErrBadImage, len(encoded), err)
	}
	return nil
}

func bound(encoded []byte) error {
	if len(encoded) > nn.MaxImage {
		return fmt.Errorf("want at most %d", nn.MaxImage)
	}
	c, format, err := image.DecodeConfig(bytes.NewReader(encoded))
	if err != nil {
		return err
	}
	pixels := c.Width * c.Height
	if min(c.Width, c.Height) < 1 || max(c.Width, c.Height) > maxImageSide || pixels > MaxPixels {
		return fmt.Errorf("%dx%d pixels; want 1 to %d, and at most %d a side",
			c.Width, c.Height, MaxPixels, maxImageSide)
	}
	if format != "jpeg" {
		return nil
	}
	startOfScan := []byte{0xff, 0xda} // in no pixel data: 0xff is stuffed there
	if scans := bytes.Count(encoded, startOfScan); scans*pixels > maxPasses {
		return fmt.Errorf("%dx%d pixels in %d scans; want at most %d", c.Width, c.Height, scans, maxPasses/pixels)
	}
	return nil
}

// A Preparer fills input, the tensor [1, 3, InputH, InputW] of m, with an encoded image, turned upright as
// [OrientationOf] says; so is what the [nn.Fit] is about.
// It returns how the image was placed, and how long decoding and letterboxing took. It
// keeps none of its arguments. After an error input has any content; when the bytes
// cannot be decoded, the error wraps [nn.ErrBadImage]. A Preparer may be called by many
// goroutines.
type Preparer func(m *Model, encoded []byte, input []float32) (nn.Fit, nn.Timings, error)

// Prepare is the [Preparer] that uses the standard library.
func Prepare(m *Model, encoded []byte, input []float32) (nn.Fit, nn.Timings, error) {
	var t nn.Timings
	start := time.Now()
	if err := Bound(encoded); err != nil {
		return nn.Fit{}, t, err
	}
	img, _, err := image.Decode(bytes.NewReader(encoded))
	if err != nil {
		return nn.Fit{}, t, fmt.Errorf("%w: %d bytes: %w", nn.ErrBadImage, len(encoded), err)
	}
	img = OrientationOf(encoded).upright(img)
	decoded := time.Now()
	fit := m.letterbox(img, input)
	t.Decode, t.Letterbox = decoded.Sub(start), time.Since(decoded)
	return fit, t, nil
}
