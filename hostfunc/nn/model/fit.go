package model

import "github.com/bungee-xr/bungee/hostfunc/nn"

// Fit places an image of imageW x imageH pixels in the input. It returns also
// the image's size there, which is at least a pixel each way.
func (m *Model) Fit(imageW, imageH int) (f nn.Fit, w, h int) {
	scale := min(float64(m.InputW)/float64(imageW), float64(m.InputH)/float64(imageH))
	w = max(int(float64(imageW)*scale), 1)
	h = max(int(float64(imageH)*scale), 1)
	f = nn.Fit{ImageW: imageW, ImageH: imageH, InputW: m.InputW, InputH: m.InputH, Scale: float32(scale)}
	if m.Align == Centre {
		f.PadX, f.PadY = float32((m.InputW-w)/2), float32((m.InputH-h)/2)
	}
	return f, w, h
}
