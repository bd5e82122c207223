// Package cachedir keeps the folders that engines cache compiled code in: nobody
// else may write there, as what is in them is run, and they do not grow without end.
package cachedir

import (
	"errors"
	"fmt"
	"os"
)

// ErrNotPrivate says that a folder could be written to, or read, by another
// user, or is none.
var ErrNotPrivate = errors.New("not a private folder")

// Make makes dir when it is missing, and checks that it is a folder of the user with
// mode 0700. An error that is ErrNotPrivate tells what to do.
func Make(dir string) error {
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
