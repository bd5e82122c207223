package explain

import (
	"errors"
	"os"
	"sync"
)

// A File is a log on disk that is bounded: when it has a size, it becomes PATH.1, in place of the one before, and begins anew. So
// at least the last size bytes are there, and never more than twice as many.
type File struct {
	path string
	size int64

	mu   sync.Mutex
	f    *os.File
	n    int64
	head []byte // first line, which begins each file
}

// Create makes the file at path, over what is there, which becomes PATH.1. size is in bytes; it must be at least MaxLine.
func Create(path string, size int64) (*File, error) {
	if size < MaxLine {
		return nil, errors.New("the log of decisions needs at least 256 KiB")
	}
	l := &File{path: path, size: size}
	if err := l.begin(); err != nil {
		return nil, err
	}
	return l, nil
}

// begin begins a new file.
func (l *File) begin() error {
	if l.f != nil {
		if err := l.f.Close(); err != nil {
			return err
		}
		l.f = nil
	}
	if err := os.Rename(l.path, l.path+".1"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(l.path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	l.f, l.n = f, 0
	return nil
}

// Write writes lines. The first one of all is written again to each file that begins later.
func (l *File) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.f == nil {
		return 0, os.ErrClosed
	}
	if l.head == nil {
		l.head = append([]byte{}, firstLine(b)...)
	} else if l.n > 0 && l.n+int64(len(b)) > l.size {
		if err := l.begin(); err != nil {
			return 0, err
		}
		n, err := l.f.Write(l.head)
		l.n += int64(n)
		if err != nil {
			return 0, err
		}
	}
	n, err := l.f.Write(b)
	l.n += int64(n)
	return n, err
}

func firstLine(b []byte) []byte {
	for i, c := range b {
		if c == '\n' {
			return b[:i+1]
		}
	}
	return nil
}

// Close closes the file.
func (l *File) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.f == nil {
		return nil
	}
	err := l.f.Close()
	l.f = nil
	return err
}
