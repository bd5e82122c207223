//go:build !unix

package cachedir

import "io/fs"

// private returns nil: who may write to a folder is not in its mode here, and a
// user's folders inherit their access from the user's profile.
func private(string, fs.FileInfo) error { return nil }
