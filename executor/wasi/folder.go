package wasi

import (
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// A folder is one that the guest was given, or one that it opened below such a one.
// What it leads to stays inside: its root refuses the rest.
type folder struct {
	name  string   // of a given one, for the guest; empty: it was opened
	path  string   // of a given one, on the host
	root  *os.Root // nil: given and not used yet
	write bool
	above *folder     // the given one that it is below; nil: it is one
	self  fs.FileInfo // of a given one, once root was opened
	names []name      // to be listed; nil: not read
}

// granted returns the folder that was given to the guest and that d is, or is below.
func (d *folder) granted() *folder {
	if d.above != nil {
		return d.above
	}
	return d
}

// open returns the root of d. A given folder is opened when it is first used: an
// instance that uses none holds none.
func (d *folder) open() (*os.Root, error) {
	if d.root != nil {
		return d.root, nil
	}
	root, err := os.OpenRoot(d.path)
	if err != nil {
		return nil, err
	}
	if d.self, err = root.Stat("."); err != nil {
		root.Close()
		return nil, err
	}
	d.root = root
	return root, nil
}

func (d *folder) close() error {
	if d.above != nil {
		guestFiles.Add(-1)
	}
	if d.root == nil {
		return nil
	}
	return d.root.Close()
}

func (d *folder) stat() (fs.FileInfo, error) {
	root, err := d.open()
	if err != nil {
		return nil, err
	}
	return root.Stat(".")
}

func (d *folder) setTimes(accessed, modified time.Time) error {
	if !d.write {
		return eReadOnly
	}
	root, err := d.open()
	if err != nil {
		return err
	}
	return root.Chtimes(".", accessed, modified)
}

func (d *folder) describe() fdstat {
	s := fdstat{kind: kindFolder, rights: rightsLook, inherit: rightsLook | rightsOpen | rightRead}
	if d.write {
		s.rights |= rightsArrange
		s.inherit |= rightsArrange | rightsChange
	}
	return s
}

// A place is where a path leads, below a folder.
type place struct {
	folder *folder
	root   *os.Root // of the folder
	name   string   // below it, as the host writes paths
}

// place returns what the path at argument k and k+1 means, below the folder that
// argument fd stands for.
func (in *instance) place(c call, fd, k int) (p place, err error) {
	if p.folder, err = in.folder(c.i32(fd)); err != nil {
		return p, err
	}
	path, err := c.text(k)
	if err != nil {
		return p, err
	}
	p.name = filepath.FromSlash(path)
	if !filepath.IsLocal(p.name) {
		return p, eNotCapable
	}
	p.root, err = p.folder.open()
	return p, err
}

// change is place, for what is about to be changed.
func (in *instance) change(c call, fd, k int) (place, error) {
	p, err := in.place(c, fd, k)
	if err == nil && !p.folder.write {
		err = eReadOnly
	}
	return p, err
}

// stat returns what is there. A link is followed or not.
func (p place) stat(follow bool) (fs.FileInfo, error) {
	if follow {
		return p.root.Stat(p.name)
	}
	return p.root.Lstat(p.name)
}

// An opening says how path_open opens.
type opening struct {
	follow bool
	how    uint32 // create, isFolder, exclusive, truncate
	rights uint64
	flags  uint16
}

const (
	create uint32 = 1 << iota
	isFolder
	exclusive
	truncate
)

// open opens what is at p. Files and folders only: a pipe could block, and a device is not
// what a folder was granted for.
func (p place) open(o opening) (object, error) {
	info, err := p.stat(o.follow)
	switch {
	case os.IsNotExist(err) && o.how&(create|isFolder) == create:
		return p.openFile(o)
	case err != nil:
		return nil, err
	case o.how&create != 0 && o.how&exclusive != 0:
		return nil, eExist
	case info.IsDir():
		return p.openFolder(o)
	case info.Mode()&fs.ModeSymlink != 0:
		return nil, eLoop
	case o.how&isFolder != 0:
		return nil, eNotDir
	case !info.Mode().IsRegular():
		return nil, eAccess
	}
	return p.openFile(o)
}

func (p place) openFolder(o opening) (object, error) {
	if o.how&isFolder == 0 && (o.rights&rightWrite != 0 || o.how&(create|truncate) != 0) {
		return nil, eIsDir
	}
	root, err := p.root.OpenRoot(p.name)
	if err != nil {
		return nil, err
	}
	return &folder{root: root, write: p.folder.write, above: p.folder.granted()}, nil
}

func (p place) openFile(o opening) (object, error) {
	flag, mode := o.modes()
	if !p.folder.write && (mode&rightWrite != 0 || o.how&(create|truncate) != 0) {
		return nil, eReadOnly
	}
	f, err := p.root.OpenFile(p.name, flag|noBlock, 0o666)
	if err != nil {
		return nil, err
	}
	// Something else may have come there since it was looked at.
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		f.Close()
		return nil, eAccess
	}
	// Not by O_APPEND, with which an os.File writes nowhere else.
	if o.flags&flagAppend != 0 {
		if err := setAppend(f, true); err != nil {
			f.Close()
			return nil, err
		}
	}
	return &file{host: f, from: p, flags: o.flags &^ flagNonBlock, mode: mode}, nil
}

// modes returns how the host opens it, and what the guest may do with it then.
func (o opening) modes() (flag int, mode uint64) {
	mode = o.rights & (rightRead | rightWrite)
	switch mode {
	case rightRead | rightWrite:
		flag = os.O_RDWR
	case rightWrite:
		flag = os.O_WRONLY
	}
	for _, m := range []struct {
		asked bool
		flag  int
	}{
		{o.how&create != 0, os.O_CREATE}, {o.how&exclusive != 0, os.O_EXCL}, {o.how&truncate != 0, os.O_TRUNC},
		{o.flags&(flagSync|flagDataSync|flagReadSync) != 0, os.O_SYNC},
	} {
		if m.asked {
			flag |= m.flag
		}
	}
	return flag, mode
}
