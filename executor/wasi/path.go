package wasi

import (
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
)

// follow is the lookup flag that has links followed.
const follow = 1

func pathOpen(in *instance, c call) error {
	slot, err := c.at(8, 4)
	if err != nil {
		return err
	}
	p, err := in.place(c, 0, 2)
	switch {
	case err != nil:
		return err
	case in.full():
		return eManyFiles
	case !reserveFile():
		return eHostFiles
	}
	o, err := p.open(opening{
		follow: c.i32(1)&follow != 0,
		how:    c.i32(4),
		rights: c.i64(5),
		flags:  uint16(c.i32(7)),
	})
	if err != nil {
		guestFiles.Add(-1)
		return err
	}
	order.PutUint32(slot, in.add(o))
	return nil
}

func pathFilestatGet(in *instance, c call) error {
	p, err := in.place(c, 0, 2)
	if err != nil {
		return err
	}
	info, err := p.stat(c.i32(1)&follow != 0)
	if err != nil {
		return err
	}
	return in.putStat(c, 4, info)
}

func pathFilestatSetTimes(in *instance, c call) error {
	p, err := in.change(c, 0, 2)
	if err != nil {
		return err
	}
	accessed, modified, err := in.times(c, 4)
	if err != nil {
		return err
	}
	if info, err := p.root.Lstat(p.name); err == nil && c.i32(1)&follow == 0 && info.Mode()&fs.ModeSymlink != 0 {
		return p.setLinkTimes(accessed, modified)
	}
	return p.root.Chtimes(p.name, accessed, modified)
}

func pathCreateDirectory(in *instance, c call) error {
	p, err := in.change(c, 0, 1)
	if err != nil {
		return err
	}
	return p.root.Mkdir(p.name, 0o777)
}

func pathRemoveDirectory(in *instance, c call) error { return in.remove(c, true) }

func pathUnlinkFile(in *instance, c call) error { return in.remove(c, false) }

// remove removes a folder, or what is none.
func (in *instance) remove(c call, folder bool) error {
	p, err := in.change(c, 0, 1)
	if err != nil {
		return err
	}
	info, err := p.root.Lstat(p.name)
	switch {
	case err != nil:
		return err
	case folder && !info.IsDir():
		return eNotDir
	case !folder && info.IsDir():
		return eIsDir
	}
	return p.root.Remove(p.name)
}

func pathRename(in *instance, c call) error {
	from, to, err := in.pair(c, 0, 1, 3, 4)
	if err != nil {
		return err
	}
	return from.rename(c.ctx, to)
}

// pathLink gives a file a second name. A link gets one itself: to follow it is an invalid argument, as other
// hosts have it.
func pathLink(in *instance, c call) error {
	if c.i32(1)&follow != 0 {
		return eInvalid
	}
	from, to, err := in.pair(c, 0, 2, 4, 5)
	if err != nil {
		return err
	}
	return from.link(to)
}

// pair returns two places that are about to be changed.
func (in *instance) pair(c call, fd1, path1, fd2, path2 int) (from, to place, err error) {
	if from, err = in.change(c, fd1, path1); err != nil {
		return
	}
	to, err = in.change(c, fd2, path2)
	return
}

// pathSymlink makes a link, not one that leads out: programs of the host that come by
// later would follow it.
func pathSymlink(in *instance, c call) error {
	target, err := c.text(0)
	if err != nil {
		return err
	}
	p, err := in.change(c, 2, 3)
	if err != nil {
		return err
	}
	return p.symlink(target)
}

// stays says whether a link leads to something in the granted folder if it is depth folders
// below that. Its target may go up at the beginning only: which folder a later ".." leads to
// depends on other links.
func stays(target string, depth int) bool {
	up := 0
	for strings.HasPrefix(target, "../") {
		target = strings.TrimLeft(target[len("../"):], "/")
		up++
	}
	if target == ".." {
		target, up = ".", up+1
	}
	if target == "" { // "../", which the loop has read
		target = "."
	}
	return up <= depth && filepath.IsLocal(filepath.FromSlash(target)) && !slices.Contains(strings.Split(target, "/"), "..")
}

func pathReadlink(in *instance, c call) error {
	buf, err := c.bytes(3)
	if err != nil {
		return err
	}
	p, err := in.place(c, 0, 1)
	if err != nil {
		return err
	}
	target, err := p.root.Readlink(p.name)
	if err != nil {
		return err
	}
	return c.put32(5, uint32(copy(buf, filepath.ToSlash(target))))
}
