package model

import (
	"bytes"
	"encoding/binary"
	"image"
)

// An Orientation says how the pixels of an image are turned in its file, as EXIF numbers it: 1 to 8,
// where 1 is upright.
type Orientation uint8

// Upright is the orientation of an image that says none.
const Upright Orientation = 1

// maxOrientationTags bounds the entries of EXIF's first directory that are looked at.
const maxOrientationTags = 1 << 10

// OrientationOf returns the orientation that a JPEG or PNG says it has, Upright where it says none, or
// none that there is. Cameras of phones write the pixels as the sensor gives them, and say so there.
func OrientationOf(encoded []byte) Orientation {
	tiff := exifOfJPEG(encoded)
	if tiff == nil {
		tiff = exifOfPNG(encoded)
	}
	if o := orientationOfTIFF(tiff); o >= 1 && o <= 8 {
		return Orientation(o)
	}
	return Upright
}

// exifOfJPEG returns the EXIF data in front of a JPEG's pixels, nil where there is none.
func exifOfJPEG(b []byte) []byte {
	const soi, sos, app1, prefix = "\xff\xd8", 0xda, 0xe1, "Exif\x00\x00"
	if !bytes.HasPrefix(b, []byte(soi)) {
		return nil
	}
	for b = b[2:]; len(b) >= 4 && b[0] == 0xff && b[1] != sos; {
		if b[1] == 0xff { // filling
			b = b[1:]
			continue
		}
		size := int(binary.BigEndian.Uint16(b[2:]))
		if size < 2 || size > len(b)-2 {
			return nil
		}
		if rest, ok := bytes.CutPrefix(b[4:2+size], []byte(prefix)); ok && b[1] == app1 {
			return rest
		}
		b = b[2+size:]
	}
	return nil
}

// exifOfPNG returns the EXIF data of a PNG's chunk eXIf, nil where there is none.
func exifOfPNG(b []byte) []byte {
	const signature = "\x89PNG\r\n\x1a\n"
	if !bytes.HasPrefix(b, []byte(signature)) {
		return nil
	}
	for b = b[len(signature):]; len(b) >= 12; { // size, type, data, checksum
		size := binary.BigEndian.Uint32(b)
		if uint64(size) > uint64(len(b)-12) {
			return nil
		}
		switch string(b[4:8]) {
		case "eXIf":
			return b[8 : 8+size]
		case "IDAT":
			return nil // pixels: OpenCV does not look behind them
		}
		b = b[12+size:]
	}
	return nil
}

// orientationOfTIFF returns the orientation in the first directory of TIFF data, 0 where there is none.
func orientationOfTIFF(b []byte) uint16 {
	if len(b) < 8 {
		return 0
	}
	var order binary.ByteOrder = binary.LittleEndian
	if b[0] == 'M' {
		order = binary.BigEndian
	}
	at := order.Uint32(b[4:])
	if at > uint32(len(b)-2) {
		return 0
	}
	n := min(int(order.Uint16(b[at:])), maxOrientationTags)
	for b = b[at+2:]; n > 0 && len(b) >= 12; n, b = n-1, b[12:] {
		const orientation, short = 0x0112, 3
		if order.Uint16(b) == orientation && order.Uint16(b[2:]) == short {
			return order.Uint16(b[8:])
		}
	}
	return 0
}

// Swapped says that width and height change places when the image is turned upright.
func (o Orientation) Swapped() bool { return o >= 5 }

// Mirrored says which way an image must be mirrored, after width and height have changed places
// if Swapped says so, to be upright.
func (o Orientation) Mirrored() (leftRight, upDown bool) {
	switch o {
	case 2, 6:
		return true, false
	case 3, 7:
		return true, true
	case 4, 8:
		return false, true
	}
	return false, false
}

// upright returns the image turned upright: img itself where it is.
func (o Orientation) upright(img image.Image) image.Image {
	if o <= Upright || o > 8 {
		return img
	}
	at := img.Bounds()
	w, h := at.Dx(), at.Dy()
	if o.Swapped() {
		w, h = h, w
	}
	to := image.NewRGBA(image.Rect(0, 0, w, h))
	leftRight, upDown := o.Mirrored()
	read := lines(img)
	line := make([]uint8, 3*at.Dx())
	for y := range at.Dy() {
		read(line, y)
		for x := range at.Dx() {
			u, v := x, y
			if o.Swapped() {
				u, v = y, x
			}
			if leftRight {
				u = w - 1 - u
			}
			if upDown {
				v = h - 1 - v
			}
			pixel := to.Pix[to.PixOffset(u, v):]
			copy(pixel[:3], line[3*x:])
			pixel[3] = 0xff
		}
	}
	return to
}
