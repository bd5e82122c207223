package executor

import (
	"errors"
	"fmt"
	"os"
)

// ErrNotPrivate says that a folder could be written to, or read, by another
// user, or is none.
var ErrNotPrivate = errors.New("not a private folder")

// PrivateDir makes dir when it is missing, and checks that it is a folder of
// the user with mode 0700. Engines keep compiled code in such folders only:
// what is in them is run. An error that is ErrNotPrivate tells what to do.
func PrivateDir(dir string) error {
	// Where dir is a file, MkdirAll fails, and Lstat tells.
	made := os.MkdirAll(dir, 0o700)
	info, err := os.Lstat(dir)
	switch {
	case err != nil:
		return errors.Join(made, err)
	case !info.IsDir():
		return fmt.Errorf("%w: %s is a file or a link; give the path of a folder", ErrNotPrivate, dir)
	}
	return private(dir, info)
}
