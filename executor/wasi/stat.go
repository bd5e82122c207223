package wasi

import (
	"io/fs"
	"math"
	"time"
)

// putStat writes what is known of a file to argument k: of a stream, whose info is
// nil, that it is one. Without the real clock a file's times, which would tell it, are 0.
func (in *instance) putStat(c call, k int, info fs.FileInfo) error {
	b, err := c.at(k, 64)
	if err != nil {
		return err
	}
	clear(b)
	if info == nil {
		b[16] = kindCharacter
		return nil
	}
	put := order.PutUint64
	dev, ino, links := identity(info)
	put(b, dev)
	put(b[8:], ino)
	b[16] = kindOf(info.Mode())
	put(b[24:], links)
	if !info.IsDir() { // its size is the file system's affair
		put(b[32:], uint64(info.Size()))
	}
	if !in.clock.made() {
		accessed, modified, changed := timesOf(info)
		put(b[40:], uint64(accessed.UnixNano()))
		put(b[48:], uint64(modified.UnixNano()))
		put(b[56:], uint64(changed.UnixNano()))
	}
	return nil
}

func kindOf(m fs.FileMode) uint8 {
	switch m.Type() {
	case 0:
		return kindFile
	case fs.ModeDir:
		return kindFolder
	case fs.ModeSymlink:
		return kindLink
	}
	return kindUnknown
}

// times reads the times that arguments k and k+1 ask a file to have, by the flags
// in k+2. A zero time leaves it as it is.
func (in *instance) times(c call, k int) (accessed, modified time.Time, err error) {
	flags := c.i32(k + 2)
	if accessed, err = in.time(c.i64(k), flags); err != nil {
		return
	}
	modified, err = in.time(c.i64(k+1), flags>>2)
	return
}

// time returns the time that the lowest two bits of flags ask for: none, t, or now.
func (in *instance) time(t uint64, flags uint32) (time.Time, error) {
	switch {
	case flags&3 == 0:
		return time.Time{}, nil
	case flags&3 == 1 && t <= math.MaxInt64:
		return time.Unix(0, int64(t)), nil
	case flags&3 == 2:
		return in.clock.now(), nil
	}
	return time.Time{}, eInvalid
}
