//go:build cgo && opencv

package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gocv.io/x/gocv"
)

// openSource opens what a name stands for: a camera's number or device, an address, a folder or a pattern of
// pictures, or a video file.
func openSource(name string) (source, error) {
	if n, err := strconv.Atoi(name); err == nil && n >= 0 {
		return openLive(name, func() (*gocv.VideoCapture, error) { return gocv.VideoCaptureDevice(n) })
	}
	if scheme, _, ok := strings.Cut(name, "://"); ok && slices.Contains(liveSchemes, strings.ToLower(scheme)) {
		return openLive(name, func() (*gocv.VideoCapture, error) { return gocv.VideoCaptureFile(name) })
	}
	if strings.ContainsAny(name, "*?%") {
		if list, err := matching(name); err != nil || len(list) > 0 {
			return &pictures{list: list}, err
		}
	}
	st, err := os.Stat(name)
	switch {
	case err != nil:
		return nil, err
	case st.Mode()&os.ModeCharDevice != 0:
		return openLive(name, func() (*gocv.VideoCapture, error) { return gocv.VideoCaptureFileWithAPI(name, gocv.VideoCaptureV4L2) })
	case st.IsDir():
		list, err := inFolder(name)
		return &pictures{list: list}, err
	}
	f := &file{path: name}
	return f, f.again()
}

// shown returns a name as it may be told: without the password that an address can have.
func shown(name string) string {
	if u, err := url.Parse(name); err == nil && u.User != nil {
		return u.Redacted()
	}
	return name
}

// liveSchemes are those of addresses that a live source has.
var liveSchemes = []string{"rtsp", "rtsps", "http", "https", "rtmp", "udp", "tcp", "srt"}

// A file is a video file.
type file struct {
	path string
	src  *gocv.VideoCapture
}

// again opens the file anew: not every video can be wound back, and some lose frames when they are.
func (f *file) again() error {
	f.Close()
	src, err := gocv.VideoCaptureFile(f.path)
	if err != nil {
		return fmt.Errorf("%s is not one that OpenCV can read: %w", f.path, err)
	}
	f.src = src
	return nil
}

func (f *file) next(_ context.Context, m *gocv.Mat) error {
	if f.src.Read(m) && !m.Empty() {
		return nil
	}
	return errVideoEnd
}

// counted are the endings of files that hold the number of their frames. Of others OpenCV guesses it, from
// their length and rate.
var counted = []string{".mp4", ".m4v", ".mov", ".avi"}

func (f *file) told() (fps float64, frames int) {
	n := f.src.Get(gocv.VideoCaptureFrameCount)
	if !(n > 0 && n < 1<<40) || !slices.Contains(counted, strings.ToLower(filepath.Ext(f.path))) {
		n = 0
	}
	return f.src.Get(gocv.VideoCaptureFPS), int(n)
}

func (f *file) live() bool { return false }

func (f *file) Close() {
	if f.src != nil {
		f.src.Close()
		f.src = nil
	}
}

// pictures are files of a picture each.
type pictures struct {
	list []string
	at   int
}

// pictureKinds are the endings of files that are taken for pictures.
var pictureKinds = []string{".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".pgm", ".ppm"}

func inFolder(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var list []string
	for _, e := range entries {
		if slices.Contains(pictureKinds, strings.ToLower(filepath.Ext(e.Name()))) && !e.IsDir() {
			list = append(list, filepath.Join(dir, e.Name()))
		}
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%s has no pictures: no file ends in %s", dir, strings.Join(pictureKinds, ", "))
	}
	inOrder(list)
	return list, nil
}

// numbered is a place for a number in a pattern, as in frame%04d.png.
var numbered = regexp.MustCompile(`%0?\d*d`)

// matching returns the files that a pattern names, none where it is no pattern that fits any.
func matching(pattern string) ([]string, error) {
	list, err := filepath.Glob(numbered.ReplaceAllString(pattern, "*"))
	if err != nil {
		return nil, fmt.Errorf("the pattern %q: %w", pattern, err)
	}
	if parts := numbered.Split(pattern, -1); len(parts) > 1 {
		for i := range parts {
			parts[i] = regexp.QuoteMeta(parts[i])
		}
		digits, err := regexp.Compile("^" + strings.Join(parts, `\d+`) + "$")
		if err != nil {
			return nil, err
		}
		list = slices.DeleteFunc(list, func(path string) bool { return !digits.MatchString(path) })
	}
	inOrder(list)
	return list, nil
}

// inOrder sorts names as a person counts: frame9 before frame10.
func inOrder(list []string) {
	slices.SortFunc(list, func(a, b string) int { return strings.Compare(countable(a), countable(b)) })
}

var digits = regexp.MustCompile(`\d+`)

// countable returns a name whose numbers are so long that they sort as numbers.
func countable(name string) string {
	return digits.ReplaceAllStringFunc(name, func(n string) string {
		return strings.Repeat("0", max(0, 20-len(n))) + n
	})
}

// next reads the next picture. One that does not decode is an error: its number would be another's.
func (p *pictures) next(_ context.Context, m *gocv.Mat) error {
	if p.at == len(p.list) {
		return errVideoEnd
	}
	path := p.list[p.at]
	p.at++
	read := gocv.IMRead(path, gocv.IMReadColor)
	if read.Empty() {
		read.Close()
		return errors.New(path + " is no picture that OpenCV can decode")
	}
	m.Close()
	*m = read
	return nil
}

func (p *pictures) again() error                    { p.at = 0; return nil }
func (p *pictures) told() (fps float64, frames int) { return 0, len(p.list) }
func (p *pictures) live() bool                      { return false }
func (p *pictures) Close()                          {}
