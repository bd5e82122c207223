// Package cachedir keeps the folders that engines cache compiled code in: nobody
// else may write there, as what is in them is run, and they do not grow without end.
package cachedir

import (
	"errors"
	"os"
)

// ErrNotPrivate says that a folder could be written to, read, or replaced, by another
// user, or is none.
var ErrNotPrivate = errors.New("not a private folder")

// Open makes dir when it is missing, and opens it once it has seen that it is a folder of the
// user with mode 0700, and that nobody but the user and root can put something else in its place:
// each folder above belongs to one of them, and others may not write there unless it is
// sticky, as /tmp is. What was looked at is what is opened, whatever happens to the path. An error
// that is ErrNotPrivate tells what to do. The caller closes the folder.
func Open(dir string) (*os.Root, error) { return open(dir) }

// Make is Open for who uses dir by its path.
func Make(dir string) error {
	root, err := Open(dir)
	if err != nil {
		return err
	}
	return root.Close()
}
