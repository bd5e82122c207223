//go:build cgo && opencv

package opencv

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	_ "image/jpeg" // headers that decode reads
	_ "image/png"

	"github.com/bungee-xr/bungee/executor/nn"
	"gocv.io/x/gocv"
)

// Bounds on a decoded image. A pixel takes 3 bytes here, so the largest takes
// 192 MB; a side longer than 65535 is beyond JPEG, and OpenCV throws at 1<<20.
// A scan of a progressive JPEG takes a few bytes and passes over all pixels,
// and nothing ends the decoder early: so the product is bounded. A photograph
// has about 10 scans, and one more in its thumbnail.
const (
	maxPixels    = 64 << 20
	maxImageSide = 1<<16 - 1
	maxPasses    = 16 * maxPixels // pixels x scans
)

// decode returns the BGR pixels of a JPEG or PNG. Its errors wrap nn.ErrBadImage.
func decode(encoded []byte) (gocv.Mat, error) {
	if err := bound(encoded); err != nil {
		return gocv.Mat{}, fmt.Errorf("%w: %d bytes: %w", nn.ErrBadImage, len(encoded), err)
	}
	m, err := gocv.IMDecode(encoded, gocv.IMReadColor)
	if err != nil {
		return gocv.Mat{}, fmt.Errorf("%w: %w", nn.ErrBadImage, err)
	}
	if m.Empty() {
		m.Close()
		return gocv.Mat{}, fmt.Errorf("%w: its header is good, but OpenCV cannot read on", nn.ErrBadImage)
	}
	return m, nil
}

// bound says why OpenCV should not see an image. It looks at its header alone.
func bound(encoded []byte) error {
	if len(encoded) > nn.MaxImage {
		return fmt.Errorf("want at most %d", nn.MaxImage)
	}
	c, format, err := image.DecodeConfig(bytes.NewReader(encoded))
	if err != nil {
		return err
	}
	pixels := c.Width * c.Height
	if min(c.Width, c.Height) < 1 || max(c.Width, c.Height) > maxImageSide || pixels > maxPixels {
		return fmt.Errorf("%dx%d pixels; want 1 to %d, and at most %d a side",
			c.Width, c.Height, maxPixels, maxImageSide)
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

// letterbox fills the input with img: scaled to fit m's input with its aspect
// kept, the rest padded.
func (b *buffers) letterbox(img gocv.Mat, m *Model) nn.Fit {
	fit, w, h := m.fit(img.Cols(), img.Rows())
	left, top := int(fit.PadX), int(fit.PadY)
	gocv.Resize(img, &b.scaled, image.Pt(w, h), 0, 0, gocv.InterpolationLinear)
	pad := color.RGBA{R: m.Pad, G: m.Pad, B: m.Pad}
	gocv.CopyMakeBorder(b.scaled, &b.boxed, top, m.InputH-h-top, left, m.InputW-w-left,
		gocv.BorderConstant, pad)
	scale := m.Scale
	if scale == 0 {
		scale = 1
	}
	mean := gocv.NewScalar(m.Mean[0], m.Mean[1], m.Mean[2], 0)
	b.input.Close()
	b.input = gocv.BlobFromImage(b.boxed, scale, image.Pt(m.InputW, m.InputH), mean, m.SwapRB, false)
	return fit
}
