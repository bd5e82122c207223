//go:build unix

package cachedir

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// A walk goes down a path, one folder at a time, each opened in the one before.
type walk struct {
	fd    int      // of the folder that it is in
	at    string   // its path
	rest  []string // names below it
	links int      // that were followed
}

// maxLinks bounds the links on a path, as Linux does.
const maxLinks = 40

func open(dir string) (*os.Root, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	w := &walk{fd: -1, rest: strings.Split(strings.Trim(abs, "/"), "/")}
	defer func() { w.leave() }()
	if err := w.top(); err != nil {
		return nil, err
	}
	for len(w.rest) > 0 {
		if err := w.step(); err != nil {
			return nil, err
		}
	}
	return w.root()
}

func (w *walk) leave() {
	if w.fd >= 0 {
		unix.Close(w.fd)
	}
}

// enter makes fd the folder that w is in, if others cannot change it.
func (w *walk) enter(fd int, at string) error {
	w.leave()
	w.fd, w.at = fd, at
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return &os.PathError{Op: "stat", Path: at, Err: err}
	}
	if len(w.rest) > 0 {
		return trusted(at, &st)
	}
	return private(at, &st)
}

// top goes to the root of the file system.
func (w *walk) top() error {
	fd, err := unix.Open("/", onPath, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: "/", Err: err}
	}
	return w.enter(fd, "/")
}

// step goes to the next folder, which it makes when it is missing.
func (w *walk) step() error {
	name := w.rest[0]
	at := filepath.Join(w.at, name)
	var st unix.Stat_t
	err := unix.Fstatat(w.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW)
	last := len(w.rest) == 1
	switch {
	case err == unix.ENOENT:
		if err := unix.Mkdirat(w.fd, name, 0o700); err != nil && err != unix.EEXIST {
			return &os.PathError{Op: "mkdir", Path: at, Err: err}
		}
	case err != nil:
		return &os.PathError{Op: "stat", Path: at, Err: err}
	case last && st.Mode&unix.S_IFMT != unix.S_IFDIR:
		return fmt.Errorf("%w: %s is a file or a link; give the path of a folder", ErrNotPrivate, at)
	case st.Mode&unix.S_IFMT == unix.S_IFLNK:
		return w.follow(at, &st)
	}
	fd, err := unix.Openat(w.fd, name, onPath|unix.O_NOFOLLOW|unix.O_DIRECTORY, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: at, Err: err}
	}
	w.rest = w.rest[1:]
	return w.enter(fd, at)
}

// follow goes on with what a link leads to.
func (w *walk) follow(at string, st *unix.Stat_t) error {
	if w.links++; w.links > maxLinks {
		return &os.PathError{Op: "open", Path: at, Err: unix.ELOOP}
	}
	if !ours(st) {
		return fmt.Errorf("%w: the link %s belongs to another user; give a path without it", ErrNotPrivate, at)
	}
	target, err := os.Readlink(at) // nobody else can have replaced it
	if err != nil {
		return err
	}
	if !filepath.IsAbs(target) {
		target = filepath.Join(w.at, target)
	}
	w.rest = append(strings.Split(strings.Trim(filepath.Clean(target), "/"), "/"), w.rest[1:]...)
	if w.rest[0] == "" {
		w.rest = w.rest[1:]
	}
	return w.top()
}

// root opens the folder that w is in by its path, and sees that it is still that one.
func (w *walk) root() (*os.Root, error) {
	root, err := os.OpenRoot(w.at)
	if err != nil {
		return nil, err
	}
	var there, here unix.Stat_t
	f, err := root.Open(".")
	if err == nil {
		defer f.Close()
		err = unix.Fstat(int(f.Fd()), &there)
	}
	if err == nil {
		err = unix.Fstat(w.fd, &here)
	}
	if err == nil && (there.Dev != here.Dev || there.Ino != here.Ino) {
		err = fmt.Errorf("%w: %s was replaced while it was opened", ErrNotPrivate, w.at)
	}
	if err != nil {
		root.Close()
		return nil, err
	}
	return root, nil
}

// ours says whether a file belongs to the user, or to root, who can do everything anyway.
func ours(st *unix.Stat_t) bool { return st.Uid == 0 || int(st.Uid) == os.Geteuid() }

// trusted says why another user could put something else in the place of what is in a folder.
func trusted(at string, st *unix.Stat_t) error {
	switch {
	case !ours(st):
		return fmt.Errorf("%w: %s, which is above it, belongs to another user; give a folder elsewhere", ErrNotPrivate, at)
	case st.Mode&0o022 != 0 && st.Mode&unix.S_ISVTX == 0:
		return fmt.Errorf("%w: others may write to %s, which is above it and has mode %#o; run chmod go-w on it or give a folder elsewhere",
			ErrNotPrivate, at, st.Mode&0o777)
	}
	return nil
}

// private says why a folder is open to other users.
func private(at string, st *unix.Stat_t) error {
	switch {
	case int(st.Uid) != os.Geteuid():
		return fmt.Errorf("%w: %s belongs to another user; give a folder of your own", ErrNotPrivate, at)
	case st.Mode&0o077 != 0:
		return fmt.Errorf("%w: %s has mode %#o; run chmod 700 on it or give another", ErrNotPrivate, at, st.Mode&0o777)
	}
	return nil
}
