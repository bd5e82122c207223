package model

import (
	"image"
	"image/color"
)

// lines returns a function that writes a line of img as red, green, blue. Alpha is
// left out.
func lines(img image.Image) func(dst []uint8, y int) {
	switch img := img.(type) {
	case *image.YCbCr:
		return (&ycbcr{img: img, cb: make([]uint8, img.Rect.Dx()+1), cr: make([]uint8, img.Rect.Dx()+1)}).line
	case *image.RGBA:
		return func(dst []uint8, y int) { rgba(dst, img.Pix[y*img.Stride:]) }
	case *image.NRGBA:
		return func(dst []uint8, y int) { rgba(dst, img.Pix[y*img.Stride:]) }
	case *image.Gray:
		return func(dst []uint8, y int) { gray(dst, img.Pix[y*img.Stride:]) }
	}
	return func(dst []uint8, y int) { anyLine(dst, img, y) }
}

func rgba(dst, src []uint8) {
	for x := 0; x < len(dst); x += 3 {
		copy(dst[x:x+3], src[x/3*4:])
	}
}

func gray(dst, src []uint8) {
	for x := 0; x < len(dst); x += 3 {
		v := src[x/3]
		dst[x], dst[x+1], dst[x+2] = v, v, v
	}
}

func anyLine(dst []uint8, img image.Image, y int) {
	at := img.Bounds().Min
	for x := 0; x < len(dst); x += 3 {
		c := color.NRGBAModel.Convert(img.At(at.X+x/3, at.Y+y)).(color.NRGBA)
		dst[x], dst[x+1], dst[x+2] = c.R, c.G, c.B
	}
}

// ycbcr reads a decoded JPEG. Where the chroma is halved it is interpolated, as
// libjpeg does and Go's own conversion does not: a box of 2x2 equal colours would
// shift edges by half a pixel.
type ycbcr struct {
	img    *image.YCbCr
	cb, cr []uint8 // of one line, a pixel longer where the width is odd
}

func (j *ycbcr) line(dst []uint8, y int) {
	w := len(dst) / 3
	luma := j.img.Y[y*j.img.YStride:][:w]
	j.chroma(j.cb, j.img.Cb, y)
	j.chroma(j.cr, j.img.Cr, y)
	for x, v := range luma {
		d := dst[3*x:][:3]
		d[0], d[1], d[2] = color.YCbCrToRGB(v, j.cb[x], j.cr[x])
	}
}

// chroma writes line y of a chroma plane in full width.
func (j *ycbcr) chroma(dst, plane []uint8, y int) {
	w := j.img.Rect.Dx()
	row := func(y int) []uint8 { return plane[y*j.img.CStride:] }
	switch j.img.SubsampleRatio {
	case image.YCbCrSubsampleRatio444:
		copy(dst[:w], row(y))
	case image.YCbCrSubsampleRatio422:
		spread(dst, row(y), row(y), (w+1)/2)
	case image.YCbCrSubsampleRatio440:
		near, far := row(y/2), row(j.other(y))
		for x := range dst[:w] {
			dst[x] = uint8((3*int(near[x]) + int(far[x]) + 1 + y%2) >> 2)
		}
	case image.YCbCrSubsampleRatio420:
		spread(dst, row(y/2), row(j.other(y)), (w+1)/2)
	default:
		for x := range dst[:w] {
			dst[x] = plane[j.img.COffset(x, y)]
		}
	}
}

// other returns the second nearest row of a chroma plane of half the height.
func (j *ycbcr) other(y int) int {
	if y%2 == 0 {
		return max(y/2-1, 0)
	}
	return min(y/2+1, (j.img.Rect.Dy()+1)/2-1)
}

// spread doubles the n pixels of near, three parts of it and one of far, along x:
// three parts of the nearer pixel and one of the other. Halves are rounded up and
// down in turn.
func spread(dst, near, far []uint8, n int) {
	sum := func(x int) int { return 3*int(near[x]) + int(far[x]) }
	left, this := sum(0), sum(0)
	for x := range n {
		right := this
		if x+1 < n {
			right = sum(x + 1)
		}
		dst[2*x] = uint8((3*this + left + 8) >> 4)
		dst[2*x+1] = uint8((3*this + right + 7) >> 4)
		left, this = this, right
	}
}
