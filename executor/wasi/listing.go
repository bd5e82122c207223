package wasi

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
)

// maxNames is how many names an instance's open folders may have listed at once.
// It bounds what they take of the host's memory to 2 MB or so.
const maxNames = 16 << 10

// A name is an entry of a folder.
type name struct {
	text string
	kind uint8
	ino  uint64
}

// headSize is the size of the record before a name.
const headSize = 24

// fdReaddir lists a folder: "." and "..", and then the rest in the order of names. The cookie is the index of the
// first to list; the last may be cut, and is asked for again then.
func fdReaddir(in *instance, c call) error {
	d, err := in.folder(c.i32(0))
	if err != nil {
		return err
	}
	buf, err := c.bytes(1)
	if err != nil {
		return err
	}
	from := c.i64(3)
	if from == 0 || d.names == nil {
		if err := in.list(c.ctx, d); err != nil {
			return err
		}
	}
	used := 0
	for i := from; i < uint64(len(d.names)) && used < len(buf); i++ {
		used += d.names[i].put(buf[used:], i+1)
	}
	if from >= uint64(len(d.names)) { // the guest knows the end
		in.forget(d)
	}
	return c.put32(4, uint32(used))
}

// put writes as much of n to b as fits.
func (n name) put(b []byte, next uint64) int {
	var head [headSize]byte
	order.PutUint64(head[:], next)
	order.PutUint64(head[8:], n.ino)
	order.PutUint32(head[16:], uint32(len(n.text)))
	head[20] = n.kind
	used := copy(b, head[:])
	return used + copy(b[used:], n.text)
}

// list reads the names in d.
func (in *instance) list(ctx context.Context, d *folder) error {
	in.forget(d)
	root, err := d.open()
	if err != nil {
		return err
	}
	f, err := root.Open(".")
	if err != nil {
		return err
	}
	defer f.Close()
	names, err := readNames(ctx, f, maxNames-in.listed)
	if err != nil {
		return err
	}
	slices.SortFunc(names, func(a, b name) int { return strings.Compare(a.text, b.text) })
	if d.names, err = d.withDots(f, names); err != nil {
		return err
	}
	in.listed += len(d.names)
	return nil
}

// withDots returns names behind those of d, which is open as f, and of the folder that d is
// in: of a given folder, that is itself, as of the root of a file system.
func (d *folder) withDots(f *os.File, names []name) ([]name, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	_, self, _ := identity(info)
	up := self
	if d.above != nil {
		up = parentOf(f)
	}
	return append([]name{{".", kindFolder, self}, {"..", kindFolder, up}}, names...), nil
}

// readNames reads at most room names. A long list ends with ctx.
func readNames(ctx context.Context, f *os.File, room int) ([]name, error) {
	names := []name{}
	for {
		entries, err := f.ReadDir(256)
		for _, e := range entries {
			names = appendName(names, e)
		}
		switch {
		case len(names) > room:
			return nil, eOverflow
		case err == io.EOF:
			return names, nil
		case err != nil:
			return nil, err
		case ctx.Err() != nil:
			return nil, trap{fmt.Errorf("list of a folder: %w", ctx.Err())}
		}
	}
}

// appendName appends e, unless it has gone meanwhile.
func appendName(names []name, e fs.DirEntry) []name {
	info, err := e.Info()
	if err != nil {
		return names
	}
	_, ino, _ := identity(info)
	return append(names, name{e.Name(), kindOf(e.Type()), ino})
}

// forget drops the names of d.
func (in *instance) forget(d *folder) {
	in.listed -= len(d.names)
	d.names = nil
}

// fdPrestatGet and fdPrestatDirName tell the name of a folder that the guest was given.
func fdPrestatGet(in *instance, c call) error {
	d, err := in.given(c.i32(0))
	if err != nil {
		return err
	}
	return c.put64(1, uint64(len(d.name))<<32) // a folder: 0, then its length
}

func fdPrestatDirName(in *instance, c call) error {
	d, err := in.given(c.i32(0))
	if err != nil {
		return err
	}
	b, err := c.bytes(1)
	switch {
	case err != nil:
		return err
	case len(b) < len(d.name):
		return eLongName
	}
	copy(b, d.name)
	return nil
}

// given returns the folder that descriptor fd stands for. What is none is a bad
// descriptor here, by which guests know that there are no more.
func (in *instance) given(fd uint32) (*folder, error) {
	d, err := in.folder(fd)
	if err != nil || d.name == "" {
		return nil, eBadFD
	}
	return d, nil
}
