//go:build !unix

package cachedir

import (
	"errors"
	"fmt"
	"os"
)

// open makes and opens dir. Who may write to a folder is not in its mode here, and a user's
// folders inherit their access from the user's profile.
func open(dir string) (*os.Root, error) {
	// Where dir is a file, MkdirAll fails, and Lstat tells.
	made := os.MkdirAll(dir, 0o700)
	info, err := os.Lstat(dir)
	switch {
	case err != nil:
		return nil, errors.Join(made, err)
	case !info.IsDir():
		return nil, fmt.Errorf("%w: %s is a file or a link; give the path of a folder", ErrNotPrivate, dir)
	}
	return os.OpenRoot(dir)
}
