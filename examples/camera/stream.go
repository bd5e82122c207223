package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// A picture is one of a stream, as JPEG.
type picture struct {
	number int // from 1
	jpeg   []byte
}

// newest reads pictures. The channel has the newest one: whoever is slower than the camera misses some. It is closed at the end of the stream, and
// then ended has what the stream failed with, or nil.
func newest(r io.Reader) (pictures <-chan picture, ended <-chan error) {
	out, end := make(chan picture, 1), make(chan error, 1)
	go func() { // ends with the stream
		defer close(out)
		in := bufio.NewReaderSize(r, 1<<16)
		for n := 1; ; n++ {
			b, err := next(in)
			if err != nil {
				if errors.Is(err, io.EOF) {
					err = nil
				}
				end <- err
				return
			}
			select {
			case <-out: // nobody has looked at it
			default:
			}
			out <- picture{n, b}
		}
	}()
	return out, end
}

// maxPicture bounds a picture: a stream without an end mark must not fill the memory.
const maxPicture = 16 << 20

// next returns the next picture of a stream, which begins with FF D8 and ends with FF D9 (ITU-T T.81, B.1.1.3). Within a picture FF comes with other bytes after it,
// but for thumbnails, which cameras' streams lack.
func next(in *bufio.Reader) ([]byte, error) {
	if err := skipTo(in, 0xd8); err != nil {
		return nil, err
	}
	b := []byte{0xff, 0xd8}
	for {
		part, err := in.ReadSlice(0xd9)
		b = append(b, part...)
		switch {
		case len(b) > maxPicture:
			return nil, fmt.Errorf("a picture has no end within %d bytes", maxPicture)
		case errors.Is(err, bufio.ErrBufferFull):
		case err != nil:
			return nil, err // the camera went away in the middle of a picture
		case bytes.HasSuffix(b, []byte{0xff, 0xd9}):
			return b, nil
		}
	}
}

// skipTo reads past the next FF with a byte after it.
func skipTo(in *bufio.Reader, mark byte) error {
	for last := byte(0); ; {
		c, err := in.ReadByte()
		if err != nil {
			return err
		}
		if last == 0xff && c == mark {
			return nil
		}
		last = c
	}
}
