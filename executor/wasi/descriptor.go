package wasi

import (
	"io/fs"
	"slices"
)

// The kinds of file of the standard.
const (
	kindUnknown   uint8 = 0
	kindCharacter uint8 = 2
	kindFolder    uint8 = 3
	kindFile      uint8 = 4
	kindLink      uint8 = 7
)

// The rights of the standard, in the groups that they are given in.
const (
	rightRead  uint64 = 1 << 1
	rightWrite uint64 = 1 << 6
	rightPoll  uint64 = 1 << 27
	rightStat  uint64 = 1 << 21
	rightTimes uint64 = 1 << 23 // fd_filestat_set_times

	// fd_seek, fd_fdstat_set_flags, fd_tell, fd_advise
	rightsOpen = 1<<2 | 1<<3 | 1<<5 | 1<<7 | rightPoll | rightStat
	// fd_datasync, fd_sync, fd_allocate, which answers as on a disk that cannot, fd_filestat_set_size
	rightsChange = rightWrite | rightTimes | 1<<0 | 1<<4 | 1<<8 | 1<<22
	// path_open, fd_readdir, path_readlink, path_filestat_get
	rightsLook = 1<<13 | 1<<14 | 1<<15 | 1<<18 | rightStat
	// path_create_directory, path_create_file, path_link_source, path_link_target,
	// path_rename_source, path_rename_target, path_filestat_set_size,
	// path_filestat_set_times, path_symlink, path_remove_directory, path_unlink_file
	rightsArrange = rightTimes | 1<<9 | 1<<10 | 1<<11 | 1<<12 | 1<<16 | 1<<17 | 1<<19 | 1<<20 | 1<<24 | 1<<25 | 1<<26
)

// An object is what a descriptor stands for: a *stream, a *file or a *folder.
type object interface {
	describe() fdstat
	// stat returns nil where there is nothing to tell.
	stat() (fs.FileInfo, error)
	close() error
}

// A fdstat is what fd_fdstat_get tells.
type fdstat struct {
	kind    uint8
	flags   uint16
	rights  uint64
	inherit uint64 // rights of what is opened below
}

// maxOpen is how many files and folders a guest may have open beside those it was
// given: as many as Linux gives a program by default.
const maxOpen = 1024

// object returns what descriptor fd stands for.
func (in *instance) object(fd uint32) (object, error) {
	if uint64(fd) >= uint64(len(in.fds)) || in.fds[fd] == nil {
		return nil, eBadFD
	}
	return in.fds[fd], nil
}

// file returns the file that descriptor fd stands for.
func (in *instance) file(fd uint32) (*file, error) {
	o, err := in.object(fd)
	switch o := o.(type) {
	case *file:
		return o, nil
	case *folder:
		return nil, eIsDir
	case *stream:
		return nil, eSeek
	}
	return nil, err
}

// folder returns the folder that descriptor fd stands for.
func (in *instance) folder(fd uint32) (*folder, error) {
	o, err := in.object(fd)
	if err != nil {
		return nil, err
	}
	if d, ok := o.(*folder); ok {
		return d, nil
	}
	return nil, eNotDir
}

// full says whether no more may be opened.
func (in *instance) full() bool {
	return in.opened >= firstFolder+len(in.world.folders)+maxOpen
}

// add returns the lowest free descriptor, which stands for o from now on.
func (in *instance) add(o object) uint32 {
	fd := slices.Index(in.fds, nil)
	if fd < 0 {
		fd = len(in.fds)
		in.fds = append(in.fds, nil)
	}
	in.fds[fd] = o
	in.opened++
	return uint32(fd)
}

// release closes o, which no descriptor stands for any more.
func (in *instance) release(o object) error {
	in.opened--
	if d, ok := o.(*folder); ok {
		in.forget(d)
	}
	return o.close()
}

func fdClose(in *instance, c call) error {
	o, err := in.object(c.i32(0))
	if err != nil {
		return err
	}
	in.fds[c.i32(0)] = nil
	return in.release(o)
}

// fdRenumber moves a descriptor to the place of another, which is closed.
func fdRenumber(in *instance, c call) error {
	from, err := in.object(c.i32(0))
	if err != nil {
		return err
	}
	to, err := in.object(c.i32(1))
	if err != nil || c.i32(0) == c.i32(1) {
		return err
	}
	in.fds[c.i32(0)], in.fds[c.i32(1)] = nil, from
	return in.release(to)
}

func fdFdstatGet(in *instance, c call) error {
	o, err := in.object(c.i32(0))
	if err != nil {
		return err
	}
	b, err := c.at(1, 24)
	if err != nil {
		return err
	}
	d := o.describe()
	clear(b)
	b[0] = d.kind
	order.PutUint16(b[2:], d.flags)
	order.PutUint64(b[8:], d.rights)
	order.PutUint64(b[16:], d.inherit)
	return nil
}

// fdFdstatSetFlags changes whether a file is appended to, and refuses to change how it is
// synchronised. That nothing blocks is so already.
func fdFdstatSetFlags(in *instance, c call) error {
	o, err := in.object(c.i32(0))
	if err != nil {
		return err
	}
	flags := uint16(c.i32(1)) &^ flagNonBlock
	change := flags ^ o.describe().flags&^flagNonBlock
	f, isFile := o.(*file)
	switch {
	case change == 0:
		return nil
	case change != flagAppend || !isFile:
		return eNotSup
	}
	if err := setAppend(f.host, flags&flagAppend != 0); err != nil {
		return err
	}
	f.flags = flags
	return nil
}

func fdFilestatGet(in *instance, c call) error {
	o, err := in.object(c.i32(0))
	if err != nil {
		return err
	}
	info, err := o.stat()
	if err != nil {
		return err
	}
	return in.putStat(c, 1, info)
}
