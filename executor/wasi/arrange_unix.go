//go:build unix

package wasi

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// arranging has a mutex for each path that was granted. It is held while links are made and
// names move there: what a link may lead to is looked at in the place that it comes to, and
// another guest could move that place meanwhile. A disk that hangs holds the guests of its
// folder alone.
var arranging sync.Map // of string: *sync.Mutex

// arrange locks the path of a granted folder until the function that it returns is called.
func (d *folder) arrange() (unlock func()) {
	mu, _ := arranging.LoadOrStore(filepath.Clean(d.path), &sync.Mutex{})
	mu.(*sync.Mutex).Lock()
	return mu.(*sync.Mutex).Unlock
}

// A spot is a name in a folder that is open: nothing is resolved on the way to it any more.
type spot struct {
	parent *os.File
	fd     int    // of parent
	name   string // one element
	slash  string // "/" if there was one behind it: it must be a folder
}

// spot opens the folder that holds the name of p. The caller closes it.
func (p place) spot() (spot, error) {
	trimmed := strings.TrimRight(p.name, "/")
	dir, name := path.Split(trimmed)
	if name == "." || name == ".." {
		return spot{}, eBusy // as Linux answers, whose rename knows no name for them
	}
	slash := p.name[len(trimmed):]
	parent, err := p.root.OpenFile(path.Join(".", dir), os.O_RDONLY|syscall.O_DIRECTORY|noBlock, 0)
	if err != nil {
		return spot{}, err
	}
	return spot{parent: parent, fd: int(parent.Fd()), name: name, slash: slash[:min(len(slash), 1)]}, nil
}

// depth returns how many folders parent is below top, the folder that was granted.
func (s spot) depth(top *folder) (int, error) {
	dev, ino, _ := identity(top.self)
	for n := range maxPath / len("../") {
		var st unix.Stat_t
		if err := unix.Fstatat(s.fd, strings.Repeat("../", n)+".", &st, 0); err != nil {
			return 0, err
		}
		if uint64(st.Dev) == dev && st.Ino == ino {
			return n, nil
		}
	}
	return 0, eNotCapable // somebody moved it out of the granted folder
}

// link returns the target of the link at s, and false if there is no link.
func (s spot) link() (target string, ok bool, err error) {
	buf := make([]byte, maxPath)
	n, err := unix.Readlinkat(s.fd, s.name, buf)
	switch err {
	case nil:
		return string(buf[:n]), true, nil
	case unix.EINVAL, unix.ENOTDIR:
		return "", false, nil
	}
	return "", false, err
}

// symlink makes a link at p.
func (p place) symlink(target string) error {
	defer p.folder.granted().arrange()()
	to, err := p.spot()
	if err != nil {
		return err
	}
	defer to.parent.Close()
	depth, err := to.depth(p.folder.granted())
	if err != nil {
		return err
	}
	if !stays(target, depth) {
		return eNotCapable
	}
	return unix.Symlinkat(target, to.fd, to.name+to.slash)
}

// A move is a rename, or a hard link, from one spot to another of the same granted folder.
type move struct {
	from, to spot
	top      *folder // that was granted
}

// moving opens the spots of two places and lets act use them. Between two granted folders files
// must be copied, as between two disks.
func moving(from, to place, act func(move) error) (err error) {
	m := move{top: from.folder.granted()}
	if m.top != to.folder.granted() {
		return eCross
	}
	defer m.top.arrange()()
	if m.from, err = from.spot(); err != nil {
		return err
	}
	defer m.from.parent.Close()
	if m.to, err = to.spot(); err != nil {
		return err
	}
	defer m.to.parent.Close()
	return act(m)
}

// rename moves what is at p to another place of the granted folder, as rename of POSIX does. It
// refuses to let a link lead out from its new place.
func (p place) rename(ctx context.Context, to place) error {
	return moving(p, to, func(m move) error {
		if err := m.checkLink(); err != nil {
			return err
		}
		if err := m.checkFolder(ctx, p); err != nil {
			return err
		}
		return unix.Renameat(m.from.fd, m.from.name+m.from.slash, m.to.fd, m.to.name+m.to.slash)
	})
}

// link gives the file at p another name, of the granted folder.
func (p place) link(to place) error {
	return moving(p, to, func(m move) error {
		if m.from.slash != "" {
			return eNotDir // the host would follow a link of that name, and folders have one name
		}
		if err := m.checkLink(); err != nil {
			return err
		}
		return unix.Linkat(m.from.fd, m.from.name, m.to.fd, m.to.name+m.to.slash, 0)
	})
}

// checkLink refuses a link that would lead out of the granted folder.
func (m move) checkLink() error {
	target, isLink, err := m.from.link()
	switch {
	case err != nil || !isLink:
		return err
	case m.from.slash != "":
		return eNotDir
	}
	depth, err := m.to.depth(m.top)
	if err == nil && !stays(target, depth) {
		err = eNotCapable
	}
	return err
}

// checkFolder refuses a folder, at p, that comes nearer to the granted one with a link in it that
// would lead out. Programs copy it then, as between two disks, and are told which link it is.
func (m move) checkFolder(ctx context.Context, p place) error {
	var st unix.Stat_t
	if err := unix.Fstatat(m.from.fd, m.from.name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	was, err := m.from.depth(m.top)
	if err != nil || st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return err
	}
	is, err := m.to.depth(m.top)
	if err != nil || is >= was {
		return err
	}
	root, err := p.root.OpenRoot(p.name)
	if err != nil {
		return err
	}
	defer root.Close()
	return linksStay(ctx, root.FS(), is+1)
}

// linksStay returns eCross if one of the links in tree would lead out where tree is depth folders
// below the granted one, or if there are too many names to look at.
func linksStay(ctx context.Context, tree fs.FS, depth int) error {
	seen := 0
	return fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if seen++; seen > maxNames {
			return eCross
		}
		if ctx.Err() != nil {
			return trap{fmt.Errorf("rename of a folder: %w", ctx.Err())}
		}
		if d.Type()&fs.ModeSymlink == 0 {
			return nil
		}
		target, err := fs.ReadLink(tree, name)
		if err == nil && !stays(target, depth+strings.Count(name, "/")) {
			err = eCross
		}
		return err
	})
}
