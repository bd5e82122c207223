package model

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/bungee-xr/bungee/hostfunc/nn"
)

// ErrModel says that the files or the description of a model are unusable. All errors
// about them wrap it.
var ErrModel = errors.New("model cannot be used")

// Bounds on a model.
const (
	maxSide = 4096    // pixels of an input's width or height
	maxFile = 1 << 30 // bytes of a model file
)

// A Model describes a network and its input. It is plain data.
type Model struct {
	// Name is the name that [nn.Load] takes.
	Name string
	// Files are the files that a backend reads: the ONNX file, or the weights and
	// then the cfg of Darknet.
	Files []File
	// InputW and InputH are the size of the input, in pixels. Both are zero for a
	// network that takes tensors and no image; only package onnx runs these.
	InputW, InputH int
	// Scale multiplies each channel after Mean is subtracted. Zero means 1.
	Scale float64
	// Mean is subtracted from the channels, in the order the network sees them.
	Mean [3]float64
	// SwapRB is true for networks whose input is RGB. Otherwise it is BGR.
	SwapRB bool
	// Pad is the grey level around a letterboxed image.
	Pad uint8
	// Align is the place of a letterboxed image in the input.
	Align Align
}

// An Align is the place of a letterboxed image in the input.
type Align uint8

// The values of Align.
const (
	Centre  Align = iota // bars of the same width on both sides
	TopLeft              // bars on the right and at the bottom, as for YOLOX
)

// A File is a file of a model.
type File struct {
	Path string
	// Size is its size in bytes. Zero means any size.
	Size int64
	// SHA256 is its digest in hex. Empty means any digest.
	SHA256 string
}

// TakesImage says whether the network takes an image.
func (m *Model) TakesImage() bool { return m.InputW != 0 || m.InputH != 0 }

// Check returns an error unless the description is complete and each file is there with
// its size and digest. It reads the whole of each file that has a digest. Its errors wrap
// [ErrModel] and name the file.
func (m *Model) Check() error {
	if err := m.check(); err != nil {
		return fmt.Errorf("%w: %q: %w", ErrModel, m.Name, err)
	}
	return nil
}

func (m *Model) check() error {
	switch {
	case m.Name == "" || len(m.Name) > nn.MaxName:
		return fmt.Errorf("its name has %d bytes; want 1 to %d", len(m.Name), nn.MaxName)
	case m.TakesImage() && (m.InputW < 1 || m.InputH < 1 || m.InputW > maxSide || m.InputH > maxSide):
		return fmt.Errorf("its input is %dx%d; want sides of 1 to %d pixels", m.InputW, m.InputH, maxSide)
	case len(m.Files) < 1 || len(m.Files) > 2:
		return fmt.Errorf("it has %d files; want an ONNX file, or Darknet's weights and cfg", len(m.Files))
	case m.Align > TopLeft:
		return fmt.Errorf("its align is %d; want Centre or TopLeft", m.Align)
	}
	for _, f := range m.Files {
		if err := f.check(); err != nil {
			return err
		}
	}
	return nil
}

func (f File) check() error {
	if err := f.checkSize(); err != nil || f.SHA256 == "" {
		return err
	}
	sum, err := digest(f.Path)
	if err != nil {
		return err
	}
	if !strings.EqualFold(sum, f.SHA256) {
		return f.wrongDigest(sum)
	}
	return nil
}

// checkSize looks at the file without reading it.
func (f File) checkSize() error {
	st, err := os.Stat(f.Path)
	switch {
	case err != nil:
		return err
	case !st.Mode().IsRegular():
		return fmt.Errorf("%s is no regular file", f.Path)
	case f.Size != 0 && st.Size() != f.Size:
		return fmt.Errorf("%s has %d bytes, not %d; fetch it again", f.Path, st.Size(), f.Size)
	case st.Size() == 0 || st.Size() > maxFile:
		return fmt.Errorf("%s has %d bytes; want 1 to %d", f.Path, st.Size(), maxFile)
	}
	return nil
}

func (f File) wrongDigest(sum string) error {
	return fmt.Errorf("%s has sha256 %s, not %s; fetch it again", f.Path, sum, f.SHA256)
}

// digest returns the SHA-256 of a file in hex.
func digest(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, io.LimitReader(f, maxFile)); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// Read returns the bytes of the files, in their order. It fails when a file does not have
// its size and digest. A file without a digest gets that of what was read, so that a
// later Read returns the same bytes or fails. Its errors wrap [ErrModel] and name the
// file.
func (m *Model) Read() ([][]byte, error) {
	all := make([][]byte, len(m.Files))
	sums := make([]string, len(m.Files))
	for i, f := range m.Files {
		var err error
		if all[i], sums[i], err = f.read(); err != nil {
			return nil, fmt.Errorf("%w: %q: %w", ErrModel, m.Name, err)
		}
	}
	for i := range m.Files {
		m.Files[i].SHA256 = sums[i]
	}
	return all, nil
}

// read returns a file's bytes and their digest once they are as pinned.
func (f File) read() (b []byte, sum string, err error) {
	if err := f.checkSize(); err != nil {
		return nil, "", err
	}
	if b, err = os.ReadFile(f.Path); err != nil {
		return nil, "", err
	}
	if len(b) == 0 {
		return nil, "", fmt.Errorf("%s is empty", f.Path)
	}
	d := sha256.Sum256(b)
	sum = hex.EncodeToString(d[:])
	if f.SHA256 != "" && !strings.EqualFold(sum, f.SHA256) {
		return nil, "", f.wrongDigest(sum)
	}
	return b, sum, nil
}
