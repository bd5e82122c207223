package notifier

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// files reads small files of sysfs and procfs. It keeps them open: to read again takes a sixth of the time, and the kernel fills in
// the newest value. The zero files is ready to use, by one goroutine; close it.
type files struct {
	open   map[string]*kept
	failed bool       // a file that was open, since the last sweep
	buf    [4096]byte // a page: no file of sysfs is larger
}

type kept struct {
	f    *os.File
	used bool // since the last sweep
}

// maxOpen is how many files are kept open.
const maxOpen = 128

// text returns what a file holds, up to a page. It is good until the next call.
func (fs *files) text(path string) ([]byte, error) {
	k := fs.open[path]
	if k == nil {
		f, err := os.Open(path)
		if err != nil {
			return nil, plain(err)
		}
		k = &kept{f: f}
		if len(fs.open) >= maxOpen {
			defer f.Close()
		} else {
			if fs.open == nil {
				fs.open = map[string]*kept{}
			}
			fs.open[path] = k
		}
	}
	k.used = true
	n, err := k.f.ReadAt(fs.buf[:], 0)
	if err != nil && err != io.EOF {
		fs.drop(path)
		fs.failed = true
		return nil, plain(err)
	}
	return bytes.TrimSpace(fs.buf[:n]), nil
}

// number returns the whole number that a file holds.
func (fs *files) number(path string) (int64, error) {
	text, err := fs.text(path)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("reads %.20q", text)
	}
	return n, nil
}

// sweep closes the files that were not read since the last sweep.
func (fs *files) sweep() {
	fs.failed = false
	for path, k := range fs.open {
		if !k.used {
			fs.drop(path)
		}
		k.used = false
	}
}

func (fs *files) drop(path string) {
	if k := fs.open[path]; k != nil {
		k.f.Close()
		delete(fs.open, path)
	}
}

func (fs *files) close() {
	for path := range fs.open {
		fs.drop(path)
	}
}

// plain returns the system's words without the path, which the source of a reading names.
func plain(err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// readText returns what a small file holds; "" if it cannot be read.
func readText(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 4096))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// readNumber returns the whole number in a small file.
func readNumber(path string) (int64, bool) {
	n, err := strconv.ParseInt(readText(path), 10, 64)
	return n, err == nil
}

// glob returns the files of dir that match, the shortest names first: cpu2 before cpu10.
func glob(dir, pattern string) []string {
	all, _ := filepath.Glob(filepath.Join(dir, pattern))
	slices.SortFunc(all, func(a, b string) int {
		if d := len(a) - len(b); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	return all
}
