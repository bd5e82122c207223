//go:build cgo && opencv

package opencv

import (
	"fmt"
	"image"
	"image/color"
	"time"

	"github.com/bungee-xr/bungee/hostfunc/nn"
	"github.com/bungee-xr/bungee/hostfunc/nn/model"
	"gocv.io/x/gocv"
)

// decode returns the BGR pixels of a JPEG or PNG. Its errors wrap nn.ErrBadImage.
func decode(encoded []byte) (gocv.Mat, error) {
	if err := model.Bound(encoded); err != nil {
		return gocv.Mat{}, err
	}
	m, err := gocv.IMDecode(encoded, gocv.IMReadColor|gocv.IMReadIgnoreOrientation)
	if err != nil {
		return gocv.Mat{}, fmt.Errorf("%w: %w", nn.ErrBadImage, err)
	}
	if m.Empty() {
		m.Close()
		return gocv.Mat{}, fmt.Errorf("%w: its header is good, but OpenCV cannot read on", nn.ErrBadImage)
	}
	upright(&m, model.OrientationOf(encoded))
	return m, nil
}

// upright turns an image upright. OpenCV could, too, but understands EXIF in its own way.
func upright(m *gocv.Mat, o model.Orientation) {
	if o.Swapped() {
		t := gocv.NewMat()
		gocv.Transpose(*m, &t)
		m.Close()
		*m = t
	}
	switch leftRight, upDown := o.Mirrored(); {
	case leftRight && upDown:
		gocv.Flip(*m, m, -1)
	case leftRight:
		gocv.Flip(*m, m, 1)
	case upDown:
		gocv.Flip(*m, m, 0)
	}
}

// letterbox fills the input with img: scaled to fit m's input with its aspect
// kept, the rest padded.
func (b *buffers) letterbox(img gocv.Mat, m *Model) nn.Fit {
	fit, w, h := m.Fit(img.Cols(), img.Rows())
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

// Prepare is the [model.Preparer] of OpenCV, for backends that have none.
func Prepare(m *Model, encoded []byte, input []float32) (nn.Fit, nn.Timings, error) {
	var t nn.Timings
	start := time.Now()
	img, err := decode(encoded)
	if err != nil {
		return nn.Fit{}, t, err
	}
	defer img.Close()
	b := newBuffers()
	defer b.close()
	decoded := time.Now()
	fit := b.letterbox(img, m)
	data, err := b.input.DataPtrFloat32()
	if err == nil && len(data) != len(input) {
		err = fmt.Errorf("opencv: the input of %q has %d numbers, not %d", m.Name, len(data), len(input))
	}
	copy(input, data)
	t.Decode, t.Letterbox = decoded.Sub(start), time.Since(decoded)
	return fit, t, err
}
