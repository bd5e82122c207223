package wasi

import (
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"time"
)

// The flags of a descriptor.
const (
	flagAppend   uint16 = 1 << 0
	flagDataSync uint16 = 1 << 1
	flagNonBlock uint16 = 1 << 2
	flagReadSync uint16 = 1 << 3
	flagSync     uint16 = 1 << 4
)

// A file is an open regular file.
type file struct {
	host  *os.File
	from  place // where it was found
	flags uint16
	mode  uint64 // rightRead, rightWrite, or both
}

func (f *file) close() error {
	guestFiles.Add(-1)
	return f.host.Close()
}

func (f *file) stat() (fs.FileInfo, error) { return f.host.Stat() }

func (f *file) describe() fdstat {
	d := fdstat{kind: kindFile, flags: f.flags, rights: rightsOpen | f.mode}
	if f.mode&rightWrite != 0 {
		d.rights |= rightsChange
	}
	return d
}

// left returns how many bytes there are to read.
func (f *file) left() uint64 {
	info, err := f.host.Stat()
	at, seek := f.host.Seek(0, io.SeekCurrent)
	if err != nil || seek != nil {
		return 0
	}
	return uint64(max(0, info.Size()-at))
}

func fdRead(in *instance, c call) error {
	o, err := in.object(c.i32(0))
	if err != nil {
		return err
	}
	switch o := o.(type) {
	case *file:
		return c.move(3, func(b []byte, _ int) (int, error) { return o.host.Read(b) })
	case *stream:
		return c.move(3, func([]byte, int) (int, error) { return 0, o.readable() })
	}
	return eIsDir
}

func fdWrite(in *instance, c call) error {
	o, err := in.object(c.i32(0))
	if err != nil {
		return err
	}
	switch o := o.(type) {
	case *file:
		return c.move(3, func(b []byte, _ int) (int, error) { return o.host.Write(b) })
	case *stream:
		return c.move(3, o.write)
	}
	return eIsDir
}

func fdPread(in *instance, c call) error {
	f, err := in.file(c.i32(0))
	at := c.i64(3)
	switch {
	case err != nil:
		return err
	case at > math.MaxInt64-maxTransfer:
		return eInvalid
	}
	return c.move(4, func(b []byte, done int) (int, error) { return f.host.ReadAt(b, int64(at)+int64(done)) })
}

func fdPwrite(in *instance, c call) error {
	f, err := in.file(c.i32(0))
	at := c.i64(3)
	switch {
	case err != nil:
		return err
	case at > math.MaxInt64-maxTransfer:
		return eTooBig
	}
	write := func() error {
		return c.move(4, func(b []byte, done int) (int, error) { return f.host.WriteAt(b, int64(at)+int64(done)) })
	}
	if f.flags&flagAppend == 0 {
		return write()
	}
	// POSIX writes at the offset, where Linux would append.
	if err := setAppend(f.host, false); err != nil {
		return err
	}
	err = write()
	return errors.Join(err, setAppend(f.host, true))
}

// move reads or writes the pieces of memory in the list at argument 1, and tells
// argument k how many bytes were moved. The end of a file is no error.
func (c call) move(k int, each func(b []byte, done int) (int, error)) error {
	slot, err := c.at(k, 4)
	if err != nil {
		return err
	}
	done, err := c.vectors(1, each)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	order.PutUint32(slot, uint32(done))
	return nil
}

func fdSeek(in *instance, c call) error {
	f, err := in.file(c.i32(0))
	if err != nil {
		return err
	}
	whence := c.i32(2)
	if whence > io.SeekEnd {
		return eInvalid
	}
	at, err := f.host.Seek(int64(c.i64(1)), int(whence))
	if err != nil {
		return err
	}
	return c.put64(3, uint64(at))
}

func fdTell(in *instance, c call) error {
	f, err := in.file(c.i32(0))
	if err != nil {
		return err
	}
	at, err := f.host.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	return c.put64(1, uint64(at))
}

func fdSync(in *instance, c call) error {
	f, err := in.file(c.i32(0))
	if err != nil {
		return err
	}
	return f.host.Sync()
}

// fdAdvise takes no advice.
func fdAdvise(in *instance, c call) error {
	const advices = 6
	if c.i32(3) >= advices {
		return eInvalid
	}
	_, err := in.file(c.i32(0))
	return err
}

func fdFilestatSetSize(in *instance, c call) error {
	f, err := in.file(c.i32(0))
	switch {
	case err != nil:
		return err
	case f.mode&rightWrite == 0:
		return eInvalid
	case c.i64(1) > math.MaxInt64:
		return eTooBig
	}
	return f.host.Truncate(int64(c.i64(1)))
}

// fdAllocate refuses to set space aside, and says first where there could be none.
func fdAllocate(in *instance, c call) error {
	if _, err := in.file(c.i32(0)); err != nil {
		return err
	}
	return eNotSup
}

func fdFilestatSetTimes(in *instance, c call) error {
	o, err := in.object(c.i32(0))
	if err != nil {
		return err
	}
	accessed, modified, err := in.times(c, 1)
	if err != nil {
		return err
	}
	switch o := o.(type) {
	case *file:
		return o.setTimes(accessed, modified)
	case *folder:
		return o.setTimes(accessed, modified)
	}
	return eSeek
}

// setTimes sets them by the file's name, which must be its own still.
func (f *file) setTimes(accessed, modified time.Time) error {
	if !f.from.folder.write {
		return eReadOnly
	}
	there, err := f.from.root.Stat(f.from.name)
	here, failed := f.host.Stat()
	if err != nil || failed != nil || !os.SameFile(here, there) {
		return eNotSup
	}
	return f.from.root.Chtimes(f.from.name, accessed, modified)
}
